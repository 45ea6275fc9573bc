/** What each method of a store's ports means, as tests that every store passes. Made for vitest. */
import { afterAll, afterEach, beforeEach, describe, type TestContext } from "vitest";
import type { Tx } from "../../sdk/port/target.ts";
import type { DurationText } from "../../sdk/port/duration.ts";
import { guard } from "../../runtime/store/guard.ts";
import type { Feature, Guarded, Store } from "../../runtime/store/port.ts";
import { aNode } from "../kit/build.ts";
import { fakeClock } from "../kit/clock.ts";
import { adding } from "./suite/add.ts";
import { beating } from "./suite/beat.ts";
import { declaring } from "./suite/declare.ts";
import { desk } from "./suite/desk.ts";
import { falling } from "./suite/due.ts";
import { flowing } from "./suite/flow.ts";
import { children } from "./suite/child.ts";
import { mailing } from "./suite/mail.ts";
import { feeding } from "./suite/feed.ts";
import { finding } from "./suite/find.ts";
import { hooks } from "./suite/hook.ts";
import { holding } from "./suite/hold.ts";
import { keys } from "./suite/key.ts";
import { leasing } from "./suite/lease.ts";
import { listening, nodes } from "./suite/node.ts";
import { purging } from "./suite/purge.ts";
import { puts } from "./suite/put.ts";
import { schedules } from "./suite/schedule.ts";
import { series } from "./suite/series.ts";
import { settling } from "./suite/settle.ts";
import { sweeping } from "./suite/sweep.ts";
import { ticking } from "./suite/tick.ts";
import { transacting } from "./suite/tx.ts";
import { explaining } from "./suite/why.ts";

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

/** An open transaction of an application: on the store's server, and the application's own. */
export interface Transaction {
  readonly tx: Tx;
  commit(): Promise<unknown>;
  rollback(): Promise<unknown>;
  /** Ends it, whatever became of it, with its connection. */
  end(): Promise<void>;
}
export type Begin = () => Promise<Transaction>;

/** What each test starts with: an empty store, its clock, and a node that joined it. */
export interface Setup {
  readonly store: Guarded;
  readonly clock: SuiteClock;
  readonly node: number;
}

/** Declares all promises of the ports for the store that `open` makes. A test that calls what the store says it lacks is skipped, with the
 *  store's reason; how many those are is printed. `begin`: for a store that has transactions. `except`: tests that say what this store does otherwise,
 *  and why. */
export function storeSuite(
  name: string,
  open: Open,
  { begin = noBegin, except = {} }: { readonly begin?: Begin; readonly except?: Readonly<Record<string, string>> } = {},
): void {
  describe(`store ${name}`, () => {
    const opened: Store[] = [];
    const skipped = new Map<string, number>();
    let [current, latest]: [TestContext | null, Guarded | null] = [null, null];
    const skip = (feature: Feature): never => {
      const why = `${feature}: ${latest!.lacks[feature]}`;
      skipped.set(why, (skipped.get(why) ?? 0) + 1);
      return current!.skip(why);
    };
    beforeEach((context) => {
      current = context;
      const why = except[context.task.name];
      if (why !== undefined) context.skip(why);
    });
    afterEach(async () => {
      for (const store of opened.splice(0)) await store.close();
    });
    afterAll(() => {
      for (const [why, count] of skipped) console.info(`store ${name}: ${count} skipped, for it lacks ${why}`);
    });
    const setup = async (): Promise<Setup> => {
      const clock = fakeClock();
      const store = guard(await open(clock));
      opened.push(store);
      latest = store;
      return { store: skipping(store, skip), clock, node: await store.nodes.join(aNode(), 30_000) };
    };

    promises(setup, async () => (latest?.lacks.tx === undefined ? begin() : skip("tx")));
  });
}

/** The promises, by group. */
function promises(setup: () => Promise<Setup>, begin: Begin): void {
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
  describe("figures over time", () => series(setup));
  describe("why", () => explaining(setup));
  describe("making schedules", () => puts(setup));
  describe("schedules", () => schedules(setup));
  describe("declaring schedules", () => declaring(setup));
  describe("schedules that are due", () => falling(setup));
  describe("ticking", () => ticking(setup));
  describe("workflows", () => flowing(setup));
  describe("mail", () => mailing(setup));
  describe("children", () => children(setup));
  describe("the feed", () => feeding(setup));
  describe("transactions", () => transacting(setup, begin));
}

function noBegin(): Promise<never> {
  return Promise.reject(new Error("this store has transactions; tell the suite how one begins"));
}

/** The store, but a call of what it lacks skips the test. The end of a run is waited for in any case. */
function skipping(store: Guarded, skip: (feature: Feature) => never): Guarded {
  const { lacks } = store;
  const absent = (features: readonly Feature[]) =>
    Object.fromEntries(features.filter((each) => lacks[each] !== undefined).map((each) => [each, () => skip(each)]));
  const port = <P extends object>(own: P, feature: "ticks" | "schedules" | "flow" | "feed"): P =>
    lacks[feature] === undefined ? own : new Proxy(own, { get: () => () => skip(feature) });
  return {
    ...store,
    add: (batch, tx) => (tx && lacks.tx !== undefined ? skip("tx") : store.add(batch, tx)),
    runs: {
      ...store.runs,
      ...absent(["note", "listen"]),
      settle: (batch) =>
        lacks.flow !== undefined && batch.some(({ outcome }) => outcome.to === "waiting")
          ? skip("flow")
          : store.runs.settle(batch),
    },
    desk: { ...store.desk, ...absent(["revive", "edit", "pause", "purge"]) },
    find: { ...store.find, ...absent(["jobs", "attempts", "logs", "stats", "series", "facts"]) },
    ticks: port(store.ticks, "ticks"),
    schedules: port(store.schedules, "schedules"),
    flow: port(store.flow, "flow"),
    feed: port(store.feed, "feed"),
    nodes: {
      ...store.nodes,
      publish: (node, jobs) => {
        const declares = jobs.some(({ schedules }) => schedules && schedules.length > 0);
        return declares && lacks.schedules !== undefined ? skip("schedules") : store.nodes.publish(node, jobs);
      },
    },
  };
}
