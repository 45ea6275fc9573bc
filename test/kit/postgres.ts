import { Client } from "pg";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { migrate } from "../../runtime/store/postgres/migrate.ts";
import type { Guarded } from "../../runtime/store/port.ts";

/** What can move a store's clock: calls back with the milliseconds of each move. */
export interface Moving {
  onAdvance(listener: (ms: number) => unknown): void;
}

const schema = "suite";
const emptied = [
  "runs",
  "history",
  "keys",
  "jobs",
  "nodes",
  "names",
  "commands",
  "attempts",
  "logs",
  "rates",
  "hours",
  "lanes",
  "queues",
  "schedules",
  "declared",
  "steps",
  "mail",
  "children",
  "feed",
  "feed_head",
];

/** Opens Postgres stores in one database, one after the other, each empty and with a clock that follows its test's. */
export async function postgresStores(
  url: string,
): Promise<{ open(clock: Moving): Promise<Guarded>; client: Client; close(): Promise<void> }> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined); // the database is dropped with its connections
  await client.connect();
  await migrate({ url, schema });
  await client.query(`create table ${schema}.skew (by interval not null); insert into ${schema}.skew values ('0')`);
  return {
    client,
    async open(clock) {
      await client.query(
        emptied.map((table) => `delete from ${schema}.${table}`).join("; ") + `; update ${schema}.skew set by = '0'`,
      );
      clock.onAdvance((ms) => client.query(`update ${schema}.skew set by = by + $1::float8 * interval '1 ms'`, [ms]));
      return postgres({ url, schema, migrate: false, skew: true });
    },
    close: () => client.end(),
  };
}
