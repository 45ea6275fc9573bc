import type { Pool } from "./pool.ts";
import type { Statements } from "./sql.ts";

/** A node is asked once in this time at most; ms. */
const everyMs = 1000;
/** So many names are remembered at most. */
const mostNodes = 1000;

/** Asks the node of a run, or all nodes, to record starts. Best effort, and not awaited. */
export function looker(
  pool: Pool,
  sql: Statements,
): (at: { readonly node: string; readonly run: number } | null) => void {
  const text = statement(sql);
  const asked = new Map<string, number>();
  return (at) => {
    const [now, name] = [performance.now(), at?.node ?? ""];
    const before = Math.max(asked.get(name) ?? -Infinity, asked.get("") ?? -Infinity);
    if (now - before < everyMs) return;
    if (asked.size > mostNodes) asked.clear();
    asked.set(name, now);
    pool.rows("tasker_look", text, [at?.run ?? null]).catch(() => undefined);
  };
}

/** A command without a run, at most one a node in `everyMs`. $1 run or null */
function statement({ schema: s, clock, channel }: Statements): string {
  return `
  with sent as (
    insert into ${s}.commands (node, run, token, at) select n.id, 0, 0, ${clock} from ${s}.nodes n
    where n.lease_until > ${clock} and not n.asleep and ($1::bigint is null or n.id = (select node from ${s}.runs where id = $1))
      and not exists (select 1 from ${s}.commands c where c.node = n.id and c.run = 0 and c.at > ${clock} - interval '${everyMs} ms')
    returning node)
  select pg_notify('${channel}', 'c' || string_agg(node::text, ',')) from sent having count(*) > 0`;
}
