/** Bringing a schema up to date: by many processes at once, by roles with few rights, and against odd databases. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Kysely, Migrator, PostgresDialect, sql, type Migration } from "kysely";
import { Client, Pool } from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { first } from "../../runtime/store/postgres/migration/001.ts";
import { second } from "../../runtime/store/postgres/migration/002.ts";
import { third } from "../../runtime/store/postgres/migration/003.ts";
import { fourth } from "../../runtime/store/postgres/migration/004.ts";
import { fifth } from "../../runtime/store/postgres/migration/005.ts";
import { sixth } from "../../runtime/store/postgres/migration/006.ts";
import { seventh } from "../../runtime/store/postgres/migration/007.ts";
import { eighth } from "../../runtime/store/postgres/migration/008.ts";
import { ninth } from "../../runtime/store/postgres/migration/009.ts";
import { migrate, pending } from "../../runtime/store/postgres/migrate.ts";
import { aRun, only } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";
import { startProxy } from "../kit/proxy.ts";
import { endWorkers, startWorker } from "../kit/worker.ts";
import { until } from "../kit/until.ts";

const all = ["001", "002", "003", "004", "005", "006", "007", "008", "009"];

let database: Database;
let admin: Client;
beforeEach(async () => {
  database = await freshDatabase();
  admin = new Client(database.url);
  await admin.connect();
});
afterEach(async () => {
  await endWorkers();
  await admin.end();
  await database.drop();
});

const opener = `
  import { postgres } from ${JSON.stringify(fileURLToPath(new URL("../../dist/runtime/index.js", import.meta.url)))};
  const store = postgres({ url: process.env.URL, max: 1 });
  await store.open();
  await store.close();`;

function openInProcess(url: string): Promise<{ readonly code: number | null; readonly error: string }> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", opener], { env: { ...process.env, URL: url } });
  let error = "";
  child.stderr.on("data", (part: Buffer) => (error += part.toString()));
  return new Promise((resolve) => child.on("exit", (code) => resolve({ code, error })));
}

async function appliedNames(): Promise<readonly string[]> {
  const { rows } = await admin.query<{ name: string }>("select name from tasker.migrations order by name");
  return rows.map((row) => row.name);
}

test(
  "24 processes that open an empty database at once are all up, with one migration",
  { timeout: 90_000 },
  async () => {
    const ends = await Promise.all(Array.from({ length: 24 }, () => openInProcess(database.url)));

    expect(ends.filter((end) => end.code !== 0)).toEqual([]);
    expect(await appliedNames()).toEqual(all);
  },
);

test("a second migration does nothing, and says so", async () => {
  expect(await pending({ url: database.url })).toEqual(all);
  expect(await migrate({ url: database.url })).toEqual({
    from: null,
    to: "009",
    applied: all,
  });

  expect(await migrate({ url: database.url })).toEqual({ from: "009", to: "009", applied: [] });
  expect(await pending({ url: database.url })).toEqual([]);
});

test("a database that a newer version has migrated goes on working", async () => {
  await migrate({ url: database.url });
  await admin.query("insert into tasker.migrations (name, timestamp) values ('900', 'now')");

  const store = postgres({ url: database.url });
  await store.open();

  expect(only(await store.add([aRun()]))).toMatchObject({ created: true });
  await store.close();
});

/** What version 0.1.0 made: its first migrations, run by the migrator of Kysely, with the tables that this keeps. */
async function migrateAsBefore(url: string, migrations: Readonly<Record<string, string>>): Promise<void> {
  const db = new Kysely<unknown>({
    dialect: new PostgresDialect({ pool: new Pool({ connectionString: url, max: 1 }) }),
  });
  const texts = Object.entries(migrations).map(([name, text]) => [
    name,
    { up: (on: Kysely<unknown>) => sql.raw(text.replaceAll("{schema}", "tasker")).execute(on) },
  ]);
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => Object.fromEntries(texts) as Record<string, Migration> },
    migrationTableSchema: "tasker",
    migrationTableName: "migrations",
    migrationLockTableName: "migrations_lock",
  });
  const { error } = await migrator.migrateToLatest();
  await db.destroy();
  expect(error).toBeUndefined();
}

test("a database of version 0.1.0 is brought up to date by processes that start at once, and keeps its runs", async () => {
  await migrateAsBefore(database.url, { "001": first, "002": second });
  await admin.query("insert into tasker.queues (name, paused) values ('kept', true)");
  expect(await pending({ url: database.url })).toEqual(all.slice(2));

  const done = await Promise.all(Array.from({ length: 5 }, () => migrate({ url: database.url })));

  expect(done.flatMap(({ applied }) => applied)).toEqual(all.slice(2));
  expect(await appliedNames()).toEqual(all);
  expect((await admin.query("select name from tasker.queues")).rows).toEqual([{ name: "kept" }]);
  const store = postgres({ url: database.url });
  expect(only(await store.add([aRun()]))).toMatchObject({ created: true });
  await store.close();
});

test("version 0.1.0's migrator finds nothing to do in a database of this version", async () => {
  await migrate({ url: database.url });

  await migrateAsBefore(database.url, {
    "001": first,
    "002": second,
    "003": third,
    "004": fourth,
    "005": fifth,
    "006": sixth,
    "007": seventh,
    "008": eighth,
    "009": ninth,
  });

  expect(await appliedNames()).toEqual(all);
});

test("a database that has a newer migration but lacks one of ours is left alone, and named", async () => {
  await migrateAsBefore(database.url, { "001": first, "002": second, "003": third });
  await admin.query("insert into tasker.migrations (name, timestamp) values ('900', 'now')");

  await expect(migrate({ url: database.url })).rejects.toThrow(/"tasker" has migration 900 but lacks 004/);

  expect(await appliedNames()).toEqual(["001", "002", "003", "900"]);
});

test("a migration that fails leaves nothing behind", async () => {
  await migrateAsBefore(database.url, { "001": first, "002": second });
  await admin.query("alter table tasker.nodes add column asleep text"); // 004 makes it

  await expect(migrate({ url: database.url })).rejects.toThrow(/column "asleep".* already exists/);

  expect(await appliedNames()).toEqual(["001", "002"]);
  expect((await admin.query("select 1 from pg_attribute where attname = 'jobs_at'")).rowCount).toBe(0);
});

test("a role whose transactions are serializable may start beside others", async () => {
  const url = new URL(database.url);
  url.searchParams.set("options", "-c default_transaction_isolation=serializable");

  const done = await Promise.all(Array.from({ length: 5 }, () => migrate({ url: url.href })));

  expect(done.flatMap(({ applied }) => applied)).toEqual(all);
});

/** A role of this database's own, with a password; `grant` runs as the administrator. */
async function asRole(grant: (role: string) => string): Promise<string> {
  const role = `role_${new URL(database.url).pathname.slice(1, 20)}`;
  await admin.query(`create role ${role} login password 'secret'; ${grant(role)}`);
  const url = new URL(database.url);
  url.username = role;
  url.password = "secret";
  return url.href;
}

async function dropRole(url: string): Promise<void> {
  const role = new URL(url).username;
  await admin.query(`drop owned by ${role} cascade; drop role ${role}`);
}

test("a role that owns its schema, and nothing else, can do everything", async () => {
  const url = await asRole((role) => `create schema own authorization ${role}`);
  const store = postgres({ url, schema: "own" });

  await store.open();

  expect(only(await store.add([aRun()]))).toMatchObject({ created: true });
  expect((await store.runs.sweep({ maxCrashes: 3, keep: { completedMs: 1e9, otherMs: 1e9 } })).pruned).toBe(0);
  await store.close();
  await dropRole(url);
});

test("a role without rights hears what is missing and what to do", async () => {
  const url = await asRole(
    (role) => `revoke create on database ${new URL(database.url).pathname.slice(1)} from public; select '${role}'`,
  );
  const store = postgres({ url });

  await expect(store.open()).rejects.toThrow(/may not make schema "tasker".*create schema tasker authorization/s);
  await store.close();
  await dropRole(url);
});

test("without its schema a store that must not migrate says which command to run", async () => {
  const store = postgres({ url: database.url, migrate: false });

  const [answer] = await store.add([aRun()]);

  expect(String(answer)).toMatch(/run "tasker migrate"/);
  await store.close();
});

test.each([
  ["a wrong database", (url: URL) => (url.pathname = "/not_there"), /does not exist; create the database/],
  ["a wrong port", (url: URL) => (url.port = "1"), /can't be reached/],
])("%s is named, without the password", async (_, spoil, expected) => {
  const url = new URL(database.url);
  url.password ||= "hush-hush";
  const secret = url.password;
  spoil(url);
  const store = postgres({ url: url.href });

  const failure = await store.open().catch((error: unknown) => error as Error);

  expect(String(failure)).toMatch(expected);
  expect(String(failure)).not.toContain(secret);
  await store.close();
});

test(
  "a worker whose database is away at start waits, says so once, and starts when it is there",
  { timeout: 60_000 },
  async () => {
    const port = Number(new URL(database.url).port || 5432);
    const proxy = await startProxy(port);
    proxy.aim(null);
    const url = new URL(database.url);
    url.port = String(proxy.port);
    url.hostname = "127.0.0.1";

    const started = startWorker(url.href);
    await until(() => proxy.refused >= 4, { what: "the worker has tried four times" });
    proxy.aim(port);
    const worker = await started;

    const complaints = worker
      .log()
      .split("\n")
      .filter((line) => /waiting|reached|away/i.test(line));
    expect(complaints.length).toBeLessThanOrEqual(2); // that it waits, that it is back
    await proxy.close();
  },
);
