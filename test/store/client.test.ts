/** Connections that a store keeps at hand between statements. */
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { clients } from "../../runtime/store/postgres/client.ts";
import { prepared } from "../../runtime/store/postgres/pool.ts";
import { type Database, freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";

let database: Database;
let other: pg.Client;
let pool: pg.Pool;
let hands: ReturnType<typeof clients>;
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
  hands = clients(pool);
});
afterEach(async () => {
  vi.useRealTimers();
  await hands.close();
});

/** The one client of a pool. */
const clientOf = (of: pg.Pool): pg.Client =>
  (of as unknown as { readonly _clients: readonly pg.Client[] })._clients[0]!;
const ask = async (text: string, patienceMs = 60_000): Promise<unknown> =>
  ((await hands.query({ text, rowMode: "array" }, patienceMs)) as readonly (readonly unknown[])[])[0]![0];
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

test("a statement that is given up ends on the server, too", async () => {
  await hands.close();
  pool = new pg.Pool({ connectionString: database.url, max: 1, ...prepared });
  hands = clients(pool);
  const silent = await pid();

  await expect(ask("select pg_sleep(600)", 10)).rejects.toThrow("timeout");

  const { rows } = await other.query<{ n: number }>("select current_setting('server_version_num')::int n");
  const left = async (): Promise<number | null> =>
    (await other.query("select 1 from pg_stat_activity where pid = $1", [silent])).rowCount;
  if (rows[0]!.n >= 140_000) await until(async () => (await left()) === 0, { what: "its backend is gone" });
  else expect(await pid()).not.toBe(silent);
});

test("a server that lacks a setting is used without it", async () => {
  const lacking = (client: pg.ClientBase) => ({
    query: (text: string) => client.query(text.replace("client_connection_check_interval", "no_such_setting")),
  });
  const onConnect = (client: pg.ClientBase) =>
    (prepared as { onConnect(client: unknown): Promise<void> }).onConnect(lacking(client));
  await hands.close();
  pool = new pg.Pool({ connectionString: database.url, max: 1, ...({ onConnect } as object) });
  hands = clients(pool);

  expect(await ask("show enable_seqscan")).toBe("off");
});

test("an answer that came while the process was blocked counts, however long that took", async () => {
  const first = await pid();
  const answer = ask("select pg_backend_pid()", 10);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200);

  expect(await answer).toBe(first);
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
