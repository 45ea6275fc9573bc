import { afterAll, beforeAll } from "vitest";
import { type Database, freshDatabase } from "../kit/database.ts";
import { postgresStores } from "../kit/postgres.ts";
import { modelSuite } from "./model.ts";
import { storeSuite } from "./suite.ts";

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

storeSuite("postgres", (clock) => stores.open(clock));
modelSuite("postgres", (clock) => stores.open(clock), { runs: 15, steps: 60 });
