/** Workflows where only Postgres can go wrong: statements that meet, transactions of callers, answers that are lost. */
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded, Lease, Outcome } from "../../runtime/store/port.ts";
import type { NewEntry } from "../../sdk/port/flow.ts";
import { aNode, aRun, completed, failed, lease, leased, only, settled, wire } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";

let database: Database;
let store: Guarded;
let other: Guarded;
let client: pg.Client;
let node: number;
beforeAll(async () => {
  database = await freshDatabase();
  store = postgres({ url: database.url });
  other = postgres({ url: database.url });
  await store.open();
  client = new pg.Client(database.url);
  await client.connect();
  node = await store.nodes.join(aNode(), 600_000);
});
afterAll(async () => {
  await client.end();
  await store.close();
  await other.close();
  await database.drop();
});

function aStep(n: number, overrides: Partial<NewEntry> = {}): NewEntry {
  return { n, kind: "step", key: `step${n}`, value: wire(n), data: null, ...overrides };
}
function waiting(overrides: Partial<Extract<Outcome, { to: "waiting" }>> = {}): Outcome {
  return { to: "waiting", reason: "signal", untilMs: null, seen: 0, wants: 0, error: null, ...overrides };
}
async function suspend(run: Lease, overrides: Partial<Extract<Outcome, { to: "waiting" }>> = {}) {
  return only(await store.runs.settle([settled(run, waiting(overrides), { flow: true })]));
}
const mail = (to: number, name = "go") => ({ to, name, value: wire("x"), data: null });
const fenceOf = ({ id, token }: Lease) => ({ id, token });
const statusOf = async (id: number) => {
  const run = await store.find.get(id);
  return run && [run.status, run.reason];
};
async function again(id: number): Promise<Lease | undefined> {
  return (await lease(store, node)).find((each) => each.id === id);
}

test("a workflow records, waits, is sent to, reads, and takes its journal into history", async () => {
  const first = await leased(store, node);
  const run = first.id;

  const recorded = only(await store.flow.record([{ ...fenceOf(first), entries: [aStep(1), aStep(2)], floorMs: 0 }]));
  const repeated = only(
    await store.flow.record([
      { ...fenceOf(first), entries: [aStep(2, { value: wire("other") }), aStep(3)], floorMs: 0 },
    ]),
  );
  await suspend(first);
  const asleep = await statusOf(run);
  const sent = await store.flow.send([
    mail(run),
    mail(999_999),
    { to: { job: "job", key: "nobody" }, name: "go", value: null, data: null },
  ]);
  const second = (await again(run))!;
  const journal = only(await store.flow.load([{ ...fenceOf(second), after: 1 }]));
  const done = await store.runs.settle([settled(second, completed, { flow: true })]);

  expect(recorded).toMatchObject({ entries: [{ n: 1, runs: null }, { n: 2 }], inbox: 0 });
  expect((repeated as { entries: unknown[] }).entries[0]).toEqual((recorded as { entries: unknown[] }).entries[1]);
  expect(asleep).toEqual(["waiting", "signal"]);
  expect(sent).toEqual([
    { id: run, done: "sent" },
    { id: null, done: "missing" },
    { id: null, done: "missing" },
  ]);
  expect(journal).toMatchObject({
    inbox: 1,
    entries: [{ n: 2, value: wire(2) }, { n: 3 }, { n: 4, kind: "mail", key: "go", value: wire("x") }],
  });
  expect(done).toEqual(["settled"]);
  expect(await store.flow.read(run)).toMatchObject([
    { n: 1, kind: "step", value: wire(1) },
    { n: 2 },
    { n: 3 },
    { n: 4, kind: "mail" },
  ]);
  expect(await store.flow.send([mail(run)])).toEqual([{ id: run, done: "ended" }]);
  const left = await client.query(
    "select (select count(*)::int from tasker.steps) + (select count(*)::int from tasker.mail) n",
  );
  expect(left.rows).toEqual([{ n: 0 }]);
});

test("children are added with their entry, and their ends wake the parent once it has as many as it wants", async () => {
  const parent = await leased(store, node);
  const child = (key: string) => aRun({ job: "child", options: { parent: { run: parent.id, key } } });
  const entry: NewEntry = {
    n: 1,
    kind: "child",
    key: "kids",
    value: null,
    data: null,
    adds: [child("kids"), child("kids"), child("kids")],
  };

  const made = only(await store.flow.record([{ ...fenceOf(parent), entries: [entry], floorMs: 0 }])) as {
    entries: { runs: number[] }[];
  };
  const same = only(await store.flow.record([{ ...fenceOf(parent), entries: [entry], floorMs: 0 }]));
  const kids = await lease(store, node, { jobs: ["child"] });
  await suspend(parent, { reason: "child", wants: 2 });
  await store.runs.settle([
    settled(kids[0]!, { to: "completed", result: wire(7), reason: null, note: null }, { flow: true }),
  ]);
  const asleep = await statusOf(parent.id);
  await store.runs.settle([settled(kids[1]!, completed, { flow: true })]);
  const awake = await statusOf(parent.id);
  const next = (await again(parent.id))!;
  const journal = only(await store.flow.load([{ ...fenceOf(next), after: 0 }]))!;
  await suspend(next, { reason: "child", seen: journal.inbox, wants: 5 });
  await store.runs.settle([settled(kids[2]!, failed(), { flow: true })]);

  expect(same).toEqual(made);
  expect(made.entries[0]!.runs).toEqual(kids.map(({ id }) => id).sort((a, b) => a - b));
  expect(asleep).toEqual(["waiting", "child"]);
  expect(awake).toEqual(["pending", null]);
  expect(journal.entries.map(({ n, kind, key, value }) => ({ n, kind, key, value }))).toEqual([
    { n: 1, kind: "child", key: "kids", value: null },
    { n: 2, kind: "mail", key: "kids", value: wire(7) },
    { n: 3, kind: "mail", key: "kids", value: null },
  ]);
  expect(JSON.parse(journal.entries[1]!.data!)).toEqual({
    run: kids[0]!.id,
    status: "completed",
    reason: null,
    error: null,
  });
  expect(await statusOf(parent.id)).toEqual(["pending", null]);
  await store.runs.settle([settled((await again(parent.id))!, completed, { flow: true })]);
});
