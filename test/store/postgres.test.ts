import { Client } from "pg";
import { afterAll, beforeAll } from "vitest";
import { type Database, freshDatabase } from "../kit/database.ts";
import { postgresStores } from "../kit/postgres.ts";
import { modelSuite } from "./model.ts";
import { storeSuite, type Transaction } from "./suite.ts";

let database: Database;
let stores: Awaited<ReturnType<typeof postgresStores>>;
beforeAll(async () => {
  database = await freshDatabase();
  stores = await postgresStores(database.url);
});
afterAll(async () => {
  await stores.close();
  await database.drop();
});

storeSuite("postgres", (clock) => stores.open(clock), { begin });
async function begin(): Promise<Transaction> {
  const tx = new Client(database.url);
  await tx.connect();
  await tx.query("begin");
  return { tx, commit: () => tx.query("commit"), rollback: () => tx.query("rollback"), end: () => tx.end() };
}

modelSuite("postgres", (clock) => stores.open(clock), { runs: 15, steps: 60 });
