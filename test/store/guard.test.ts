import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { features, guard } from "../../runtime/store/guard.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import { createRuntime } from "../../runtime/runtime.ts";
import { configure, target } from "../../sdk/client/config.ts";
import { NotSupported } from "../../sdk/port/error.ts";
import type { NewEntry } from "../../runtime/store/port.ts";
import type { NewRun } from "../../sdk/port/target.ts";
import { least } from "../kit/least.ts";
import { aJob } from "../runtime/kit.ts";
import {
  addOne,
  aJob as aPublished,
  aKey,
  anEntry,
  aNode,
  aRun,
  aSchedule,
  leased,
  only,
  sendTo,
  settled,
  suspended,
} from "../kit/build.ts";

/** Functions in it, ports included. */
function methods(store: object): number {
  return Object.values(store).reduce<number>(
    (sum, value: unknown) =>
      sum + (typeof value === "function" ? 1 : typeof value === "object" && value !== null ? methods(value) : 0),
    0,
  );
}

test.each<[string, () => unknown, string]>([
  ["no store", () => createRuntime({} as never), "store"],
  ["a store that is none", () => createRuntime({ store: {} as never }), "store"],
  ["jobs that are no list", () => createRuntime({ store: memory(), jobs: {} as never }), "jobs"],
  [
    "a job that its import left undefined",
    () => createRuntime({ store: memory(), jobs: [undefined as never] }),
    "jobs",
  ],
  ["a url that is not set", () => postgres({ url: undefined as never }), "url"],
  ["no connections", () => postgres({ url: "postgres://127.0.0.1/app", max: 0 }), "max"],
  ["a misspelt option", () => postgres({ url: "postgres://127.0.0.1/app", shema: "jobs" } as never), "shema"],
  ["nothing to configure", () => configure(undefined as never), "configure"],
  ["no listener", () => createRuntime({ store: memory() }).events.on({}, undefined as never), "listener"],
  ["no filter", () => createRuntime({ store: memory() }).events.on((() => 1) as never, () => 1), "a filter of events"],
])("%s is refused, and the option is named", (_, call, path) => {
  expect(call).toThrow(expect.objectContaining({ code: "INVALID_INPUT", path }));
});

test("a store must have 14 methods, and one that has them all has 41", () => {
  const { add: _, ...all } = memory();

  expect(methods(least())).toBe(14);
  expect(methods(all)).toBe(41);
});

test("a runtime runs jobs on a store that has no more than it must, and the end of a run is polled for", async () => {
  const store = guard(least());
  const jobs = [aJob((_payload, { log, progress }) => (log.info("hello"), progress(50), 42))];
  const runtime = createRuntime({ store, jobs });
  await runtime.start();

  const id = await addOne(runtime.store);
  const run = await store.find.awaited(id, 10_000);
  await runtime.stop();

  expect(run).toMatchObject({ id, status: "completed", progress: null });
});

test("what has no fallback says which method is absent of which store, why, and what to do", async () => {
  const store = guard(least());

  const purge = store.desk.purge({}, 1);
  const stats = store.find.stats();
  const due = store.ticks.due({ node: 1, aheadMs: 0, limit: 1 });
  const put = store.schedules.put([aSchedule()]);
  const [send, load] = [store.flow.send([]), store.flow.load([])];
  const tx = store.add([aRun()], { query: () => undefined });
  const publish = store.nodes.publish(1, [aPublished({ schedules: [aSchedule()] })]);

  await expect(purge).rejects.toThrow(
    'purge is not supported by the store "least", for it keeps all; do without, or use a store that has it, such as Postgres',
  );
  for (const call of [purge, stats, due, put, send, load, tx, publish])
    await expect(call).rejects.toThrow(NotSupported);
  expect(store.feed.watched).toBe(false);
  await expect(store.feed.write(["told to nobody"])).resolves.toBeUndefined();
  await expect(store.feed.read("", 0)).rejects.toThrow(NotSupported);
  await expect(load).rejects.toThrow('flow.load is not supported by the store "least", for it does not say why');
  await expect(put).rejects.toMatchObject({ code: "NOT_SUPPORTED" });
  expect((await store.find.list({})).items).toEqual([]);
});

test("what a store lacks without a word is known, too", () => {
  const { lacks } = guard(least());

  expect(Object.keys(lacks).sort()).toEqual(
    [
      "attempts",
      "awaited",
      "edit",
      "facts",
      "feed",
      "flow",
      "jobs",
      "listen",
      "logs",
      "note",
      "pause",
      "purge",
      "revive",
    ]
      .concat(["schedules", "series", "stats", "ticks", "tx"])
      .sort(),
  );
  expect(lacks.purge).toBe("it keeps all");
  expect(guard(memory()).lacks).toEqual({ tx: "it has no transactions" });
});

test("a store is wrapped once", () => {
  const store = guard(least());

  expect(guard(store)).toBe(store);
});

test("application code may be given a store as it is written", async () => {
  const store = least();
  configure({ store });

  const to = await target();
  const id = only(await to.add([aRun()])) as { id: number };

  expect(await store.find.get(id.id)).toMatchObject({ status: "pending" });
  await expect(to.desk.purge({}, 1)).rejects.toThrow(NotSupported);
});

test.each<[string, Partial<NewRun>, RegExp]>([
  ["priority", { priority: 10 }, /has priority 10; give it 0 to 9/],
  ["instant", { dueAt: new Date(Number.NaN) }, /an instant that is not a date/],
  ["span", { delayMs: -1 }, /a span that is not a number of milliseconds/],
  ["text", { key: aKey("a\0b") }, /NUL or a lone surrogate/],
])("a run with a bad %s is refused alone", async (_what, bad, said) => {
  const store = memory();

  const answers = await store.add([aRun(), aRun(bad), aRun()]);

  expect(answers).toMatchObject([
    { created: true },
    { code: "INVALID_INPUT", message: expect.stringMatching(said) as string },
    { created: true },
  ]);
});

test("pages are bounded, and a cursor that no list made is refused in the same words by each", async () => {
  const store = memory();
  const lists = [store.find.list({}, {}), store.find.attempts({}, {}), store.schedules.list({}, {})];
  expect((await Promise.all(lists)).every(({ items }) => items.length === 0)).toBe(true);

  for (const page of [{ limit: 0 }, { limit: 1.5 }, { cursor: "none" }]) {
    const said = "limit" in page ? /is not a whole number from 1 to 200/ : /cursor "none" was not made by this list/;
    await expect(store.find.list({}, page)).rejects.toThrow(said);
    await expect(store.find.attempts({}, page)).rejects.toThrow(said);
    await expect(store.find.logs(1, page)).rejects.toThrow(said);
    await expect(store.schedules.list({}, page)).rejects.toThrow(said);
  }
});

test("figures are of whole minutes, and of a time that begins and ends", async () => {
  const store = memory();
  const filter = { from: new Date(0), to: new Date(3_600_000), stepMs: 60_000 };

  expect(await store.find.series(filter)).toEqual([]);
  for (const bad of [
    { stepMs: 0 },
    { stepMs: 1500 },
    { stepMs: Number.NaN },
    { to: filter.from },
    { from: new Date("") },
  ])
    await expect(store.find.series({ ...filter, ...bad })).rejects.toThrow(/are not whole minutes|is not after from/);
});

test("texts of outcomes and notes are cleaned and cut at one place", async () => {
  const store = memory();
  const node = await store.nodes.join({ name: "n", app: "a", version: "1" }, 30_000);
  const taken = await leased(store, node);
  const error = { name: "\0".repeat(300), message: "m".repeat(5000), stack: "s".repeat(20_000) };
  const line = { attempt: 1, at: new Date(), level: "info", message: "é".repeat(9000), data: null } as const;

  await store.runs.note([{ ...taken, progress: { value: 1, detail: "d".repeat(2000) }, lines: [line] }]);
  await store.runs.settle([settled(taken, { to: "failed", reason: "error", error })]);

  const run = (await store.find.get(taken.id))!;
  expect(run.error!.name).not.toContain("\0");
  expect(Buffer.byteLength(run.error!.name)).toBeLessThanOrEqual(256);
  expect([run.error!.message.length, run.error!.stack!.length, run.progress!.detail!.length]).toEqual([
    4096, 16_384, 1024,
  ]);
  expect(Buffer.byteLength(only((await store.find.logs(taken.id)).items).message)).toBe(8192);
});

test.each([
  ["", /name "" is not a text of 1 to 128 characters/],
  ["n".repeat(129), /is not a text of 1 to 128 characters/],
  ["a\0b", /without NUL and lone surrogates/],
])("nothing is sent under the name %j", async (name, said) => {
  const store = memory();
  const id = await addOne(store);

  await expect(sendTo(store, id, { name })).rejects.toThrow(said);
  await expect(sendTo(store, id, { name: "go", data: '"\ud800"' })).rejects.toThrow(/data of name "go" has NUL/);
});

test.each<[string, Partial<NewEntry>, RegExp]>([
  ["key", { key: "k".repeat(141) }, /key "k.+ is not a text of 1 to 140 characters/],
  ["data", { data: "a\0b" }, /data of key "a" has NUL or a lone surrogate/],
  ["run", { adds: [aRun({ priority: 10 })] }, /has priority 10; give it 0 to 9/],
  ["keyed run", { adds: [aRun({ key: aKey("k") })] }, /has a key, but a workflow adds it; leave out the key/],
])("a recording with a bad %s is refused alone", async (_what, bad, said) => {
  const store = memory();
  const node = await store.nodes.join(aNode(), 30_000);
  const runs = [await leased(store, node), await leased(store, node), await leased(store, node)];
  const entries = [anEntry(1), anEntry(1, bad), anEntry(1)];

  const answers = await store.flow.record(runs.map((run, i) => ({ ...run, entries: [entries[i]!], floorMs: 0 })));

  expect(answers).toMatchObject([
    { entries: [{ n: 1 }] },
    { code: "INVALID_INPUT", message: expect.stringMatching(said) as string },
    { entries: [{ n: 1 }] },
  ]);
});

test("a journal is not mended with entries that can't be kept", async () => {
  const store = memory();
  const { id } = await suspended(store, await store.nodes.join(aNode(), 30_000));

  await expect(store.flow.mend(id, [{ ...anEntry(1, { key: "" }), atMs: 0, runs: null }], 0)).rejects.toThrow(/key ""/);
  expect((await store.find.get(id))!.status).toBe("waiting");
});

test("a store without transactions says so of journals and mail, too", async () => {
  const store = memory();
  const tx = { query: () => undefined };

  await expect(store.flow.send([], tx)).rejects.toThrow(
    'sending in a transaction (tx) is not supported by the store "memory", for it has no transactions',
  );
  await expect(store.flow.record([], tx)).rejects.toThrow(/^recording in a transaction \(tx\) is not supported/);
});

test("who holds a key is asked for by one job and the key alone", async () => {
  const store = memory();

  await expect(store.find.list({ holds: true, key: "k" })).rejects.toThrow(/by one job and the key alone/);
  await expect(store.find.list({ holds: true, job: ["job"], key: "k", tags: [] })).rejects.toThrow(
    /leave out the rest/,
  );
  await expect(store.schedules.list({ key: "k" })).rejects.toThrow(/name their job, too/);
});

test("docs/stores.md tells of each feature which stores have it, as they declare", () => {
  const page = readFileSync(new URL("../../docs/stores.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \| [^|]+ \|$/gm)].map((row) =>
    row.slice(1),
  );
  const stores = [memory(), postgres({ url: "postgres://nobody@127.0.0.1:1/none" })];

  const declared = features.map((feature) => [
    feature,
    ...stores.map(({ lacks }) => (lacks[feature] === undefined ? "yes" : `no: ${lacks[feature]}`)),
  ]);

  expect(rows).toEqual(declared);
});
