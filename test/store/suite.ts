/** What each method of a store's ports means, as tests that every store passes. Made for vitest. */
import { afterEach, describe } from "vitest";
import type { DurationText } from "../../sdk/port/duration.ts";
import { guard } from "../../runtime/store/guard.ts";
import type { Guarded, Store } from "../../runtime/store/port.ts";
import { aNode } from "../kit/build.ts";
import { fakeClock } from "../kit/clock.ts";
import { adding } from "./suite/add.ts";
import { beating } from "./suite/beat.ts";
import { declaring } from "./suite/declare.ts";
import { desk } from "./suite/desk.ts";
import { falling } from "./suite/due.ts";
import { finding } from "./suite/find.ts";
import { hooks } from "./suite/hook.ts";
import { holding } from "./suite/hold.ts";
import { keys } from "./suite/key.ts";
import { leasing } from "./suite/lease.ts";
import { listening, nodes } from "./suite/node.ts";
import { purging } from "./suite/purge.ts";
import { puts } from "./suite/put.ts";
import { schedules } from "./suite/schedule.ts";
import { settling } from "./suite/settle.ts";
import { sweeping } from "./suite/sweep.ts";
import { ticking } from "./suite/tick.ts";

/** The clock of one test. It shows real time at the start of the test and then moves by `advance` alone. A store may let real
 *  time flow on top: tests move it by minutes, and compare instants with `near`. */
export interface SuiteClock {
  now(): Date;
  /** Epoch ms of `now()`. */
  nowMs(): number;
  /** Resolves when the store's clock has moved too. */
  advance(text: DurationText): Promise<void>;
  /** For stores with a clock of their own: calls back, and waits, with the milliseconds of each move. */
  onAdvance(listener: (ms: number) => unknown): void;
}

/** Makes an empty store that is ready for use and follows `clock`; the suite closes it. */
export type Open = (clock: SuiteClock) => Promise<Store>;

/** What each test starts with: an empty store, its clock, and a node that joined it. */
export interface Setup {
  readonly store: Guarded;
  readonly clock: SuiteClock;
  readonly node: number;
}

/** Declares all promises of the ports for the store that `open` makes. */
export function storeSuite(name: string, open: Open): void {
  describe(`store ${name}`, () => {
    const opened: Store[] = [];
    afterEach(async () => {
      for (const store of opened.splice(0)) await store.close();
    });
    const setup = async (): Promise<Setup> => {
      const clock = fakeClock();
      const store = guard(await open(clock));
      opened.push(store);
      return { store, clock, node: await store.nodes.join(aNode(), 30_000) };
    };

    describe("adding runs", () => adding(setup));
    describe("idempotency keys", () => keys(setup));
    describe("leasing", () => leasing(setup));
    describe("settling", () => settling(setup));
    describe("hooks", () => hooks(setup));
    describe("holding", () => holding(setup));
    describe("sweeping", () => sweeping(setup));
    describe("nodes", () => nodes(setup));
    describe("beats", () => beating(setup));
    describe("listening", () => listening(setup));
    describe("desk", () => desk(setup));
    describe("purging", () => purging(setup));
    describe("finding", () => finding(setup));
    describe("making schedules", () => puts(setup));
    describe("schedules", () => schedules(setup));
    describe("declaring schedules", () => declaring(setup));
    describe("schedules that are due", () => falling(setup));
    describe("ticking", () => ticking(setup));
  });
}
