/** What tests of examples play on: `testRuntime`, and the same verbs on a Postgres, with the real clock, whose store's clock they move. */
import type { Client } from "pg";
import { testRuntime, type TestRuntime, type TestRuntimeOptions } from "tasker/testing";
import { afterAll, beforeAll } from "vitest";
import { configured } from "../../sdk/client/config.ts";
import { each } from "../../sdk/client/page.ts";
import { runsOf } from "../../sdk/client/runs.ts";
import { completeOf, signalOf } from "../../sdk/client/signal.ts";
import { parseId } from "../../sdk/port/id.ts";
import { toMs } from "../../sdk/port/duration.ts";
import type { Target } from "../../sdk/port/target.ts";
import { systemClock } from "../../runtime/core/clock.ts";
import { createRuntime, type Runtime } from "../../runtime/runtime.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { Life } from "../../runtime/testing/life.ts";
import { stepsOf } from "../../runtime/testing/step.ts";
import { Watch } from "../../runtime/testing/watch.ts";
import { freshDatabase, type Database } from "../kit/database.ts";
import { postgresStores } from "../kit/postgres.ts";
import { until } from "../kit/until.ts";

export type Stage = AsyncDisposable &
  Pick<TestRuntime, "advance" | "idle" | "signal" | "complete" | "crash" | "crashAfter" | "writes" | "steps">;
type Options = Required<Pick<TestRuntimeOptions, "jobs">> & Pick<TestRuntimeOptions, "alwaysReplay">;

/** For `describe.each`: the name of a store, and what opens a stage on it. */
export function stages(): readonly (readonly [store: string, open: (options: Options) => Promise<Stage>])[] {
  let database: Database;
  let stores: Awaited<ReturnType<typeof postgresStores>>;
  beforeAll(async () => {
    database = await freshDatabase();
    stores = await postgresStores(database.url);
  });
  afterAll(async () => {
    await stores.close();
    await database.drop();
  });
  return [
    ["memory", testRuntime],
    [
      "Postgres",
      async (options) => {
        const store = await stores.open({ onAdvance: () => undefined });
        await store.open();
        return stageOn(store, stores.client, options);
      },
    ],
  ];
}

/** Nodes on one store, one after the other. Their leases outlast all moves of the clock; a node that dies leaves. */
async function stageOn(store: Guarded, client: Client, { jobs, alwaysReplay = false }: Options): Promise<Stage> {
  const watch = new Watch({ replays: alwaysReplay });
  const flights = new Set<Promise<unknown>>();
  const mortal = { ...store, runs: flying(store.runs, flights), nodes: flying(store.nodes, flights) };
  const target: Target = { ...store, add: (...args) => runtime.store.add(...args) };
  const open = (): Promise<Target> => Promise.resolve(target);
  let life: Life;
  let runtime: Runtime;
  let taken: Promise<void> = Promise.resolve();
  let written = 0;

  const begin = (): void => {
    life = new Life(mortal, systemClock, takeOver);
    runtime = createRuntime({
      store: { ...life.store, close: async () => undefined },
      jobs: jobs.map((job) => watch.job(job)),
      ...{ lease: "1000d", poll: "100ms", sweep: "100ms", grace: "0ms", keep: { completed: "1000d" } },
    });
  };
  const takeOver = (): void => {
    const { node, writes } = life;
    written += writes;
    begin();
    const next = runtime;
    taken = taken.then(async () => {
      await Promise.allSettled(flights); // what a dead node had sent may lease runs, or renew its lease
      for await (const { id, token } of each((paging) => store.find.list({ status: ["leased", "running"] }, paging)))
        await store.runs.hold(node, [{ id, token, startedMs: null }]);
      await store.nodes.leave(node);
      await next.start();
    });
  };
  const nowMs = async (): Promise<number> => {
    const sql = "select date_part('epoch', clock_timestamp() + by) * 1000 as ms from suite.skew";
    return (await client.query<{ ms: number }>(sql)).rows[0]!.ms;
  };
  const move = async (ms: number): Promise<void> => {
    await client.query("update suite.skew set by = by + $1::float8 * interval '1 ms'", [ms]);
    await client.query("select pg_notify('tasker:suite', 'd')");
  };
  /** Answers when the next run is due, once none is due now or at work; epoch ms. */
  const idle = async (): Promise<number> =>
    until(
      async () => {
        await taken;
        const now = await nowMs();
        let next = Infinity;
        const live = ["pending", "leased", "running", "waiting"] as const;
        for await (const { status, dueAt } of each((paging) =>
          store.find.list({ status: live, hooks: true }, paging),
        )) {
          const dueMs = dueAt.getTime();
          if (status === "leased" || status === "running" || (status === "pending" && dueMs <= now)) return null;
          if (dueMs > now) next = Math.min(next, dueMs);
        }
        return next;
      },
      { what: "no run is due or at work", timeoutMs: 60_000 },
    );

  begin();
  await runtime!.start();
  const forget = configured(target);
  return {
    async advance(by) {
      let next = await idle();
      const endMs = (await nowMs()) + toMs(by);
      for (let left = toMs(by); left > 0; left = endMs - (await nowMs())) {
        await move(Math.min(left, Math.max(1, next - (await nowMs()))));
        next = await idle();
      }
    },
    idle: async () => void (await idle()),
    async signal(...args) {
      await signalOf(open)(...args);
      await idle();
    },
    async complete(...args) {
      await completeOf(open)(...args);
      await idle();
    },
    async crash() {
      life.die();
      await idle();
    },
    crashAfter: (writes) => void (life.left = writes),
    get writes() {
      return written + life.writes;
    },
    async steps(run) {
      const { id } = await runsOf(open).need(typeof run === "object" && "id" in run ? run.id : run);
      return stepsOf(await store.flow.read(parseId(id)));
    },
    async [Symbol.asyncDispose]() {
      forget();
      await taken;
      await runtime.stop();
      await store.close();
    },
  };
}

/** A port whose calls are in `flights` until they are answered. */
function flying<P extends object>(port: P, flights: Set<Promise<unknown>>): P {
  const counted = ([name, call]: [string, unknown]): [string, unknown] => [
    name,
    (...args: readonly unknown[]): Promise<unknown> => {
      const flight = (call as (...args: readonly unknown[]) => Promise<unknown>).apply(port, [...args]);
      flights.add(flight);
      const landed = (): void => void flights.delete(flight);
      flight.then(landed, landed);
      return flight;
    },
  ];
  return Object.fromEntries(Object.entries(port).map(counted)) as P; // the same names, and functions of the same types
}
