/** One reader of a feed for all who watch in this process. */
import { setTimeout as pause } from "node:timers/promises";
import { matches, type Event, type Filter, type Gap } from "../port/event.ts";
import type { FeedLine, FeedPage, FeedView } from "../port/feed.ts";
import { Ring } from "../port/ring.ts";
import { codeOf } from "../define/signal.ts";

/** An event of the feed. `id` is its place: whoever gives it back goes on after it. */
export type FeedEvent = Event & { readonly id: string };
export type Item = FeedEvent | (Gap & { readonly id?: string });

/** How long the feed is kept going after its last reader was heard of, and how often that says so; ms. */
const watchMs = 60_000;
const everyMs = 10_000;
/** Between two reads, where there was little to read; ms. */
const betweenMs = 20;
const muchLines = 1000;
const longestDelayMs = 5000;
/** What a slow reader may have unread. */
const most = 1000;

/** A reader's place in the hub. */
export interface Seat {
  /** Everything after this place comes. */
  readonly from: string;
  readonly ring: Ring<Item>;
}

const hubs = new WeakMap<FeedView, Hub>();

/** The hub of a feed. */
export function hubOf(feed: FeedView): Hub {
  const hub = hubs.get(feed) ?? new Hub(feed);
  hubs.set(feed, hub);
  return hub;
}

export class Hub {
  readonly #feed: FeedView;
  /** `name`: alike for those with the same filter. */
  readonly #seats = new Set<{ readonly filter: Filter; readonly name: string; readonly ring: Ring<Item> }>();
  #guests = 0;
  #cursor = "";
  /** When it last said that somebody watches, by the store's clock. */
  #watchedMs: number | undefined;
  #stop: AbortController | null = null;
  #started: Promise<void> = Promise.resolve();

  constructor(feed: FeedView) {
    this.#feed = feed;
  }

  /** Comes in: from now on the feed is watched, and read as long as anybody is in. The answer leaves.
   *  @throws what the store answers to the first who comes */
  async enter(): Promise<() => void> {
    let isIn = true;
    const leave = (): void => {
      if (!isIn) return;
      isIn = false;
      if (--this.#guests === 0) this.#end();
    };
    if (this.#guests++ === 0) this.#start();
    try {
      await this.#started;
      return leave;
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Sits down: what comes after `from` is kept until it is read. Only after `enter`. */
  sit(filter: Filter): Seat {
    const ring = new Ring<Item>(most, () => void this.#seats.delete(seat));
    const seat = { filter, name: JSON.stringify(filter), ring };
    this.#seats.add(seat);
    return { from: this.#cursor, ring };
  }

  #start(): void {
    const stop = (this.#stop = new AbortController());
    this.#started = this.#watch().then((cursor) => {
      this.#cursor = cursor;
      void this.#run(stop.signal).catch((error: unknown) => this.#fail(stop, error));
    });
    this.#started.catch(() => undefined); // whoever enters hears of it
  }

  #end(): void {
    this.#stop?.abort();
    this.#stop = null;
    this.#watchedMs = undefined;
  }

  /** What can't be repeated ends all readers. */
  #fail(stop: AbortController, error: unknown): void {
    if (this.#stop !== stop) return;
    for (const { ring } of [...this.#seats]) ring.close(error);
    this.#started = Promise.reject(error);
    this.#started.catch(() => undefined);
  }

  async #watch(): Promise<string> {
    const { cursor, nowMs, dead } = await this.#feed.watch(watchMs, this.#watchedMs);
    this.#watchedMs = nowMs;
    if (dead.length > 0) this.#tell(dead.map((node) => ({ type: "gap", at: new Date(nowMs), lost: null, node })));
    return cursor;
  }

  async #run(signal: AbortSignal): Promise<void> {
    let watchAt = performance.now() + everyMs;
    for (let tries = 0; !signal.aborted;) {
      try {
        if (performance.now() >= watchAt) {
          await this.#watch();
          watchAt = performance.now() + everyMs;
        }
        const waitMs = Math.max(0, watchAt - performance.now());
        const page = await this.#feed.read(this.#cursor, waitMs, signal);
        if (signal.aborted) return;
        await this.#take(page, signal);
        tries = 0;
        if (page.lines.length > 0 && page.lines.length < muchLines) await rest(betweenMs, signal);
      } catch (error) {
        if (codeOf(error) !== "STORE_UNAVAILABLE") throw error;
        await rest(Math.min(longestDelayMs, 100 * 2 ** tries++), signal);
      }
    }
  }

  /** Tells of a page, in parts, so that those who read at once miss nothing of a long one. */
  async #take(page: FeedPage, signal: AbortSignal): Promise<void> {
    const items = itemsOf(page);
    for (let from = 0; from < items.length; from += most / 4) {
      if (from > 0) await new Promise(setImmediate);
      if (signal.aborted) return;
      const part = items.slice(from, from + most / 4);
      this.#tell(part);
      this.#cursor = part.at(-1)!.id ?? this.#cursor;
    }
    this.#cursor = page.cursor;
  }

  /** Those who ask for the same share what they get. */
  #tell(items: readonly Item[]): void {
    const chosen = new Map<string, readonly Item[]>();
    for (const { filter, name, ring } of this.#seats) {
      let own = chosen.get(name);
      if (own === undefined) chosen.set(name, (own = chosenOf(filter, items)));
      if (own.length > 0) ring.take(own);
    }
  }
}

/** What a filter leaves; gaps always. */
export function chosenOf(filter: Filter, items: readonly Item[]): readonly Item[] {
  return items.filter((item) => item.type === "gap" || matches(filter, item));
}

/** What a page says, in order. */
export function itemsOf({ lines, lost }: FeedPage): readonly Item[] {
  const items = lines.map(itemOf);
  if (lost === undefined) return items;
  return [{ type: "gap", at: items[0]?.at ?? new Date(), lost }, ...items];
}

const instants = ["at", "tick", "from"] as const;

/** All readers share it, so it is frozen. */
function itemOf({ id, atMs, text }: FeedLine): Item {
  try {
    const fields = JSON.parse(text) as Record<string, unknown>;
    for (const key of instants) if (typeof fields[key] === "string") fields[key] = new Date(fields[key]);
    return Object.freeze({ id, type: fields["type"], at: new Date(atMs), ...fields }) as Item;
  } catch {
    return { type: "gap", id, at: new Date(atMs), lost: 1 }; // of a version that writes otherwise
  }
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => undefined);
}
