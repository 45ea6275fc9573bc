import { expect } from "vitest";
import type { Guarded, Lease, Settlement } from "../../../runtime/store/port.ts";
import type { RunOptions, RunRecord } from "../../../sdk/port/target.ts";
import { aNode } from "../../kit/build.ts";
import type { SuiteClock } from "../suite.ts";

/** Spans end half a minute off the minutes that the clock moves by, so that a store may let real time flow on top. */
export const leaseMs = 90_000;
export const delayMs = 330_000;
export const jobs = ["x", "y"];
export const queues = ["a", "b"];

/** A lease that was given, stale or not: the run's and the node's place, and how it was settled first. */
export interface Given {
  readonly lease: Lease;
  readonly node: number;
  outcome: Settlement["outcome"] | null;
  /** How much had been sent to the run as its journal was loaded under it. */
  seen: number;
}

/** One of two stores that are given the same commands. What they number differently goes by its place. */
export class Side {
  readonly store: Guarded;
  /** Ids of its runs, in the order in which they were made. */
  readonly runs: number[] = [];
  /** The two nodes that act; a dead one is replaced. */
  readonly acting: number[] = [];
  readonly given: Given[] = [];
  /** Runs that may have a journal or mail, or a parent. */
  readonly flows = new Set<number>();
  /** How many lines it has written to the feed, and where it reads on, once it has watched. */
  #told = 0;
  #feedAt: string | null = null;

  constructor(store: Guarded) {
    this.store = store;
  }

  place(id: number): number {
    return this.runs.indexOf(id);
  }

  async join(at: number): Promise<void> {
    this.acting[at] = await this.store.nodes.join(aNode({ name: `host:${at}`, version: `${at}` }), leaseMs);
  }

  /** Writes lines to the feed, and reads on to its end. Answers those of its own that it read: others come from what the commands do, in their
   *  own time. */
  async tell(count: number, watches: boolean): Promise<readonly string[]> {
    const { feed } = this.store;
    if (watches) this.#feedAt ??= (await feed.watch(delayMs)).cursor;
    for (const end = this.#told + count; this.#told < end; this.#told++)
      await feed.write([`line ${this.#told}`, `line ${this.#told} again`]);
    const read: string[] = [];
    for (let at = this.#feedAt; at !== null;) {
      const { lines, cursor } = await feed.read(at, 0);
      read.push(...lines.map(({ text }) => text).filter((text) => text.startsWith("line ")));
      this.#feedAt = cursor;
      at = lines.length > 0 ? cursor : null;
    }
    return read;
  }

  /** Its runs, each by its place. */
  async list(): Promise<readonly object[]> {
    const { items } = await this.store.find.list({ hooks: true }, { limit: 200 });
    const made = items.map(({ id }) => id).filter((id) => !this.runs.includes(id));
    this.runs.push(...made.reverse());
    return items.map((run) => this.#placed(run)).sort((a, b) => a.id - b.id);
  }

  /** All else that can be found. */
  async rest(): Promise<object> {
    const { find, schedules } = this.store;
    const { items } = await find.attempts({}, { limit: 200 });
    const attempts = items.map((each) => ({ ...each, run: this.place(each.run) }));
    const { lanes, queues } = await find.stats();
    const runs = await find.list({}, { limit: 200 });
    const used = new Set(runs.items.map(({ queue }) => queue)); // a store may also show what a run was refused in
    const planned = await schedules.list({}, { limit: 200 });
    return {
      attempts: attempts.sort((a, b) => a.run - b.run || a.token - b.token),
      queues: queues.filter(({ name, paused }) => paused || used.has(name)),
      lanes: sorted(lanes.filter(({ ready, delayed, leased }) => ready + delayed + leased > 0)),
      schedules: planned.items.map((each) => ({
        ...each,
        last: each.last && { ...each.last, run: this.place(each.last.run) },
      })),
    };
  }

  #placed(run: RunRecord): RunRecord {
    const { id, replayOf, options } = run;
    return {
      ...run,
      id: this.place(id),
      replayOf: replayOf && this.place(replayOf),
      options: this.placedIn(options),
    };
  }

  /** Options, with runs by their places. */
  placedIn(options: RunOptions | null): RunOptions | null {
    if (!options) return null;
    const { hook, parent, dueMs } = options;
    return {
      ...options,
      ...(dueMs !== undefined && { dueMs: new Date(dueMs) as never }), // an instant is compared as one
      ...(hook && { hook: { ...hook, of: this.place(hook.of) } }),
      ...(parent && { parent: { ...parent, run: this.place(parent.run) } }),
    };
  }
}

/** Two stores on one clock, which shows each command a millisecond later than the one before. */
export class Pair {
  readonly clock: SuiteClock;
  readonly sides: readonly [Side, Side];

  constructor(clock: SuiteClock, sides: readonly [Side, Side]) {
    this.clock = clock;
    this.sides = sides;
  }

  /** Does the same on both, and expects the same answer. */
  async both(act: (side: Side) => Promise<unknown>): Promise<void> {
    const [meant, found] = [await act(this.sides[0]), await act(this.sides[1])];
    expect(near(meant, found)).toEqual(meant);
  }
}

/** In an order that does not depend on where they come from. */
export function sorted<T>(list: readonly T[]): readonly T[] {
  const text = (each: T): string => JSON.stringify(Object.entries(each as object).sort());
  return list.toSorted((a, b) => (text(a) < text(b) ? -1 : 1));
}

const toleranceMs = 20_000;

/** What was found, with each instant that is near the one that is meant replaced by that. */
function near(meant: unknown, found: unknown): unknown {
  if (meant instanceof Date && found instanceof Date)
    return Math.abs(meant.getTime() - found.getTime()) < toleranceMs ? meant : found;
  if (Array.isArray(meant) && Array.isArray(found)) return found.map((each, i) => near(meant[i], each));
  if (typeof meant !== "object" || typeof found !== "object" || !meant || !found) return found;
  return Object.fromEntries(
    Object.entries(found).map(([key, each]) => [key, near((meant as Readonly<Record<string, unknown>>)[key], each)]),
  );
}
