import pg from "pg";
import { schemaName } from "./migrate.ts";
import { connection } from "./pool.ts";

/** Ends the leases of a node whose process is gone for certain, by its name, or with null those of all nodes: for whoever knows that
 *  better than a lease that runs out. What it had under way counts as crashed, as ever. A database without our tables is left alone. */
export async function bury(
  { url, schema }: { readonly url: string; readonly schema: string },
  name: string | null,
): Promise<void> {
  const s = `"${schemaName(schema)}"`;
  const client = new pg.Client(connection(url));
  client.on("error", () => undefined); // the query fails, too
  await client.connect();
  try {
    const { rows } = await client.query("select to_regclass($1) is not null as there", [`${schema}.nodes`]);
    if (!(rows[0] as { there: boolean }).there) return;
    await client.query(
      `with gone as (
         update ${s}.nodes set lease_until = clock_timestamp() - interval '1 ms', busy = 0, heap = 0
         where lease_until > clock_timestamp() and ($1::text is null or name = $1) returning id)
       update ${s}.runs set lease_until = clock_timestamp() - interval '1 ms'
       where state = 0 and lease_until > clock_timestamp() and node in (select id from gone)`,
      [name],
    );
    await client.query("select pg_notify($1, 'd')", [`tasker:${schema}`]);
  } finally {
    await client.end();
  }
}
