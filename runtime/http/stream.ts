/** What streams of events share: how many there may be, and what they send. */
import { z } from "zod";
import type { Item } from "../../sdk/client/hub.ts";
import { eventTypes, type Event } from "../../sdk/port/event.ts";
import { Refused } from "./error.ts";
import { about, jobId, runId, status } from "./schema/value.ts";

/** Bytes that are given to a connection at once; the next ones once it has taken these. */
export const chunkBytes = 16_384;
/** What is sent where there is nothing to say, so that nothing between takes the connection for dead; ms. */
export const pingMs = 20_000;
/** A reader that takes nothing for so long is dropped; ms. */
export const stallMs = 30_000;
/** A stream ends after this long, so that its reader shows its token again; ms. */
export const longestMs = 3_600_000;

/** Which events, as it comes over HTTP. */
export const eventFields = {
  types: z.array(z.enum(eventTypes as [Event["type"], ...Event["type"][]])).optional(),
  statuses: about("Those after which a run has one of these", z.array(status)).optional(),
  jobs: z.array(jobId).optional(),
  queues: z.array(z.string()).optional(),
  ids: about("Of these runs", z.array(runId)).optional(),
  tags: about("All of them must be there", z.array(z.string())).optional(),
  since: about("The id of an event: begins with what came after it", z.string()).optional(),
};

/** The streams of a server. */
export class Streams {
  readonly #most: number;
  readonly #ends = new Set<() => void>();

  /** `over` ends all of them. */
  constructor(most: number, over: AbortSignal) {
    this.#most = most;
    over.addEventListener("abort", () => this.#ends.forEach((end) => end()), { once: true });
  }

  get count(): number {
    return this.#ends.size;
  }

  /** Lets one more in, which `end` ends; the answer lets it out.
   *  @throws {Refused} if there are too many */
  enter(end: () => void): () => void {
    if (this.#ends.size >= this.#most)
      throw new Refused(
        "TOO_MANY_STREAMS",
        `this server has ${this.#most} streams, which is all that it takes; end some, or give it more (streams)`,
        { "Retry-After": "5" },
      );
    const own = (): void => end();
    this.#ends.add(own);
    return () => void this.#ends.delete(own);
  }
}

const texts = new WeakMap<Item, string>();

/** An event as JSON, made once for all who read it. */
export function textOf(item: Item): string {
  let text = texts.get(item);
  if (text === undefined) texts.set(item, (text = JSON.stringify(item)));
  return text;
}

/** Bytes that were made of a batch, for all who share it. */
export class Frames<T> {
  readonly #made = new WeakMap<readonly Item[], readonly T[]>();
  readonly #frame: (part: readonly Item[]) => T;

  constructor(frame: (part: readonly Item[]) => T) {
    this.#frame = frame;
  }

  /** A batch in parts of about a chunk. */
  of(items: readonly Item[]): readonly T[] {
    let frames = this.#made.get(items);
    if (!frames) this.#made.set(items, (frames = [...parts(items)].map(this.#frame)));
    return frames;
  }
}

function* parts(items: readonly Item[]): Generator<readonly Item[], void, undefined> {
  let from = 0;
  let bytes = 0;
  for (const [i, item] of items.entries()) {
    bytes += textOf(item).length;
    if (bytes < chunkBytes) continue;
    yield items.slice(from, i + 1);
    [from, bytes] = [i + 1, 0];
  }
  if (from < items.length) yield items.slice(from);
}
