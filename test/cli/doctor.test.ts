import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Client } from "pg";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { settings } from "../../cli/config.ts";
import { doctor } from "../../cli/command/doctor.ts";
import { database as examine, type Bounds } from "../../cli/doctor/database.ts";
import type { Finding } from "../../cli/doctor/finding.ts";
import { folder as examineFolder, nodeVersion, platform } from "../../cli/doctor/machine.ts";
import { migrations, pooling, server, settings as settingsOf } from "../../cli/doctor/server.ts";
import { tables } from "../../cli/doctor/vacuum.ts";
import { nodes } from "../../cli/doctor/engine.ts";
import { output } from "../../cli/view/output.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { aNode, aOneShot, aRun, aSchedule, aState } from "../kit/build.ts";
import { freshDatabase, type Database } from "../kit/database.ts";
import { folder } from "./folder.ts";
import { flags } from "./given.ts";
import { writer } from "./writer.ts";

let database: Database;
beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());

const { engines } = createRequire(import.meta.url)("tasker/package.json") as { engines: { node: string } };
const usual: Bounds = { longMs: 60_000, now: Date.now };

/** A store in a schema of its own, migrated. */
async function stored(schema: string): Promise<Guarded> {
  const store = postgres({ url: database.url, schema });
  onTestFinished(() => store.close());
  await store.open();
  return store;
}
/** A session of somebody else. */
async function session(url = database.url): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: "somebody" });
  client.on("error", () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}
async function examined(schema: string, bounds: Partial<Bounds> = {}, url = database.url): Promise<readonly Finding[]> {
  return examine({ url, schema, from: "a test" }, { ...usual, ...bounds });
}
/** The findings of one check. */
function of(check: string, list: readonly Finding[]): readonly Finding[] {
  return list.filter((finding) => finding.check === check);
}
const bad = (list: readonly Finding[]): readonly Finding[] => list.filter(({ level }) => level !== "ok");

test("of a database that is well, everything but the server's age and settings and the lack of nodes is fine", async () => {
  await stored("well");

  const found = await examined("well");

  const checks = ["latency", "clock", "connections", "pooling", "transactions", "rights", "migrations", "tables"];
  expect(found.filter(({ level }) => level === "ok").map(({ check }) => check)).toEqual(
    expect.arrayContaining([...checks, "leases", "runs", "schedules", "history"]),
  );
  const told = bad(found).map(({ check }) => check);
  expect(told.filter((check) => check !== "server" && check !== "settings")).toEqual(["nodes"]);
});

test("an idle transaction that holds back vacuum is named, with the statement that ends it", async () => {
  await stored("held");
  const client = await session();
  await client.query("begin; select pg_current_xact_id()");
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");

  const found = of("transactions", await examined("held", { longMs: 1 }));

  expect(found).toContainEqual({
    level: "warning",
    check: "transactions",
    found: expect.stringMatching(
      new RegExp(
        `^pid ${rows[0]!.pid} \\(\\w+, somebody, idle in transaction, its last statement began .* which holds back vacuum`,
      ),
    ) as string,
    todo: `end it where it comes from, or: select pg_terminate_backend(${rows[0]!.pid})`,
  });
});

test("a schema that is not there is a note, and nothing more is looked at", async () => {
  const found = await examined("nowhere");

  expect(of("migrations", found)).toEqual([
    expect.objectContaining({
      level: "note",
      found: "the schema is not there yet",
      todo: expect.stringMatching(/^run: tasker migrate/) as string,
    }),
  ]);
  expect(of("tables", found)).toEqual([]);
});

test("a schema that is older is told with what is missing, and what can't be checked says so", async () => {
  await stored("older");
  const client = await session();
  await client.query("drop table older.schedules cascade; delete from older.migrations where name >= '002'");

  const found = await examined("older");

  expect(of("migrations", found)).toMatchObject([
    {
      level: "warning",
      found: expect.stringMatching(/^the schema is older than this version; missing: 002/) as string,
    },
  ]);
  expect(of("schedules", found)).toMatchObject([
    { level: "warning", found: expect.stringMatching(/^could not be checked: .*tasker migrate/) as string },
  ]);
  expect(of("history", found)).toMatchObject([{ level: "ok" }]);
});

test("a schema that is newer is a note", () => {
  expect(migrations(["001", "002", "003"], ["001", "002"])).toMatchObject({
    level: "note",
    found: expect.stringContaining("003") as string,
  });
});

test("a role without rights hears of it, and of each check that it may not do", async () => {
  await stored("foreign");
  const client = await session();
  const role = `role_${new URL(database.url).pathname.slice(6)}`;
  await client.query(`create role ${role} login password 'x'`);
  onTestFinished(async () => void (await client.query(`drop role ${role}`)));
  const url = Object.assign(new URL(database.url), { username: role, password: "x" }).href;

  const [none, foreign] = [await examined("nowhere", {}, url), await examined("foreign", {}, url)];

  expect(of("rights", none)).toMatchObject([
    { level: "error", todo: `let an owner run: create schema nowhere authorization "${role}"` },
  ]);
  expect(of("rights", foreign)).toMatchObject([
    {
      level: "error",
      found: expect.stringMatching(
        /may not read and write \d+ of the tables of schema "foreign", which ".*" owns/,
      ) as string,
    },
  ]);
  expect(of("nodes", foreign)).toMatchObject([
    { level: "warning", found: expect.stringMatching(/^could not be checked: .*permission denied/) as string },
  ]);
  expect(of("history", foreign)).toHaveLength(1);
});

test("sessions that a role may not see are counted", async () => {
  await stored("veiled");
  const client = await session();
  const role = `veiled_${new URL(database.url).pathname.slice(6)}`;
  await client.query(`create role ${role} login password 'x'`);
  onTestFinished(async () => void (await client.query(`drop role ${role}`)));
  const url = Object.assign(new URL(database.url), { username: role, password: "x" }).href;

  const found = of("transactions", await examined("veiled", {}, url));

  expect(found).toContainEqual(
    expect.objectContaining({ level: "note", todo: expect.stringContaining("pg_read_all_stats") as string }),
  );
});

test.each([
  [3_600_000, /^this machine's clock is (1h|59m 59s) ahead of the server's$/],
  [-5000, /^this machine's clock is (5|5\.\d|4\.9)s behind the server's$/],
])("a clock that is off by %d ms is a warning", async (offMs, said) => {
  const found = of("clock", await examined("nowhere", { now: () => Date.now() + offMs }));

  expect(found).toMatchObject([{ level: "warning", found: expect.stringMatching(said) as string }]);
});

test("due runs that no live node has the job for are told, and no live node as well", async () => {
  const store = await stored("unserved");
  await store.add([aRun({ job: "mail" }), aRun({ job: "mail" }), aRun({ job: "later", delayMs: 60_000 })]);

  const found = await examined("unserved");

  expect(of("nodes", found)).toMatchObject([{ level: "note", found: "no node is live" }]);
  expect(of("runs", found)).toMatchObject([
    {
      level: "warning",
      found: expect.stringMatching(
        /^no live node has job "mail": in queue "default" are 2 due runs of "mail", the oldest/,
      ) as string,
      todo: "start a process that has it; or cancel them: tasker cancel --job mail --yes",
    },
  ]);
});

test("due runs that a live node has the job for are fine, unless they have waited for long", async () => {
  const store = await stored("served");
  const node = await store.nodes.join(aNode(), 60_000);
  await store.nodes.beat(node, 60_000, aState({ jobs: ["mail"] }), []);
  await store.add([aRun({ job: "mail" })]);
  const before = of("runs", await examined("served"));
  await (await session()).query("update served.runs set ready_at = ready_at - interval '1 hour'");

  const after = of("runs", await examined("served"));

  expect(before).toMatchObject([{ level: "ok" }]);
  expect(after).toMatchObject([
    { level: "warning", found: expect.stringMatching(/^nodes can't keep up.*the oldest waiting for 1h/) as string },
  ]);
});

test("a paused queue with runs in it is told", async () => {
  const store = await stored("paused");
  await store.add([aRun({ queue: "mail" })]);
  await store.desk.pause("mail", true);

  const found = await examined("paused");

  expect(of("queues", found)).toMatchObject([
    {
      level: "note",
      found: expect.stringMatching(/^queue "mail" is paused, with 1 due run of "job", the oldest/) as string,
      todo: "when the reason is over: tasker queues resume mail",
    },
  ]);
  expect(of("runs", found)).toEqual([]);
});

test("schedules that are overdue, or that no node has the job for, are told", async () => {
  const store = await stored("late");
  const node = await store.nodes.join(aNode(), 60_000);
  await store.nodes.beat(node, 60_000, aState({ jobs: ["here"] }), []);
  await store.schedules.put([
    aSchedule({ job: "here", key: "a", rule: aOneShot(Date.now()) }),
    aSchedule({ job: "gone", key: "b" }),
    aSchedule({ job: "here", key: "paused" }),
  ]);
  await store.schedules.pause({ job: "here", key: "paused" }, true);
  await (await session()).query("update late.schedules set next_ms = next_ms - 3600000 where key = 'a'");

  const found = of("schedules", await examined("late"));

  expect(found).toMatchObject([
    { level: "warning", found: `no live node has the job, so runs wait that are made for 1 schedule ("gone@b")` },
    {
      level: "warning",
      found: expect.stringMatching(/^overdue by up to 1h(?: \d+\w)?: 1 schedule \("here@a"\)$/) as string,
    },
  ]);
});

test("runs that a gone node holds, and leases that lapsed, are told", async () => {
  const store = await stored("gone");
  const client = await session();
  const node = await store.nodes.join(aNode({ name: "dead" }), 1);
  await store.add([aRun(), aRun()]);
  await client.query(`update gone.nodes set lease_until = lease_until - interval '1 hour'`);
  await client.query(`
    update gone.runs set state = 1, holder = ${node} where id = (select min(id) from gone.runs);
    update gone.runs set lease_until = now() - interval '1 hour' where state = 0`);

  const found = of("leases", await examined("gone"));

  expect(found).toMatchObject([
    { level: "warning", found: `node "dead" is gone and holds 1 run that nobody has taken back` },
    { level: "warning", found: expect.stringMatching(/^the leases of 1 run lapsed up to 1h ago/) as string },
  ]);
});

test("history without a partition for tomorrow, and with rows in the default one, is told", async () => {
  const store = await stored("unkept");
  await store.add([aRun()]);
  const client = await session();
  const { rows } = await client.query<{ day: string }>(
    "select to_char((now() at time zone 'utc')::date + 1, 'YYYYMMDD') as day",
  );
  await client.query(`drop table unkept.history_completed_${rows[0]!.day}`);
  await client.query(`
    insert into unkept.history (id, due_at, created_at, finished_at, lane, token, attempt, status, crashes, input)
    values (1, now(), now(), now() + interval '1 year', 1, 1, 1, 1, 0, '{}')`);

  const found = of("history", await examined("unkept"));

  expect(found.map(({ found: text }) => text)).toEqual([
    "unkept.history_completed has no partition for tomorrow: nobody keeps house, or the role may not",
    expect.stringMatching(/^unkept\.history_other_default holds 1 run that found no partition/),
  ]);
});

test("a table that is never vacuumed is told", async () => {
  await stored("dusty");
  await (await session()).query("alter table dusty.logs set (autovacuum_enabled = false)");

  const found = of("tables", await examined("dusty"));

  expect(found).toMatchObject([{ level: "warning", todo: "alter table dusty.logs reset (autovacuum_enabled)" }]);
});

test("a server that can't be reached is one error, that says where it should be", async () => {
  const found = await examined("tasker", {}, "postgres://me:s3cret@127.0.0.1:1/none");

  expect(found).toMatchObject([
    {
      level: "error",
      check: "database",
      found: expect.stringMatching(/^postgres 127\.0\.0\.1:1\/none can't be reached/) as string,
    },
  ]);
});

test("looking changes nothing", async () => {
  const store = await stored("same");
  await store.add([aRun()]);
  const client = await session();
  const state = async (): Promise<unknown> =>
    (await client.query<object>("select xmin, * from same.runs order by id")).rows;
  const before = await state();

  await examined("same");
  await examined("unmade");

  expect(await state()).toEqual(before);
  expect((await client.query("select 1 from pg_namespace where nspname = 'unmade'")).rowCount).toBe(0);
});

const aServer = { version: "16.4", number: 160_004, standby: false, role: "me", connections: 10, most: 100 };
const today = Date.parse("2026-06-01");
test.each([
  ["a fine one", {}, []],
  ["an ancient one", { version: "12.9", number: 120_009 }, [["error", /older than 13/]]],
  ["one whose support ends soon", { version: "14.2", number: 140_002 }, [["note", /support ends on 2026-11-12/]]],
  ["one whose support has ended", { version: "13.2", number: 130_002 }, [["note", /support ended on 2025-11-13/]]],
  ["one from the future", { version: "30.0", number: 300_000 }, []],
  ["a standby", { standby: true }, [["error", /standby/]]],
  ["a full one", { connections: 85 }, [["warning", /^85 of 100 connections/]]],
] as const)("server: %s", (_, parts, expected) => {
  const found = bad(server({ ...aServer, ...parts }, today));

  expect(found.map(({ level, found: text }) => [level, text])).toEqual(
    expected.map(([level, text]) => [level, expect.stringMatching(text) as string]),
  );
});

test.each([
  ["synchronous_commit", "off", "warning"],
  ["autovacuum", "off", "warning"],
  ["default_transaction_read_only", "on", "error"],
  ["statement_timeout", "1000", "warning"],
  ["statement_timeout", "0", "ok"],
  ["statement_timeout", "30000", "ok"],
  ["idle_in_transaction_session_timeout", "5000", "warning"],
])("the setting %s = %s is told as %s", (name, value, level) => {
  expect(settingsOf([{ name, value }]).map((finding) => finding.level)).toEqual([level]);
});

test("a time limit of the role is seen", async () => {
  const client = await session();
  await client.query(`alter database ${new URL(database.url).pathname.slice(1)} set statement_timeout = '2s'`);
  onTestFinished(
    async () =>
      void (await client.query(`alter database ${new URL(database.url).pathname.slice(1)} reset statement_timeout`)),
  );

  const found = of("settings", await examined("nowhere"));

  expect(found).toContainEqual(
    expect.objectContaining({ found: "statement_timeout is 2000: 2s may cut short what tasker does" }),
  );
});

test("a pool by transaction is a warning, one by session is fine", () => {
  expect(pooling({ byTransaction: true, between: true })).toMatchObject({
    level: "warning",
    todo: expect.stringContaining("prepare: false") as string,
  });
  expect(pooling({ byTransaction: false, between: true }).level).toBe("ok");
});

const aTable = { name: "runs", live: 10, dead: 10, vacuumedMs: 1000, bytes: 8192, unvacuumed: false };
test.each([
  ["few dead rows", { dead: 40_000 }, []],
  ["as many dead rows as are live", { dead: 60_000, live: 100_000 }, []],
  ["more dead rows than live ones", { dead: 60_000 }, ["vacuum tasker.runs"]],
  ["much room for few rows", { bytes: 2 ** 30 }, ["vacuum full tasker.runs"]],
])("a table with %s", (_, parts, todos) => {
  const found = bad(tables([{ ...aTable, ...parts }], "tasker"));

  expect(found.map(({ todo }) => todo)).toEqual(todos.map((todo) => expect.stringContaining(todo) as string));
});

test("a live node that has not beaten for long is a warning", () => {
  const node = { name: "a", alive: true, draining: false, asleep: false, jobs: [], seenMs: 100 };

  expect(bad(nodes([node]))).toEqual([]);
  expect(bad(nodes([{ ...node, seenMs: 12_000 }]))).toMatchObject([
    { level: "warning", found: 'node "a" was last heard of 12s ago' },
  ]);
});

test.each([
  ["20.19.0", "ok"],
  ["22.12.0", "ok"],
  ["24.0.0", "ok"],
  ["22.11.0", "error"], // an ES module can't be required there without a flag
  ["21.7.3", "error"],
  ["20.18.3", "error"],
  ["18.20.0", "error"],
])("Node %s is told as %s", (version, level) => {
  expect(nodeVersion(version, engines.node).level).toBe(level);
});

test("Windows is told what does not run there", () => {
  expect([platform("linux", "x64").level, platform("darwin", "arm64").level]).toEqual(["ok", "ok"]);
  expect(platform("win32", "x64")).toMatchObject({
    level: "note",
    found: "win32 x64: the embedded Postgres does not run here",
  });
});

test("what a gone dev left, data of another major, and a full disk are told", async () => {
  const cwd = folder({ ".tasker/dev.json": JSON.stringify({ url: "postgres://x", pid: 2 ** 22 + 1 }) });
  mkdirSync(join(cwd, ".tasker", "pg9"));
  writeFileSync(join(cwd, ".tasker", "pg9", "PG_VERSION"), "9\n");

  const found = await examineFolder(cwd, () => Promise.resolve(5e8));

  expect(found).toMatchObject([
    {
      level: "note",
      check: "dev",
      found: expect.stringMatching(/^\.tasker\/dev\.json was left by a process that has gone/) as string,
    },
    {
      level: "warning",
      check: "embedded",
      found: expect.stringMatching(/^\.tasker\/pg9 holds data of PostgreSQL 9, but/) as string,
    },
    { level: "warning", check: "disk", found: "500 MB are free on the disk of this folder" },
  ]);
  expect(await examineFolder(folder())).toMatchObject([{ check: "disk" }]);
});

async function run(given: Readonly<Record<string, string | true>>, files: Readonly<Record<string, string>> = {}) {
  const to = writer();
  const cwd = folder(files);
  const code = await doctor.run({
    args: [],
    given: flags(given),
    out: output("json" in given, to),
    settings: () => settings(flags(given), {}, cwd),
  });
  return { code, text: to.text() };
}

test("the command exits with 1 for errors, with --strict for warnings, and says what to do in a line below", async () => {
  const store = await stored("whole");
  await store.add([aRun({ job: "mail" })]);
  const given = { "database-url": database.url, schema: "whole" };

  const [plain, strict] = [await run(given), await run({ ...given, strict: true, json: true })];
  const away = await run({ "database-url": "postgres://me:s3cret@127.0.0.1:1/none" });
  const broken = await run({}, { "tasker.config.mjs": `export default { slots: "many" };` });

  expect(plain.code).toBe(0);
  expect(plain.text).toMatch(
    /^ok {7}node: Node .*\n[^]*\nwarning {2}runs: no live node has job "mail": .*\n {9}→ start a process that has it/,
  );
  expect(plain.text).toMatch(/\n\n0 errors, \d+ warnings?\n$/);
  expect([strict.code, (JSON.parse(strict.text) as { ok: boolean }).ok]).toEqual([1, false]);
  expect([away.code, away.text.includes("s3cret")]).toEqual([1, false]);
  expect([broken.code, broken.text]).toEqual([
    1,
    expect.stringMatching(/error {4}config: slots in .* is not a whole number/),
  ]);
});
