/** Answers that get lost, locks that others hold, and instants that are cut: what only a real Postgres shows. */
import type pg from "pg";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { StoreUnavailable } from "../../sdk/port/error.ts";
import type { Added } from "../../sdk/port/target.ts";
import { createRuntime } from "../../runtime/runtime.ts";
import { adder } from "../../runtime/store/postgres/add.ts";
import { Watching } from "../../runtime/store/postgres/feed.ts";
import { idBlocks } from "../../runtime/store/postgres/id.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { Lanes } from "../../runtime/store/postgres/lane.ts";
import { openPool, type Pool } from "../../runtime/store/postgres/pool.ts";
import { sql } from "../../runtime/store/postgres/sql.ts";
import type { Taken, Guarded } from "../../runtime/store/port.ts";
import { aKey, anEntry, aRun, ended, lease, leased, only, settled, wire } from "../kit/build.ts";
import { ownStore } from "../kit/store.ts";
import { startProxy } from "../kit/proxy.ts";
import { until } from "../kit/until.ts";
import { aJob } from "../runtime/kit.ts";

let url: string;
let store: Guarded;
let client: pg.Client;
let node: number;
beforeAll(async () => {
  const own = await ownStore();
  ({ url, store, node, client } = own);
  return own.close;
});

/** An adder whose first statement of this name is written, but whose answer is lost; `meanwhile` runs before it is repeated. */
async function losing(name: string, meanwhile: () => Promise<unknown>) {
  const pool = openPool({ url: url, max: 2, prepare: true, name: "test" });
  let isLost = false;
  const leaky: Pool = {
    ...pool,
    async rows(named, statement, values) {
      const rows = await pool.rows(named, statement, values);
      if (named !== name || isLost) return rows;
      isLost = true;
      await meanwhile();
      throw new StoreUnavailable("test", new Error("the answer was lost"));
    },
  };
  const text = sql("tasker", false);
  const ids = idBlocks(leaky, text, new Watching());
  return { add: adder(leaky, text, new Lanes(leaky, text), ids), close: pool.close, isLost: () => isLost };
}

async function liveAndPast(id: number): Promise<readonly number[]> {
  const count = async (table: string): Promise<number> => {
    const { rows } = await client.query<{ n: number }>(`select count(*)::int n from tasker.${table} where id = $1`, [
      id,
    ]);
    return rows[0]!.n;
  };
  return [await count("runs"), await count("history")];
}

test("an add whose answer was lost makes each run once, though it is repeated", async () => {
  for (const [name, runs] of [
    ["tasker_add_one", [aRun()]],
    ["tasker_add_plain", [aRun(), aRun()]],
    ["tasker_add_journal", [aRun({ replayOf: 1, journal: [{ ...anEntry(1), atMs: 1, runs: null }] })]],
  ] as const) {
    const cut = await losing(name, () => Promise.resolve());

    const added = (await cut.add(runs)) as readonly Added[];

    expect(cut.isLost()).toBe(true);
    for (const { id } of added) expect(await liveAndPast(id)).toEqual([1, 0]);
    expect(await store.flow.read(added[0]!.id)).toHaveLength(name === "tasker_add_journal" ? 1 : 0);
    await cut.close();
  }
});

test("an add whose answer was lost runs nothing twice, also if its run was over before the repeat", async () => {
  const job = "quick";
  const cut = await losing("tasker_add_one", async () => {
    const { leases } = await store.runs.lease({
      ...{ node, jobs: [job], queues: { not: [] }, limit: 1, aheadMs: 0, ttlMs: 60_000 },
      ...{ order: "priority", poll: true },
    });
    await store.runs.settle([settled(leases[0]!)]);
  });

  const { id } = only(await cut.add([aRun({ job })])) as Added;

  expect(cut.isLost()).toBe(true);
  expect(await liveAndPast(id)).toEqual([0, 1]);
  await cut.close();
});

/** How many sessions of this database wait for a lock of this kind. */
async function waiting(kind: string): Promise<number> {
  const { rows } = await client.query<{ n: number }>(
    "select count(*)::int n from pg_stat_activity where datname = current_database() and wait_event = $1",
    [kind],
  );
  return rows[0]!.n;
}

/** Until the test is over, what moves runs to history waits within its transaction while `client` holds the advisory lock 1. */
async function pausing(): Promise<void> {
  await client.query(`
    create or replace function pause() returns trigger language plpgsql as 'begin perform pg_advisory_xact_lock_shared(1); return new; end';
    create trigger pause before insert on tasker.history for each row execute function pause()`);
  onTestFinished(async () => void (await client.query("drop trigger pause on tasker.history")));
}

test("an add whose answer was lost runs nothing twice, also if its run is being settled while it is repeated", async () => {
  await pausing();
  await client.query("select pg_advisory_lock(1)");
  const job = "settling";
  let settling: Promise<unknown> = Promise.resolve();
  const cut = await losing("tasker_add_one", async () => {
    settling = store.runs.settle([settled(only(await lease(store, node, { jobs: [job] })))]);
    await until(async () => (await waiting("advisory")) === 1, { what: "the settlement has deleted the run" });
  });

  const adding = cut.add([aRun({ job })]);
  await until(async () => (await waiting("transactionid")) === 1, { what: "the repeat waits for the settlement" });
  await client.query("select pg_advisory_unlock(1)");
  await settling;
  const { id } = only(await adding) as Added;

  expect(await liveAndPast(id)).toEqual([0, 1]);
  await cut.close();
});

test("of 100 triggers whose answers a network loses none runs twice, while their runs end", async () => {
  await pausing();
  const place = new URL(url);
  const proxy = await startProxy(Number(place.port));
  place.host = `127.0.0.1:${proxy.port}`;
  const far = postgres({ url: place.href, migrate: false });
  const starts: string[] = [];
  const job = aJob((payload) => void starts.push(String(payload)), { id: "flaky" });
  const runtime = createRuntime({ store: postgres({ url: url }), jobs: [job], poll: "20ms" });
  await runtime.start();
  await far.add([aRun({ job: "flaky", input: wire("first") })]); // numbers and lanes are at hand after it

  for (let n = 0; n < 100; n++) {
    if (n % 2 === 0) {
      await client.query("select pg_advisory_lock(1)");
      proxy.lose("tasker_add");
    }
    let isAdded = false;
    const adding = far.add([aRun({ job: "flaky", input: wire(n) })]).finally(() => (isAdded = true));
    const what = "the repeat waits for the settlement, or came before it";
    await until(async () => isAdded || (await waiting("transactionid")) > 0, { what });
    if (n % 2 === 0) await client.query("select pg_advisory_unlock(1)");
    await adding;
  }
  await until(() => new Set(starts).size === 101, { what: "all have started" });
  await runtime.stop();

  expect(proxy.lost).toBe(50);
  expect(starts).toHaveLength(101);
  await far.close();
  await proxy.close();
});

test("a keyed add whose answer was lost runs nothing twice, also if others had its key since", async () => {
  const run = aRun({ job: "reused", key: aKey("reused", { keepMs: 0 }) });
  const end = async () =>
    store.runs.settle((await lease(store, node, { jobs: ["reused"] })).map((one) => settled(one)));
  const cut = await losing("tasker_add_keyed_soon", async () => {
    await end();
    await store.add([run]);
    await end();
  });

  const { id, created } = only(await cut.add([run])) as Added;

  expect(created).toBe(true);
  expect(await liveAndPast(id)).toEqual([0, 1]);
  await cut.close();
});

test("runs added under a lease whose answer was lost are there once, and anybody's at once", async () => {
  const job = "direct";
  const cut = await losing("tasker_add_leased", () => Promise.resolve());

  const added = only(await cut.add([aRun({ job })], { lease: { node, ttlMs: 60_000 } })) as Taken;

  expect(cut.isLost()).toBe(true);
  expect(added.lease).toBeNull();
  expect(await liveAndPast(added.id)).toEqual([1, 0]);
  expect(only(await lease(store, node, { jobs: [job] }))).toMatchObject({ id: added.id, token: 3, crashes: 0 });
  await cut.close();
});

test("a keyed add whose answer was lost is answered as created", async () => {
  const cut = await losing("tasker_add_keyed_soon", () => Promise.resolve());

  const added = only(await cut.add([aRun({ key: aKey("lost") })])) as Added;

  expect(added.created).toBe(true);
  expect(await liveAndPast(added.id)).toEqual([1, 0]);
  await cut.close();
});

test("of many who find a key let go of, one makes the new run", async () => {
  await ended(store, node, undefined, { key: aKey("freed", { keepMs: 0 }) });
  const stores = Array.from({ length: 8 }, () => postgres({ url: url, migrate: false }));

  const answers = await Promise.all(stores.map((one) => one.add([aRun({ key: aKey("freed") })])));

  expect(answers.flat().filter((answer) => (answer as Added).created)).toHaveLength(1);
  expect(new Set(answers.flat().map((answer) => (answer as Added).id)).size).toBe(1);
  await Promise.all(stores.map((one) => one.close()));
});

test("a resume and a trigger with the same key at once leave one live run", async () => {
  for (let round = 0; round < 10; round++) {
    const key = aKey(`race-${round}`);
    const { id } = only(await store.add([aRun({ key })])) as Added;
    await store.desk.cancel([id]);

    await Promise.all([store.desk.revive([id], "canceled"), store.add([aRun({ key })])]);

    const { rows } = await client.query("select id from tasker.runs where key = $1", [key.key]);
    expect(rows).toHaveLength(1);
  }
});

test("an open transaction that claims a key keeps nobody waiting who resumes or purges the key's former run", async () => {
  const key = aKey("taken-over");
  const { id } = only(await store.add([aRun({ key })])) as Added;
  await store.desk.cancel([id]);
  await client.query("begin");
  await store.add([aRun({ key })], client);
  const asked = performance.now();

  const acts = await Promise.allSettled([
    ...Array.from({ length: 12 }, () => store.desk.revive([id], "canceled")),
    store.desk.purge({ ids: [id] }, 10),
  ]);
  const tookMs = performance.now() - asked;
  await client.query("rollback");

  for (const act of acts)
    expect((act as PromiseRejectedResult).reason).toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringMatching(
        /another open transaction claims the idempotency key.*; repeat the call/,
      ) as string,
      stack: expect.stringMatching(/^StoreUnavailable: another open transaction/) as string,
      cause: { code: "55P03" },
    });
  expect(tookMs).toBeLessThan(4500);
  expect(only(await store.desk.revive([id], "canceled")).done).toBe("done");
});

test("a resume comes through once the open transaction that claims its key has ended, if that is soon", async () => {
  const key = aKey("given-back");
  const { id } = only(await store.add([aRun({ key })])) as Added;
  await store.desk.cancel([id]);
  await client.query("begin");
  await store.add([aRun({ key })], client);

  const resumed = store.desk.revive([id], "canceled");
  await store.add([aRun()]);
  await client.query("rollback");

  expect(only(await resumed).done).toBe("done");
});

test("a row that somebody keeps locked stalls neither those who wait for its run nor anybody else", async () => {
  const { id } = only(await store.add([aRun({ delayMs: 60_000 })])) as Added;
  await client.query("begin");
  await client.query("select 1 from tasker.runs where id = $1 for update", [id]);

  const waiting = Array.from({ length: 5 }, () => store.find.awaited(id, 100));
  const other = await leased(store, node, { job: "free" });

  expect(await store.runs.settle([settled(other)])).toEqual(["settled"]);
  expect(await Promise.all(waiting)).toEqual([null, null, null, null, null]);
  await client.query("rollback");
});

/** A store whose answers a test may lose, and what a runtime on it logs. */
async function lossy() {
  const place = new URL(url);
  const proxy = await startProxy(Number(place.port));
  place.host = `127.0.0.1:${proxy.port}`;
  const lines: string[] = [];
  const write = (_fields: object, message: string): void => void lines.push(message);
  const logger = { debug: write, info: write, warn: write, error: write };
  return { proxy, lines, about: { store: postgres({ url: place.href, migrate: false }), logger } };
}

test("runs whose claim was not answered start with the next claim, not once their lease ends", async () => {
  const { proxy, about } = await lossy();
  const attempts: number[] = [];
  const job = aJob((_payload, ctx) => void attempts.push(ctx.attempt), { id: "unheard" });
  const runtime = createRuntime({ ...about, jobs: [job], poll: "100ms", lease: "60s" });
  const added = (await store.add([1, 2, 3].map(() => aRun({ job: "unheard" })))) as readonly Added[];

  proxy.lose("tasker_lease");
  await runtime.start();
  await until(() => attempts.length === 3, { what: "all have started", timeoutMs: 10_000 });
  await runtime.stop();

  expect(proxy.lost).toBe(1);
  expect(attempts).toEqual([1, 1, 1]);
  for (const { id } of added)
    expect(await store.find.get(id)).toMatchObject({ status: "completed", token: 2, attempt: 1, crashes: 0 });
  await proxy.close();
});

test("a settlement whose answer was lost is not said to be refused, though the run has started again meanwhile", async () => {
  const { proxy, lines, about } = await lossy();
  const attempts: number[] = [];
  const retry = { delay: "1ms", jitter: false } as const;
  const handler = (_payload: unknown, ctx: { readonly attempt: number }): void => {
    if (attempts.push(ctx.attempt) === 1) throw new Error("again");
  };
  const runtime = createRuntime({ ...about, jobs: [aJob(handler, { id: "again", retry })], poll: "20ms" });
  await runtime.start();

  proxy.lose("tasker_retry");
  const { id } = only(await store.add([aRun({ job: "again" })])) as Added;
  await until(async () => (await store.find.get(id))?.status === "completed", { what: "the run has ended" });
  await runtime.stop();

  expect(proxy.lost).toBe(1);
  expect(attempts).toEqual([1, 2]);
  expect(lines.filter((line) => line.includes("Lease lost"))).toEqual([]);
  await proxy.close();
});

test("a claim passes by runs that crashed too often for it; one whose lease ran out counts as crashed once", async () => {
  const job = "suspect";
  const [often, lapsed, never] = (await store.add([1, 2, 3].map(() => aRun({ job })))).map((one) => (one as Added).id);
  await client.query("update tasker.runs set crashes = 2 where id = $1", [often]);
  await client.query("update tasker.runs set token = 1, node = 0, lease_until = 'epoch' where id = $1", [lapsed]);
  const claims = [{ crashesBelow: 1 }, { crashesBelow: 2, order: "oldest" }, {}] as const;

  const brought: (readonly number[])[] = [];
  for (const claim of claims) brought.push((await lease(store, node, { jobs: [job], ...claim })).map(({ id }) => id));

  expect(brought).toEqual([[never], [lapsed], [often]]);
});

test("an instant that falls between two milliseconds is moved to the later one, so that nothing starts early", async () => {
  const delays = [1, 2, 3, 7, 250].map((delayMs) => aRun({ delayMs }));

  const ids = (await store.add(delays)).map((added) => (added as Added).id);

  const { rows } = await client.query<{ early: boolean; whole: boolean }>(
    `select due_at < created_at + d.ms * interval '1 ms' early, due_at = date_trunc('milliseconds', due_at) whole
     from tasker.runs join unnest($1::bigint[], $2::int[]) d(id, ms) using (id)`,
    [ids, [1, 2, 3, 7, 250]],
  );
  expect(rows).toEqual(ids.map(() => ({ early: false, whole: true })));
});
