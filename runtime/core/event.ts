import { InvalidInput } from "../../sdk/port/error.ts";
import { checkKeys } from "../../sdk/port/option.ts";
import type { Progress } from "../../sdk/port/target.ts";
import type { ErrorRecord } from "../../sdk/port/text.ts";

/** What happened to a run. `run.failed` is final only: an attempt's error that is tried again comes with `run.retrying`.
 *  Ends are published once the store has recorded them. */
export interface RunEvent {
  readonly type:
    | "run.scheduled"
    | "run.started"
    | "run.progress"
    | "run.completed"
    | "run.retrying"
    | "run.failed"
    | "run.canceled"
    | "run.waiting"
    | "run.resumed"
    | "step.completed";
  /** By the store's clock. */
  readonly at: Date;
  /** `run_…` */
  readonly run: string;
  /** The job's id. */
  readonly job: string;
  readonly queue: string;
  readonly tags: readonly string[];
  /** Counts from 1; 0 before the first. */
  readonly attempt: number;
  /** Of the attempt that ended, or of the last try of the step. */
  readonly durationMs?: number;
  /** Of the attempt that failed. */
  readonly error?: ErrorRecord | null;
  /** Of `run.retrying`: until the next attempt. */
  readonly retryInMs?: number;
  /** Why the run has its status, such as `timeout`. Of `run.resumed`, why it goes on: `sleep` for an instant that has come, `signal`, `timeout` for the time
   *  limit of a wait, `child`, or `parked` for a journal that was mended. */
  readonly reason?: string | null;
  /** Of `step.completed`: the step's name, with its number where it has one. */
  readonly step?: string;
  /** Of `run.progress`. */
  readonly progress?: Progress;
}

/** What happened to this node. */
export interface NodeEvent {
  readonly type: "node.started" | "node.stopping" | "node.stopped";
  /** By the store's clock. */
  readonly at: Date;
  /** The node's name. */
  readonly node: string;
}
/** What a schedule's tick came to. */
export type ScheduleEvent = {
  readonly at: Date;
  /** `job@key`, or the job alone where it has one schedule. */
  readonly schedule: string;
  readonly job: string;
  /** The rule's instant, before any spread. */
  readonly tick: Date;
} & (
  | { readonly type: "schedule.ticked"; readonly run: string }
  /** Ticks without a run, `from` the oldest to `tick`. `overlap`: a run of it is live. `missed`: nobody was up, and `catchUp` does not
   *  want them. */
  | { readonly type: "schedule.skipped"; readonly from: Date; readonly reason: "overlap" | "missed" }
);
/** Whatever the bus publishes. */
export type Event = RunEvent | NodeEvent | ScheduleEvent;

/** Stands where a subscriber that was too slow lost events; `lost` says how many. */
export interface Gap {
  readonly type: "gap";
  readonly at: Date;
  readonly lost: number;
}

/** Which events. Fields are combined with AND, their values with OR, except `tags`, which must all be there. Node events have
 *  no job, queue, run or tags, and those of schedules no queue and tags, so a filter that asks for one leaves them out. */
export interface Filter {
  readonly types?: readonly Event["type"][];
  /** Ids of jobs. */
  readonly jobs?: readonly string[];
  readonly queues?: readonly string[];
  /** `run_…` */
  readonly runs?: readonly string[];
  /** All of them must be there. */
  readonly tags?: readonly string[];
}

/** Events in order, as an async iterable for one reader. It ends after `close()`. */
export interface Subscription extends AsyncIterable<Event | Gap> {
  /** Ends it; the iteration ends after what is buffered. */
  close(): void;
}

const filterKeys = new Set(["types", "jobs", "queues", "runs", "tags"]);

type Listener = (event: Event) => void;

/** Publish and subscribe within the process. Publishing never waits and never throws; with nobody listening it costs nothing:
 *  look at `active`, or at `hears`, before building an event. */
export class Bus {
  readonly #listeners = new Map<symbol, { readonly filter: Filter; readonly hear: Listener }>();
  readonly #subscriptions = new Set<Subscription>();
  readonly #failed: (error: unknown) => void;

  /** `failed` hears what a listener threw; silent by default. */
  constructor(failed: (error: unknown) => void = () => undefined) {
    this.#failed = failed;
  }

  /** Whether anybody listens. */
  get active(): boolean {
    return this.#listeners.size > 0;
  }

  /** Whether anybody listens to events of this type: what nobody hears need not be built. */
  hears(type: Event["type"]): boolean {
    for (const { filter } of this.#listeners.values()) if (filter.types?.includes(type) ?? true) return true;
    return false;
  }

  publish(event: Event): void {
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
    const reader = new Reader(Math.max(1, options.buffer ?? 1000), () => {
      off();
      this.#subscriptions.delete(reader);
    });
    const off = this.on(filter, (event) => reader.take(event));
    this.#subscriptions.add(reader);
    return reader;
  }

  /** Ends all subscriptions, once their readers have read what is buffered, and all listeners. */
  close(): void {
    for (const subscription of this.#subscriptions) subscription.close();
    this.#listeners.clear();
  }
}

/** A ring of unread events. */
class Reader implements Subscription {
  readonly #limit: number;
  readonly #closed: () => void;
  #ring: Event[] = [];
  #head = 0;
  #lost = 0;
  #over = false;
  #wake: (() => void) | null = null;

  constructor(limit: number, closed: () => void) {
    this.#limit = limit;
    this.#closed = closed;
  }

  take(event: Event): void {
    if (this.#ring.length < this.#limit) this.#ring.push(event);
    else {
      this.#ring[this.#head] = event;
      this.#head = (this.#head + 1) % this.#limit;
      this.#lost++;
    }
    this.#wake?.();
  }

  close(): void {
    this.#over = true;
    this.#closed();
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Event | Gap, void, undefined> {
    try {
      for (;;) {
        yield* this.#drain();
        if (this.#ring.length > 0) continue; // it came while the reader took the last one
        if (this.#over) return;
        await new Promise<void>((resolve) => (this.#wake = resolve));
        this.#wake = null;
      }
    } finally {
      this.close();
    }
  }

  *#drain(): Generator<Event | Gap, void, undefined> {
    while (this.#ring.length > 0) {
      const events = [...this.#ring.slice(this.#head), ...this.#ring.slice(0, this.#head)];
      const lost = this.#lost;
      this.#ring = [];
      this.#head = this.#lost = 0;
      if (lost > 0) yield { type: "gap", at: events[0]!.at, lost };
      yield* events;
    }
  }
}

function matches(filter: Filter, event: Event): boolean {
  if (filter.types && !filter.types.includes(event.type)) return false;
  const { jobs, queues, runs, tags } = filter;
  if (!jobs && !queues && !runs && !tags) return true;
  const has = <K extends string>(key: K, holds: (value: never) => boolean): boolean =>
    key in event && holds((event as unknown as Readonly<Record<K, never>>)[key]);
  return (
    (!jobs || has("job", (job: string) => jobs.includes(job))) &&
    (!queues || has("queue", (queue: string) => queues.includes(queue))) &&
    (!runs || has("run", (run: string) => runs.includes(run))) &&
    (!tags || has("tags", (own: readonly string[]) => tags.every((tag) => own.includes(tag))))
  );
}
