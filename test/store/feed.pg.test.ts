/** What watching costs a Postgres server, and how processes hear of it that ask for nothing. */
import pg from "pg";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { eventsOf } from "../../sdk/client/events.ts";
import type { Item } from "../../sdk/client/hub.ts";
import { runsOf, queuesOf } from "../../sdk/client/runs.ts";
import { schedulesOf } from "../../sdk/client/schedules.ts";
import { formatId } from "../../sdk/port/id.ts";
import { createRuntime } from "../../runtime/runtime.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { addMany, addOne, aNode, aSchedule, aState } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { aJob } from "../runtime/kit.ts";

let database: Database;
let client: pg.Client;
let store: Guarded;
beforeEach(async () => {
  database = await freshDatabase();
  onTestFinished(database.drop); // the last to be done: what reads the feed ends before
  store = anotherStore();
  await store.open();
  client = new pg.Client({ connectionString: database.url });
  client.on("error", () => undefined);
  await client.connect();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await client.end();
});

/** As another process has it. */
function anotherStore(): Guarded {
  const made = postgres({ url: database.url });
  onTestFinished(() => made.close());
  return made;
}

const open = (of: Guarded) => () => Promise.resolve(of);

/** Watches; answers once whatever happens from now on is seen. */
async function watch(of: Guarded): Promise<{ readonly seen: readonly Item[]; stop(): Promise<void> }> {
  const stopping = new AbortController();
  const seen: Item[] = [];
  const reading = (async () => {
    for await (const event of eventsOf(open(of), { signal: stopping.signal })) seen.push(event);
  })();
  await until(() => of.feed.watched, { what: "it watches" });
  const stop = async (): Promise<void> => {
    stopping.abort();
    await reading;
  };
  onTestFinished(stop);
  return { seen, stop };
}

/** Names and texts of the statements that this process sends while `act` goes on. */
async function statements(act: () => Promise<unknown>): Promise<readonly string[]> {
  const query = vi.spyOn(pg.Client.prototype, "query");
  try {
    await act();
    return query.mock.calls.map(([config]) => {
      const { name, text } = config as unknown as { name?: string; text: string };
      return name ?? text;
    });
  } finally {
    query.mockRestore();
  }
}

async function walBytes(act: () => Promise<unknown>): Promise<number> {
  const lsn = async (): Promise<string> =>
    (await client.query<{ lsn: string }>("select pg_current_wal_insert_lsn() lsn")).rows[0]!.lsn;
  const before = await lsn();
  await act();
  const { rows } = await client.query<{ bytes: string }>("select pg_wal_lsn_diff($1, $2) bytes", [await lsn(), before]);
  return Number(rows[0]!.bytes);
}

/** A process's life: a node runs jobs, an application adds and acts, all of it while somebody watches or not. */
async function life(of: Guarded): Promise<void> {
  const jobs = [aJob(() => null, { id: "quick", schedule: { every: "1s" } })];
  const runtime = createRuntime({ store: of, jobs, poll: "200ms" });
  await runtime.start();
  await addMany(of, 200, { job: "quick" });
  await addOne(runtime.store, { job: "quick" });
  const id = formatId(await addOne(of, { job: "nobody" }));
  const runs = runsOf(open(of));
  await runs.edit(id, { delay: "1h" });
  await runs.cancel(id);
  await runs.resume(id);
  await queuesOf(open(of)).pause("mail");
  await queuesOf(open(of)).resume("mail");
  await of.schedules.put([aSchedule({ job: "nobody", key: "k" })]);
  await schedulesOf(open(of)).pause("nobody@k");
  await schedulesOf(open(of)).remove("nobody@k");
  await until(async () => (await of.find.list({ job: ["quick"], status: ["pending", "leased"] })).items.length === 0, {
    what: "all runs have ended",
  });
  await until(async () => (await of.schedules.list({ job: ["quick"] })).items[0]!.count > 0, { what: "it ticks" });
  await runtime.stop();
}

test("while nobody watches, no statement of the feed is sent, nothing of it is written, and no connection listens for it", async () => {
  const sent = await statements(() => life(store));

  expect(sent.length).toBeGreaterThan(20);
  expect(sent.filter((name) => name.includes("feed"))).toEqual([]);
  const { rows } = await client.query<{ size: string }>(
    "select sum(pg_relation_size(c.oid)) size from pg_class c where relname in ('feed', 'feed_head') and relkind = 'r'",
  );
  expect(Number(rows[0]!.size)).toBe(0);
});

test("the same is told of while somebody watches", async () => {
  const watcher = anotherStore();
  const { seen } = await watch(watcher);

  const sent = await statements(() => life(store));

  await until(() => seen.some(({ type }) => type === "node.stopped"), { what: "the node's end is told" });
  expect(sent).toContain("tasker_feed_write");
  const types = new Set(seen.map(({ type }) => type));
  for (const type of [
    ...["node.started", "node.stopping", "node.stopped", "run.scheduled", "run.started", "run.completed"],
    ...["run.edited", "run.canceled", "run.resumed", "queue.paused", "queue.resumed"],
    ...["schedule.changed", "schedule.paused", "schedule.removed", "schedule.ticked"],
  ])
    expect(types).toContain(type);
  const ended = seen.filter((event) => event.type === "run.completed");
  expect(new Set(ended.map((event) => "run" in event && event.run)).size).toBeGreaterThanOrEqual(201);
  expect(seen.filter(({ type }) => type === "gap")).toEqual([]);
});

test("events cost no write-ahead log but the end of a transaction", async () => {
  await store.feed.watch(60_000);
  const texts = Array.from({ length: 100 }, (_, n) => JSON.stringify({ type: "run.started", run: formatId(n) }));
  await store.feed.write(texts);

  const bytes = await walBytes(async () => {
    for (let n = 0; n < 20; n++) await store.feed.write(texts);
  });

  expect(bytes / 2000).toBeLessThan(2); // an event; as rows of a logged table they would be 60 each
});

test("a process hears of the watch by what it sends anyway: with a block of ids, an act, as a node", async () => {
  const acts: readonly ((of: Guarded) => Promise<unknown>)[] = [
    (of) => addOne(of),
    (of) => of.nodes.join(aNode(), 30_000),
    async (of) => of.desk.cancel([await addOne(store)]),
    async (of) => {
      const id = await addOne(store);
      await store.desk.cancel([id]);
      await of.desk.revive([id], "canceled");
    },
    async (of) => of.desk.edit(await addOne(store), { delayMs: 1000 }),
    (of) => of.desk.pause("mail", true),
    (of) => of.schedules.put([aSchedule({ job: "j", key: "k" })]),
    (of) => of.schedules.pause({ job: "j", key: "k" }, true),
    (of) => of.schedules.pause({ job: "j", key: "k" }, false),
    (of) => of.schedules.remove({ job: "j", key: "k" }),
    async (of) => of.nodes.beat(await of.nodes.join(aNode(), 30_000), 30_000, aState(), []),
  ];
  await store.feed.watch(60_000);

  for (const act of acts) {
    const other = anotherStore();
    const before = other.feed.watched;
    await act(other);

    expect([before, other.feed.watched, String(act)]).toEqual([false, true, String(act)]);
  }
});

test("a trigger of a process that runs no node, and exits at once, is seen by a watcher in another", async () => {
  const watcher = anotherStore();
  const { seen } = await watch(watcher);
  const short = postgres({ url: database.url });

  const id = await addOne(short, { job: "nobody" });
  await short.close();

  const [event] = await until(() => (seen.length > 0 ? seen : null), { what: "it is seen" });
  expect(event).toMatchObject({ type: "run.scheduled", run: formatId(id), job: "nobody" });
});

test("a node hears at once that somebody begins to watch", async () => {
  const runtime = createRuntime({ store, jobs: [aJob(() => null)], poll: "2s", lease: "60s" });
  onTestFinished(() => runtime.stop());
  await runtime.start();
  const watcher = anotherStore();

  await watcher.feed.watch(60_000);

  await until(() => store.feed.watched, { what: "the node has heard of it", timeoutMs: 1000 });
});

test("two watchers in two processes, and both hear of the same in the same order", async () => {
  const [one, two] = [await watch(anotherStore()), await watch(anotherStore())];
  const writers = [anotherStore(), anotherStore(), store];
  await addOne(store); // all know of the watch from here on
  for (const writer of writers) await addOne(writer, { job: "warm" });

  await Promise.all(writers.map((writer) => addMany(writer, 100)));

  const count = 304;
  await until(() => one.seen.length >= count && two.seen.length >= count, { what: "all is seen" });
  expect(one.seen).toEqual(two.seen);
  expect(one.seen).toHaveLength(count);
});

test("what a node could not write in time is a gap, with how much it was", async () => {
  const watcher = anotherStore();
  const { seen } = await watch(watcher);
  await store.feed.watch(60_000);

  for (let n = 0; n < 5000; n++) store.outlet.take({ type: "node.started", node: String(n) });

  const told = (): number => seen.filter(({ type }) => type === "node.started").length;
  const lost = (): number => seen.reduce((sum, event) => sum + (event.type === "gap" ? event.lost! : 0), 0);
  await until(() => told() + lost() === 5000, { what: () => `5000 are told of or lost, not ${told()} + ${lost()}` });
  expect(told()).toBeGreaterThanOrEqual(2000);
  const nodes = seen.flatMap((event) => ("node" in event && event.type === "node.started" ? [Number(event.node)] : []));
  expect(nodes).toEqual(Array.from({ length: nodes.length }, (_, n) => n));
});

test("a row whose write failed is a gap", async () => {
  const watcher = anotherStore();
  const { seen } = await watch(watcher);
  await store.feed.watch(60_000);
  const write = vi.spyOn(store.feed, "write").mockRejectedValueOnce(new Error("away"));

  store.outlet.take({ type: "node.started", node: "lost" });
  await until(() => write.mock.settledResults.length > 0, { what: "the write has failed" });
  store.outlet.take({ type: "node.started", node: "told" });

  await until(() => seen.length >= 2, { what: "the next is told" });
  expect(seen).toMatchObject([
    { type: "gap", lost: 1 },
    { type: "node.started", node: "told" },
  ]);
});

test("a crash of the server empties the feed, and a reader hears that nobody knows what it missed", async () => {
  const first = await store.feed.watch(60_000);
  await store.feed.write(["{}"]);
  await client.query("truncate tasker.feed, tasker.feed_head"); // as its recovery does
  const emptied = await store.feed.read(first.cursor, 0);

  await store.feed.watch(60_000);
  await store.feed.write(['{"type":"node.started"}']);
  const page = await store.feed.read(first.cursor, 0);

  expect(emptied).toEqual({ lines: [], cursor: first.cursor });
  expect([page.lost, page.lines.length]).toEqual([null, 1]);
});

test("rows that are left once nobody watches are pruned with history", async () => {
  await store.feed.watch(60_000);
  await store.feed.write(["{}"]);
  await client.query("update tasker.feed set at = at - interval '1 hour'");

  await store.runs.sweep({ maxCrashes: 3, keep: { completedMs: 1000, otherMs: 1000 } });

  expect((await client.query("select from tasker.feed")).rowCount).toBe(0);
});

test("many old rows are gone after one watch", async () => {
  await store.feed.watch(60_000);
  await client.query(
    "insert into tasker.feed select epoch, i - 10000, clock_timestamp() - interval '1 h', '{}' from tasker.feed_head, generate_series(1, 5000) i",
  );

  await store.feed.watch(60_000);

  expect((await client.query("select from tasker.feed")).rowCount).toBe(0);
});

test("looks of the feed go by its key, however many rows there are", async () => {
  const { cursor } = await store.feed.watch(60_000);
  await client.query(
    "insert into tasker.feed select epoch, i, clock_timestamp(), '{}' from tasker.feed_head, generate_series(1, 20000) i",
  );
  await client.query("update tasker.feed_head set n = 20000");
  const at = Number.parseInt(cursor.slice(0, 9), 36);
  await client.query("set enable_seqscan = off");

  const { rows } = await client.query<{ "QUERY PLAN": string }>(
    `explain (analyze, costs off, timing off)
     select last from tasker.feed where epoch = ${at} and last > 19990 order by last limit 50`,
  );

  expect(rows.map((row) => row["QUERY PLAN"]).join("\n")).toMatch(/Index.*feed_pkey/);
  const page = await store.feed.read(`${cursor.slice(0, 10)}${(19_990).toString(36).padStart(9, "0")}`, 0);
  expect(page.lines).toHaveLength(10);
});
