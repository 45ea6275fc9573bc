/** Transactions of other libraries, as docs/triggering.md shows them: a run exists exactly if the transaction commits. */
import { drizzle } from "drizzle-orm/node-postgres";
import { drizzle as drizzleOnPostgres } from "drizzle-orm/postgres-js";
import { knex } from "knex";
import pg from "pg";
import sql from "postgres";
import { DataSource } from "typeorm";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { configure, defineJob, runs, type RunHandle, type Tx } from "../../sdk/index.ts";
import { aRun } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";

let database: Database;
let store: Guarded;
let pool: pg.Pool;
beforeAll(async () => {
  database = await freshDatabase();
  store = postgres({ url: database.url });
  await store.open();
  configure({ store });
  pool = new pg.Pool({ connectionString: database.url });
});
afterAll(async () => {
  await pool.end();
  await store.close();
  await database.drop();
});

const remind = defineJob({ id: "remind", schema: z.object({ userId: z.string() }), handler: () => 1 });

/** Calls `act` within a transaction of a library, which commits unless `act` throws. */
type Transaction = (act: (tx: Tx) => Promise<void>) => Promise<unknown>;

/** A library with a connection to the database, for one test. */
const libraries: Readonly<Record<string, () => Promise<Transaction> | Transaction>> = {
  "Drizzle on pg": () => (act) => drizzle(pool).transaction(act),
  "Drizzle on pg, in a savepoint": () => (act) => drizzle(pool).transaction((tx) => tx.transaction(act)),
  "Drizzle on postgres.js": () => (act) => drizzleOnPostgres(connect()).transaction(act),
  "postgres.js": () => (act) => connect().begin(act),
  "postgres.js that changes names": () => (act) => connect({ transform: sql.camel }).begin(act),
  "what runs statements through a function, as Prisma does": () => async (act) => {
    const client = await pool.connect();
    const query = async ({ text, values }: { readonly text: string; readonly values: unknown[] }): Promise<object> => {
      const { rows } = await client.query<object>(text, values);
      return { rows: rows.map((row) => Object.values(row) as unknown[]) };
    };
    try {
      await client.query("begin");
      await act({ query });
      await client.query("commit");
    } catch (error) {
      await client.query("rollback");
      throw error;
    } finally {
      client.release();
    }
  },
  Knex: () => {
    const db = knex({ client: "pg", connection: database.url });
    onTestFinished(() => db.destroy());
    return (act) =>
      db.transaction(async (trx) =>
        act(await (trx.client as { acquireConnection(): Promise<pg.Client> }).acquireConnection()),
      );
  },
  TypeORM: async () => {
    const source = await new DataSource({ type: "postgres", url: database.url }).initialize();
    onTestFinished(() => source.destroy());
    return (act) =>
      source.transaction(async (manager) => act((await manager.queryRunner!.connect()) as unknown as pg.PoolClient));
  },
};

function connect(options: object = {}): ReturnType<typeof sql> {
  const db = sql(database.url, { max: 1, ...options });
  onTestFinished(() => db.end());
  return db;
}

test.each(Object.keys(libraries))("a run in a transaction of %s exists exactly if that commits", async (name) => {
  const transaction = await libraries[name]!();
  const failed = new Error("rolled back on purpose");
  const [kept, lost]: RunHandle[][] = [[], []];
  const add = async (tx: Tx, into: RunHandle[], key: string): Promise<void> => {
    const options = { tx, tags: ["é", "b"], delay: "5s", priority: 3 } as const;
    into.push(await remind.trigger({ userId: "é" }, options));
    into.push(await remind.trigger({ userId: "7" }, { tx, idempotencyKey: `${name} ${key}` }));
    into.push(...((await remind.batchTrigger([{ payload: { userId: "8" } }], { tx })) as RunHandle[]));
  };

  await transaction((tx) => add(tx, kept!, "kept"));
  const rolledBack = transaction(async (tx) => {
    await add(tx, lost!, "lost");
    throw failed;
  });

  await expect(rolledBack).rejects.toBe(failed);
  expect(kept).toMatchObject([{ created: true }, { created: true }, { created: true }]);
  const found = await Promise.all(kept!.map(({ id }) => runs.need(id)));
  expect(found).toMatchObject([
    { status: "pending", tags: ["é", "b"], priority: 3, payload: { userId: "é" } },
    { key: `${name} kept`, payload: { userId: "7" } },
    { payload: { userId: "8" } },
  ]);
  expect(lost).toHaveLength(3);
  for (const { id } of lost!) expect(await runs.get(id)).toBeNull();
});

test("what is no transaction of theirs is refused", async () => {
  for (const [wrong, text] of [
    [drizzle(pool), /a Drizzle database without a transaction/],
    [drizzleOnPostgres(connect()), /a Drizzle database without a transaction/],
    [connect(), /postgres\.js without a transaction/],
    [{ _: {} }, /not a transaction of pg, Kysely, Drizzle or postgres\.js/],
  ] as const)
    await expect(store.add([aRun()], wrong as unknown as Tx)).rejects.toThrow(text);
});
