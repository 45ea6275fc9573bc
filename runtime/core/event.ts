import type { Event, Filter, Gap } from "../../sdk/port/event.ts";
import { matches } from "../../sdk/port/event.ts";
import { InvalidInput } from "../../sdk/port/error.ts";
import { checkKeys } from "../../sdk/port/option.ts";
import { Ring } from "../../sdk/port/ring.ts";
import type { Outlet } from "../store/outlet.ts";

/** Events in order, as an async iterable for one reader. It ends after `close()`. */
export interface Subscription extends AsyncIterable<Event | Gap> {
  /** Ends it; the iteration ends after what is buffered. */
  close(): void;
}

const filterKeys = new Set(["types", "statuses", "jobs", "queues", "runs", "tags"]);

type Listener = (event: Event) => void;
type Closing = Pick<Ring<Event>, "close">;

/** Publish and subscribe within the process. Publishing never waits and never throws; with nobody listening it costs nothing:
 *  look at `active`, or at `hears`, before building an event. */
export class Bus {
  readonly #listeners = new Map<symbol, { readonly filter: Filter; readonly hear: Listener }>();
  readonly #subscriptions = new Set<Closing>();
  readonly #failed: (error: unknown) => void;
  readonly #outlet: Pick<Outlet, "watched" | "take"> | null;

  /** `failed` hears what a listener threw; silent by default. What is published goes to the outlet, too. */
  constructor(
    failed: (error: unknown) => void = () => undefined,
    outlet: Pick<Outlet, "watched" | "take"> | null = null,
  ) {
    this.#failed = failed;
    this.#outlet = outlet;
  }

  /** Whether anybody listens, here or in another process. */
  get active(): boolean {
    return this.#listeners.size > 0 || this.#outlet?.watched === true;
  }

  /** Whether anybody listens in this process. */
  get heard(): boolean {
    return this.#listeners.size > 0;
  }

  /** Whether anybody listens to events of this type: what nobody hears need not be built. */
  hears(type: Event["type"]): boolean {
    if (this.#outlet?.watched) return true;
    for (const { filter } of this.#listeners.values()) if (filter.types?.includes(type) ?? true) return true;
    return false;
  }

  publish(event: Event): void {
    this.#outlet?.take(event);
    this.tell(event);
  }

  /** Publishes in this process alone. */
  tell(event: Event): void {
    for (const { filter, hear } of this.#listeners.values()) {
      if (!matches(filter, event)) continue;
      try {
        hear(event);
      } catch (error) {
        this.#failed(error);
      }
    }
  }

  /** Calls the listener at each event that fits, at once. The answer ends it. */
  on(filter: Filter, listener: Listener): () => void {
    checkKeys("a filter of events", filter, filterKeys); // here: publishing never throws
    if (typeof listener !== "function")
      throw new InvalidInput('events.on has no listener; write events.on({ types: ["run.failed"] }, (event) => …)', {
        path: "listener",
      });
    const key = Symbol("listener");
    this.#listeners.set(key, { filter, hear: listener });
    return () => void this.#listeners.delete(key);
  }

  /** Events to iterate over. Past `buffer` unread ones (default 1000, at least 1) the oldest are lost, and a gap stands for them. */
  subscribe(filter: Filter = {}, options: { readonly buffer?: number } = {}): Subscription {
    const ring = new Ring<Event>(Math.max(1, options.buffer ?? 1000), () => {
      off();
      this.#subscriptions.delete(ring);
    });
    const off = this.on(filter, (event) => ring.take([event]));
    this.#subscriptions.add(ring);
    return { close: () => ring.close(), [Symbol.asyncIterator]: () => read(ring) };
  }

  /** Ends all subscriptions, once their readers have read what is buffered, and all listeners. */
  close(): void {
    for (const subscription of this.#subscriptions) subscription.close();
    this.#listeners.clear();
  }
}

async function* read(ring: Ring<Event>): AsyncGenerator<Event | Gap, void, undefined> {
  for await (const { batches, lost } of ring.read()) {
    if (lost > 0) yield { type: "gap", at: batches[0]![0]!.at, lost };
    for (const events of batches) yield* events;
  }
}
