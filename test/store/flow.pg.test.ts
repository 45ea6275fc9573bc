/** Workflows where only Postgres can go wrong: statements that meet, callers' transactions, connections that die, and older versions. */
import pg from "pg";
import { beforeAll, expect, test } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { sql } from "../../runtime/store/postgres/sql.ts";
import type { Fence, Guarded, Lease } from "../../runtime/store/port.ts";
import {
  aChild,
  anEntry,
  addMany,
  completed,
  failed,
  journalOf,
  lease,
  leased,
  only,
  recordOf,
  sendTo,
  settled,
  suspended,
  waiting,
  wire,
  withChildren,
} from "../kit/build.ts";
import { ownStore } from "../kit/store.ts";
import { until } from "../kit/until.ts";

let url: string;
let store: Guarded;
let other: Guarded;
let client: pg.Client;
let node: number;
beforeAll(async () => {
  const own = await ownStore();
  ({ url, store, node, client } = own);
  other = postgres({ url });
  return async () => {
    await other.close();
    await own.close();
  };
});

const statusOf = async (id: number): Promise<string | undefined> => (await store.find.get(id))?.status;

async function leasedAgain(id: number): Promise<Lease> {
  const found = (await lease(store, node)).find((each) => each.id === id);
  if (!found) throw new Error(`run ${id} is ${await statusOf(id)}, and was not leased`);
  return found;
}

async function finish(...runs: readonly Lease[]): Promise<void> {
  await store.runs.settle(runs.map((run) => settled(run, completed, { flow: true })));
}

async function count(table: string): Promise<number> {
  return Number((await client.query<{ n: string }>(`select count(*) n from tasker.${table}`)).rows[0]!.n);
}

/** Resolves once a statement of ours waits for a lock; answers its backend. */
async function backendThatWaits(): Promise<number> {
  let pid: number | undefined;
  await until(
    async () => {
      const { rows } = await client.query<{ pid: number }>(
        "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
      );
      pid = rows[0]?.pid;
      return pid !== undefined;
    },
    { what: "a statement waits for a lock" },
  );
  return pid!;
}

test(
  "no wake-up is lost in 2,000 rounds in which a run begins to wait as something is sent to it",
  { timeout: 120_000 },
  async () => {
    const width = 8;
    await addMany(store, width);
    let runs = await lease(store, node);
    const seen = new Map<number, number>();

    for (let round = 0; round < 2000 / width; round++) {
      await Promise.all(
        runs.flatMap((run, i) => {
          const settle = (): Promise<unknown> =>
            store.runs.settle([settled(run, waiting({ seen: seen.get(run.id) ?? 0 }), { flow: true })]);
          const send = (): Promise<unknown> => sendTo(other, run.id);
          return (i + round) % 2 ? [settle(), send()] : [send(), settle()];
        }),
      );
      runs = await lease(store, node);
      if (runs.length < width) throw new Error(`${width - runs.length} slept on in round ${round}`);
      const journals = await store.flow.load(runs.map(({ id, token }) => ({ id, token, after: 1e9 })));
      runs.forEach(({ id }, i) => seen.set(id, journals[i]!.inbox));
    }

    expect([...seen.values()]).toEqual(runs.map(() => 2000 / width));
    for (const { id } of runs) expect(await store.flow.read(id)).toHaveLength(2000 / width);
    await finish(...runs);
    expect(await count("steps")).toBe(0);
  },
);

test(
  "no end of a child is lost as its parent begins to wait, in any order of statements",
  { timeout: 60_000 },
  async () => {
    const width = 20;
    await addMany(store, width);
    let parents = await lease(store, node);
    const seen = new Map<number, number>();

    for (let n = 1; n <= 40; n += 2) {
      const entries = (parent: Lease) => [anEntry(n, { kind: "child", adds: [aChild(parent.id, "kid")] })];
      await store.flow.record(
        parents.map(({ id, token }) => ({ id, token, entries: entries({ id, token } as Lease), floorMs: 0 })),
      );
      const kids = await lease(store, node, { jobs: ["child"] });
      await Promise.all([
        ...kids
          .toReversed()
          .map((kid) => other.runs.settle([settled(kid, n % 4 === 1 ? completed : failed(), { flow: true })])),
        ...parents.map((parent) =>
          store.runs.settle([
            settled(parent, waiting({ reason: "child", wants: 1, seen: seen.get(parent.id) ?? 0 }), { flow: true }),
          ]),
        ),
      ]);
      parents = await lease(store, node);
      if (parents.length < width) throw new Error(`${width - parents.length} slept on after ${n}`);
      const journals = await store.flow.load(parents.map(({ id, token }) => ({ id, token, after: n })));
      parents.forEach(({ id }, i) => seen.set(id, journals[i]!.inbox));
      expect(journals.map((journal) => journal!.entries.length)).toEqual(parents.map(() => 1));
    }

    await finish(...parents);
  },
);

test("statements of runs without workflows know nothing of these", () => {
  const {
    complete,
    finish: end,
    lease: claim,
    leaseMany,
    leaseOldest,
    leaseFound,
    hold,
    ...text
  } = sql("tasker", false);
  const { addOne, addPlain, add, addLeased, addKeyed, addKeyedSoon, release } = text;
  const hot = {
    complete,
    end,
    claim,
    leaseMany,
    leaseOldest,
    leaseFound,
    hold,
    addOne,
    addPlain,
    add,
    addLeased,
    addKeyed,
    addKeyedSoon,
    release,
  };

  for (const statement of Object.values(hot))
    expect(statement).not.toMatch(/\b(steps|mail|children|waits|inbox|alarm|wants)\b/);
});

test("a recording in a caller's transaction stalls neither what is sent to the run nor its node, and no claim passes by it", async () => {
  const run = await leased(store, node);
  await client.query("begin");
  await recordIn(run, client);

  await sendTo(store, run.id);
  expect(await store.runs.hold(node, [{ ...run, startedMs: run.dueMs }])).toEqual([]);
  expect(await store.runs.note([{ ...run, progress: { value: 1, total: null, note: null } as never }])).toEqual([]);
  await client.query("commit");

  expect(await journalOf(store, run)).toMatchObject({ inbox: 1, entries: [{ n: 1 }, { n: 2, kind: "mail" }] });
  await finish(run);
});

async function recordIn({ id, token }: Fence, tx: pg.Client) {
  return only(await store.flow.record([{ id, token, entries: [anEntry(1)], floorMs: 0 }], tx));
}

test("of two transactions that record the same step, the second is answered as one whose lease is lost", async () => {
  const run = await leased(store, node);
  const late = new pg.Client(url);
  await late.connect();
  await client.query("begin");
  await late.query("begin");

  await recordIn(run, client);
  const second = recordIn(run, late);
  await backendThatWaits();
  await client.query("commit");

  expect(await second).toBeNull();
  await late.query("rollback");
  await late.end();
  await finish(run);
});

test("whoever records while the run is leased by another writes nothing", async () => {
  const zombie = await leased(store, node);
  await client.query("begin");
  await client.query(
    "update tasker.runs set token = token + 1 where id = any(array(select id from tasker.runs where id = $1 for update skip locked))",
    [zombie.id],
  );

  const recorded = recordOf(store, zombie, [anEntry(1)]);
  await backendThatWaits();
  await client.query("commit");

  expect(await recorded).toBeNull();
  expect(await store.flow.read(zombie.id)).toEqual([]);
  await finish({ ...zombie, token: zombie.token + 1 });
});

test.each([
  ["steps", "before its entry is written"],
  ["runs", "between its entry and its runs"],
])("a recording whose connection dies at %s, %s, leaves nothing, and its repeat is answered", async (table) => {
  const run = await leased(store, node);
  const entries = [anEntry(1, { kind: "child", adds: [aChild(run.id, "a"), aChild(run.id, "a")] })];
  await client.query(`begin; lock table tasker.${table} in share mode`);

  const refused = expect(recordOf(store, run, entries)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  await client.query("select pg_terminate_backend($1)", [await backendThatWaits()]);
  await refused;
  await client.query("commit");
  const left = await store.flow.read(run.id);
  const repeated = await recordOf(store, run, entries);

  expect(left).toEqual([]);
  expect(repeated!.entries[0]!.runs).toEqual((await lease(store, node, { jobs: ["child"] })).map(({ id }) => id));
  await finish(run);
});

test("what is sent in a transaction is delivered as that commits, by a node that listens", async () => {
  const { id } = await suspended(store, node);
  let heard = false;
  const stop = await store.runs.listen(node, (what) => (heard ||= what === "due"));
  await client.query("begin");
  await store.flow.send([{ to: id, name: "go", value: wire(1), data: null }], client);
  await client.query("commit");

  await until(() => heard, { what: "the node hears of a due run" });

  await finish(await leasedAgain(id));
  await stop();
});

test("a parent hears of a child, and keeps its journal, also if a version without workflows wrote their ends", async () => {
  const [parent, over] = [await leased(store, node), await leased(store, node)];
  await recordOf(store, over, [anEntry(1)]);
  await sendTo(store, over.id);
  await withChildren(store, parent);
  const kid = only(await lease(store, node, { jobs: ["child"] }));
  await store.runs.settle([settled(parent, waiting({ reason: "child", wants: 1 }), { flow: true })]);
  await store.runs.settle([settled(kid), settled(over, failed())]);

  await store.runs.sweep({ maxCrashes: 3 });

  const woken = await leasedAgain(parent.id);
  expect(await journalOf(store, woken, 1)).toMatchObject({ entries: [{ kind: "mail", key: "a" }] });
  expect(await store.flow.read(over.id)).toMatchObject([anEntry(1)]);
  await finish(woken);
  expect(await count("mail")).toBe(0);
  expect(await count(`children where parent = ${parent.id}`)).toBe(0);
  await store.desk.revive([over.id], "failed");
  const revived = await leasedAgain(over.id);
  expect(await journalOf(store, revived)).toMatchObject({ entries: [anEntry(1)] });
  await finish(revived);
});

test("a run that comes back is told of the ends that it missed", async () => {
  const parent = await leased(store, node);
  const [first] = await withChildren(store, parent, 2);
  const kids = await lease(store, node, { jobs: ["child"] });
  await store.runs.settle([settled(parent, failed(), { flow: true })]);
  await store.runs.settle([
    settled(
      kids.find(({ id }) => id === first)!,
      completed,
      { flow: true },
    ),
  ]);

  await store.desk.revive([parent.id], "failed");
  const woken = await leasedAgain(parent.id);
  const journal = await journalOf(store, woken, 1);
  await store.runs.settle([
    settled(woken, waiting({ reason: "child", wants: 1, seen: journal!.inbox }), { flow: true }),
  ]);
  const before = await statusOf(parent.id);
  await store.runs.settle([
    settled(
      kids.find(({ id }) => id !== first)!,
      completed,
      { flow: true },
    ),
  ]);

  expect(journal!.entries.map(({ data }) => (JSON.parse(data!) as { run: number }).run)).toEqual([first]);
  expect([before, await statusOf(parent.id)]).toEqual(["waiting", "pending"]);
  await finish(await leasedAgain(parent.id));
});
