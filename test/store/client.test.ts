/** Connections that a store keeps at hand between statements. */
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { Clients } from "../../runtime/store/postgres/client.ts";
import { explain, openPool } from "../../runtime/store/postgres/pool.ts";
import { StoreUnavailable } from "../../sdk/port/error.ts";
import { aRun } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";
import { startProxy } from "../kit/proxy.ts";
import { until } from "../kit/until.ts";

let database: Database;
let other: pg.Client;
let pool: pg.Pool;
let hands: Pick<Clients, "use" | "close">;
beforeAll(async () => {
  database = await freshDatabase();
  other = new pg.Client(database.url);
  await other.connect();
});
afterAll(async () => {
  await other.end();
  await database.drop();
});
beforeEach(() => {
  pool = new pg.Pool({ connectionString: database.url, max: 2 });
  pool.on("error", () => undefined);
  hands = new Clients(pool);
});
afterEach(async () => {
  vi.useRealTimers();
  await hands.close();
});

/** The one client of a pool. */
const clientOf = (of: pg.Pool): pg.Client =>
  (of as unknown as { readonly _clients: readonly pg.Client[] })._clients[0]!;
const ask = async (text: string, patienceMs = 60_000): Promise<unknown> =>
  (await hands.use((client) => client.query<unknown[]>({ text, rowMode: "array" }), patienceMs)).rows[0]![0];
const pid = (): Promise<unknown> => ask("select pg_backend_pid()");

test("statements one after another use one connection, those at once one each", async () => {
  const first = await pid();

  expect(await pid()).toBe(first);
  expect(new Set(await Promise.all([pid(), pid()])).size).toBe(2);
});

test("a free connection that dies is replaced before the next statement", async () => {
  const dead = await pid();
  await other.query("select pg_terminate_backend($1)", [dead]);
  await until(() => pool.totalCount === 0, { what: "the pool has noticed" });

  expect(await pid()).not.toBe(dead);
});

test("a connection that answers and dies in one breath is not kept", async () => {
  const dying = await pid();
  const client = clientOf(pool);
  const answer = ask("select pg_backend_pid()");
  client.emit("error", new Error("it was told to end")); // while its statement runs, whose answer is there already

  expect(await answer).toBe(dying);
  expect(await pid()).not.toBe(dying);
});

test("a connection that does not answer in time is given up, and its statement fails", async () => {
  const silent = await pid();

  await expect(ask("select pg_sleep(600)", 10)).rejects.toThrow("timeout: no answer within 10 ms");
  expect(await pid()).not.toBe(silent);
});

test("a connection that is given up takes those at hand along, so that the next statement is not lost to one as silent", async () => {
  const [, second] = await Promise.all([pid(), pid()]);

  await expect(ask("select pg_sleep(600)", 10)).rejects.toThrow("timeout");

  expect(pool.totalCount).toBe(0);
  expect(await pid()).not.toBe(second);
});

test("an answer that came while the process was blocked counts, however long that took", async () => {
  const first = await pid();
  const answer = ask("select pg_backend_pid()", 10);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200);

  expect(await answer).toBe(first);
});

test("a statement that met a lock leaves its connection at hand", async () => {
  const first = await pid();
  await other.query("create table locked ()");
  await other.query("begin; lock table locked");

  const failed = ask("set lock_timeout = 1; select 1 from locked");

  await expect(failed).rejects.toThrow("lock timeout");
  await other.query("rollback");
  expect(await pid()).toBe(first);
});

test("a lock that is held for long leaves no backend behind, and what has failed is not written later", async () => {
  const store = postgres({ url: database.url, max: 2 });
  await store.open();
  await store.add([aRun()]);
  await other.query("begin; lock table tasker.runs in share mode");
  const others = async (): Promise<number> =>
    (await other.query("select 1 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"))
      .rows.length;
  const before = await others();

  const adding = store.add([aRun()]);
  const [answer] = await adding;
  const after = await others();
  await other.query("commit");

  expect(answer).toMatchObject({ code: "STORE_UNAVAILABLE", message: expect.stringMatching(/holds a lock/) as string });
  expect(after).toBe(before);
  await store.add([aRun()]);
  expect((await store.find.list({})).items).toHaveLength(2);
  await store.close();
});

test("a statement that fails takes its connection along, for nobody knows its state", async () => {
  const first = await pid();

  await expect(ask("select 1 / 0")).rejects.toThrow("division by zero");
  expect(await pid()).not.toBe(first);
});

test("a connection goes back to the pool when nobody has wanted it for ten seconds", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
  const first = await pid();
  expect(pool.idleCount).toBe(0);

  vi.advanceTimersByTime(9000);
  expect(pool.idleCount).toBe(0);
  vi.advanceTimersByTime(3000);
  expect(pool.idleCount).toBe(1);
  expect(vi.getTimerCount()).toBe(0);
  expect(await pid()).toBe(first);
});

test("closing waits for the statement that runs, and ends its connection", async () => {
  const answer = ask("select pg_sleep(0.2)::text || 'done'");
  await until(() => pool.totalCount === 1, { what: "it runs" });

  await hands.close();

  expect(await answer).toBe("done");
  expect(pool.totalCount).toBe(0);
  hands = { ...hands, close: () => Promise.resolve() };
});

test("a reader that hangs on the only connection keeps the engine from it for seconds, not for a lease", async () => {
  const place = new URL(database.url);
  const proxy = await startProxy(Number(place.port));
  place.host = `127.0.0.1:${proxy.port}`;
  const lone = openPool({ url: place.href, max: 1, prepare: true, name: "lone" });
  await lone.rows("", "select 1", []);
  proxy.hush("select 'guest'");

  const reading = lone.guest.rows("", "select 'guest'", []).catch((error: Error) => error);
  const asked = performance.now();
  const answer = await lone.rows("", "select 2", []);
  const tookMs = performance.now() - asked;

  expect(answer).toEqual([["2"]]);
  expect(tookMs).toBeLessThan(10_000);
  expect(await reading).toBeInstanceOf(StoreUnavailable);
  await lone.close();
  await proxy.close();
});

test("a server that falls silent while a connection is made ready is given up", async () => {
  const place = new URL(database.url);
  const proxy = await startProxy(Number(place.port));
  place.host = `127.0.0.1:${proxy.port}`;
  const behind = openPool({ url: place.href, max: 1, prepare: true, name: "silent" });
  try {
    proxy.hush("enable_seqscan");
    await expect(behind.rows("", "select 1", [])).rejects.toThrow(StoreUnavailable);

    proxy.hush(null);
    expect(await behind.rows("", "select 1", [])).toEqual([["1"]]);
  } finally {
    await behind.close();
    await proxy.close();
  }
});

test.each([
  [
    "a full disk",
    `do $$ begin raise 'could not extend file' using errcode = 'disk_full'; end $$`,
    "could not extend file; make room on the disk of the server; it goes on by itself then",
  ],
  [
    "a server that takes no writes",
    "begin read only; create table strange ()",
    "cannot execute CREATE TABLE in a read-only transaction; name the primary in the database URL: this server takes no writes",
  ],
  [
    "too many connections",
    `do $$ begin raise 'sorry, too many clients already' using errcode = 'too_many_connections'; end $$`,
    "sorry, too many clients already; raise max_connections, or run fewer processes: each takes up to 4",
  ],
])("%s can be waited for, and the error says what would end it", async (_, statement, said) => {
  const thrown: unknown = await other.query(statement).catch((error: unknown) => error);
  await other.query("rollback");

  const error = explain(thrown, "postgres db");

  expect(error).toBeInstanceOf(StoreUnavailable);
  expect(error.message).toBe(`postgres db: ${said}`);
});
