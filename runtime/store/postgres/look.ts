import type { Pool } from "./pool.ts";
import type { Statements } from "./sql.ts";

/** How often a node is asked at most; ms. */
const everyMs = 1000;
/** Names that are remembered at most. */
const mostNodes = 1000;

/** Asks nodes to record which of their runs have started, because somebody looks: the node that has the run, or all. Nobody waits for it, and
 *  it may fail. */
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

/** A command without a run, which stays for as long as no other is left. $1 run or null */
function statement({ schema: s, clock, channel }: Statements): string {
  return `
  with sent as (
    insert into ${s}.commands (node, run, token, at) select n.id, 0, 0, ${clock} from ${s}.nodes n
    where n.lease_until > ${clock} and not n.asleep and ($1::bigint is null or n.id = (select node from ${s}.runs where id = $1))
      and not exists (select 1 from ${s}.commands c where c.node = n.id and c.run = 0 and c.at > ${clock} - interval '${everyMs} ms')
    returning node)
  select pg_notify('${channel}', 'c' || string_agg(node::text, ',')) from sent having count(*) > 0`;
}
