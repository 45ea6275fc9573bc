import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { epoch } from "../../runtime/store/postgres/sql/part.ts";
import { type Database, freshDatabase } from "../kit/database.ts";

let database: Database;
let client: Client;
beforeAll(async () => {
  database = await freshDatabase();
  client = new Client(database.url);
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await database.drop();
});

test("an instant is read to the microsecond, from 1970 to 2100", async () => {
  const { rows } = await client.query(`
    select count(*)::int wrong from (
      select timestamptz '1970-01-01 00:00:00Z' + i * interval '100 hours 1.234567 s' as instant from generate_series(0, 11500) i
      union all
      select timestamptz '2038-06-01 00:00:00Z' + i * interval '1 ms' from generate_series(0, 11500) i
      union all
      select 'infinity') instants
    where ${epoch("instant")} is distinct from (extract(epoch from instant) * 1000)::float8`);

  expect(rows).toEqual([{ wrong: 0 }]);
});
