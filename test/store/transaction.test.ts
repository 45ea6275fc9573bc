/** Runs that are triggered inside a caller's transaction, on a real Postgres. */
import { CamelCasePlugin, Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { beforeAll, expect, test, vi } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import type { Added, Tx } from "../../sdk/port/target.ts";
import { aKey, aRun, only } from "../kit/build.ts";
import { ownStore } from "../kit/store.ts";

let url: string;
let store: Guarded;
let client: pg.Client;
beforeAll(async () => {
  const own = await ownStore();
  ({ url, store, client } = own);
  return own.close;
});

test("a Kysely transaction works, also with plugins that rename columns and parsers that change values", async () => {
  const text: number = pg.types.builtins.TEXT;
  const odd = (oid: number) => (value: unknown) => (oid === text ? value : { odd: value });
  const types = { getTypeParser: odd };
  const pool = new pg.Pool({ connectionString: url, max: 1, types });
  const kysely = new Kysely<object>({ dialect: new PostgresDialect({ pool }), plugins: [new CamelCasePlugin()] });
  const failed = new Error("rolled back on purpose");

  const kept = await kysely.transaction().execute((tx) => store.add([aRun(), aRun({ key: aKey("kysely") })], tx));
  const lost: number[] = [];
  const rolledBack = kysely.transaction().execute(async (tx) => {
    lost.push((only(await store.add([aRun({ tags: ["x"] })], tx)) as Added).id);
    throw failed;
  });

  await expect(rolledBack).rejects.toBe(failed);
  expect(kept).toMatchObject([{ created: true }, { created: true }]);
  for (const added of kept) expect((await store.find.get((added as Added).id))?.status).toBe("pending");
  expect(await store.find.get(lost[0]!)).toBeNull();
  await kysely.destroy();
});

test("what is no open transaction is refused, for its runs would not be undone", async () => {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const kysely = new Kysely<object>({ dialect: new PostgresDialect({ pool }) });

  for (const [wrong, text] of [
    [{ begin: true }, /not a transaction of/],
    [pool, /a pg pool/],
    [kysely, /Kysely database without a transaction/],
    [client, /without an open transaction/],
  ] as const)
    await expect(store.add([aRun()], wrong as unknown as Tx)).rejects.toThrow(text);

  await kysely.destroy();
});

test("of two transactions that wait for each other's keys one is aborted, and its error says what to do", async () => {
  const other = new pg.Client(url);
  await other.connect();
  for (const one of [client, other]) await one.query("begin; set local deadlock_timeout = '20ms'");
  await store.add([aRun({ key: aKey("left") })], client);
  await store.add([aRun({ key: aKey("right") })], other);

  const crossed = await Promise.allSettled([
    store.add([aRun({ key: aKey("right") })], client).finally(() => client.query("rollback")),
    store.add([aRun({ key: aKey("left") })], other).finally(() => other.query("rollback")),
  ]);

  expect(crossed.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  expect(crossed.find(({ status }) => status === "rejected")).toMatchObject({
    reason: {
      code: "STORE_UNAVAILABLE",
      message: expect.stringMatching(/repeat it, and let all transactions claim keys in one order/) as string,
      cause: { code: "40P01" },
    },
  });
  await other.end();
});

test("what a failed transaction refuses is said by what to do next, by pg and by Kysely", async () => {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const kysely = new Kysely<object>({ dialect: new PostgresDialect({ pool }) });
  const refusal = {
    code: "INVALID_INPUT",
    message: expect.stringMatching(/had already failed.*roll it back/) as string,
  };
  await client.query("begin");
  await client.query("select 1 / 0").catch(() => undefined);

  const byPg = store.add([aRun()], client);
  const byKysely = kysely.transaction().execute(async (tx) => {
    await sql`select 1 / 0`.execute(tx).catch(() => undefined);
    return store.add([aRun()], tx);
  });

  await expect(byPg).rejects.toMatchObject(refusal);
  await expect(byKysely).rejects.toMatchObject(refusal);
  await client.query("rollback");
  await kysely.destroy();
});

test("a lock that keeps an add waiting is said by what to do next, outside of a transaction and within one", async () => {
  const place = new URL(url);
  place.searchParams.set("options", "-c lock_timeout=50ms");
  const hasty = postgres({ url: place.href, migrate: false });
  const other = new pg.Client(place.href);
  await other.connect();
  await store.add([aRun({ key: aKey("made") })]);
  await client.query("begin; lock table tasker.runs in share mode");
  await other.query("begin");

  const inside = store.add([aRun()], other);
  const keyed = hasty.add([aRun({ key: aKey("made") })]);
  const plain = hasty.add([aRun()]);
  await expect(inside).rejects.toMatchObject({
    code: "STORE_UNAVAILABLE",
    message: expect.stringMatching(/roll it back and repeat/) as string,
  });
  await expect(hasty.desk.cancel([1])).rejects.toMatchObject({
    code: "STORE_UNAVAILABLE",
    message: expect.stringMatching(/another session holds a lock.*repeat the call/) as string,
  });
  await client.query("rollback");

  expect((await Promise.all([keyed, plain])).flat()).toMatchObject([{ created: false }, { created: true }]);
  await other.end();
  await hasty.close();
});

test("what is added after its store was closed is refused by a sentence of ours", async () => {
  const brief = postgres({ url: url });
  const during = brief.add([aRun()]).catch((error: Error) => [error]);
  const closing = brief.close();

  const after = [
    await during,
    await brief.add([aRun()]),
    await brief.find.get(1).catch((error: Error) => error),
  ].flat();
  await closing;

  for (const answer of after.filter((one) => one instanceof Error))
    expect(answer).toMatchObject({
      code: "STORE_UNUSABLE",
      message: expect.stringMatching(/is closed.*make another/) as string,
    });
  expect(after.at(-1)).toBeInstanceOf(Error);
});

test("a claimed key stalls none of the others that are added with it, and they are written together", async () => {
  const counted = vi.spyOn(pg.Pool.prototype, "query");
  await client.query("begin");
  await store.add([aRun({ key: aKey("many-150") })], client);

  const adds = Array.from({ length: 300 }, (_, i) => store.add([aRun({ key: aKey(`many-${i}`) })]));
  const others = await Promise.all(adds.filter((_, i) => i !== 150));
  const statements = counted.mock.calls.length;
  counted.mockRestore();
  await client.query("commit");

  expect(others.flat()).toEqual(others.map(() => expect.objectContaining({ created: true }) as Added));
  expect(statements).toBeLessThan(60);
  expect(await adds[150]).toMatchObject([{ created: false }]);
});
