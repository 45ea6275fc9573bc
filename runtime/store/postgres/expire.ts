import { schemaName } from "./migrate.ts";
import { withClient } from "./pool.ts";

/** A run that a node held when its process ended. */
export interface Held {
  readonly id: number;
  readonly job: string;
  /** This crash included; without a recorded start it counts as one at most. */
  readonly crashes: number;
  /** Whether its start is recorded: only then may a crash fail it. */
  readonly started: boolean;
}

/** Expires the leases of the node of this name, whose process is gone, or of all nodes for null. Its runs count as crashed, and are returned.
 *  A database without tasker's tables is left alone. */
export async function expireNode(
  { url, schema }: { readonly url: string; readonly schema: string },
  name: string | null,
): Promise<readonly Held[]> {
  const s = `"${schemaName(schema)}"`;
  return withClient(url, async (client) => {
    const { rows } = await client.query("select to_regclass($1) is not null as there", [`${schema}.nodes`]);
    if (!(rows[0] as { there: boolean }).there) return [];
    const held = await client.query<Held>(
      `with gone as (
         update ${s}.nodes set lease_until = clock_timestamp() - interval '1 ms', busy = 0, heap = 0
         where lease_until > clock_timestamp() and ($1::text is null or name = $1) returning id),
       freed as (
         update ${s}.runs set lease_until = clock_timestamp() - interval '1 ms'
         where state = 0 and lease_until > clock_timestamp() and node in (select id from gone)
         returning id, lane, crashes, false as started)
       select h.id::float8 id, l.job, h.started, case when h.started then h.crashes + 1 else greatest(h.crashes, 1) end crashes from (
         select * from freed union all
         select id, lane, crashes, started_at is not null from ${s}.runs where state = 1 and holder in (select id from gone)) h
       join ${s}.lanes l on l.id = h.lane order by h.id`,
      [name],
    );
    await client.query("select pg_notify($1, 'd')", [`tasker:${schema}`]);
    return held.rows;
  });
}
