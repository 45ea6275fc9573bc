import type { Runs } from "../port.ts";
import { crashed, expired as tooLate } from "../guard.ts";
import { pruner } from "./keep.ts";
import type { Pool } from "./pool.ts";
import type { Statements } from "./sql.ts";

/** What one statement takes at most of each kind, and how many of them a sweep sends. */
const bound = 500;
const mostRounds = 20;

/** Recovers what dead nodes held, expires what came too late, forgets nodes. Rows that others have locked are skipped. */
export function sweeper(pool: Pool, sql: Statements): Runs["sweep"] {
  const { dead, asked, expired, forget } = statements(sql);
  const prune = pruner(pool.guest, sql);

  /** Sends a statement until it finds less than it may take. Answers numbers of runs by column, and whether there may be more. */
  async function all(name: string, statement: string, values: readonly unknown[], kinds: number) {
    const found = Array.from({ length: kinds }, (): number[] => []);
    for (let round = 0; round < mostRounds; round++) {
      const [row] = await pool.rows(name, statement, [bound, ...values]);
      const ids = found.map((_, kind) => JSON.parse(row![kind] ?? "[]") as number[]);
      found.forEach((kind, i) => kind.push(...ids[i]!));
      if (ids.flat().length < bound) return { found, more: false };
    }
    return { found, more: true };
  }

  return async ({ maxCrashes, node = 0, keep }) => {
    const lost = await all("tasker_sweep_dead", dead, [maxCrashes, node], 3);
    const left = await all("tasker_sweep_asked", asked, [], 1);
    const late = await all("tasker_sweep_expired", expired, [], 1);
    const [gone] = await pool.rows("tasker_sweep_nodes", forget, []);
    return {
      recovered: lost.found[0]!,
      crashed: lost.found[1]!,
      canceled: [...lost.found[2]!, ...left.found[0]!],
      expired: late.found[0]!,
      nodes: Number(gone![0]),
      pruned: keep ? await prune(keep) : 0,
      more: lost.more || left.more || late.more,
    };
  };
}

function statements(sql: Statements) {
  const { schema: s, clock, now, kept, hookRun, published, channel, asked: why } = sql;
  return {
    /** Runs of nodes whose lease ended: pending again, with their token moved on so that the dead node's writes are refused;
     *  failed if that was one crash too many; canceled if somebody had asked. $1 limit · $2 crashes allowed · $3 the node that sweeps: never its own */
    dead: `
  with lost as materialized (
    select id, ask is not null as asked, n.crashes, (ask is not null or (started_at is not null and n.crashes >= $2)) as over from ${s}.runs
    cross join lateral (select case when started_at is null then greatest(crashes, 1) else crashes + 1 end crashes) n
    where state = 1 and holder = any(array(select id from ${s}.nodes where lease_until < ${clock} and id <> $3))
    limit $1 for update of runs skip locked),
  back as (
    update ${s}.runs r set state = 0, holder = null, lease_until = null, token = token + 1, crashes = lost.crashes, ready_at = greatest(due_at, ${now}),
      expires_at = case when started_at is null then expires_at end
    from lost where r.id = any(array[lost.id]) and not over
    returning r.id, r.token - 1 token, r.attempt, r.lane, r.node, r.started_at, r.ready_at),
  gone as (
    delete from ${s}.runs r using lost where r.id = any(array[lost.id]) and over
    returning r.*, lost.crashes died, case when asked then 2::smallint else 1::smallint end status, case when asked then ${why("r.ask")} else 'crashed' end reason),
  fin as (
    select *, case when status = 1 then replace('${JSON.stringify(crashed("$died"))}', '$died', died::text) end error from gone),
  kept as (
    insert into ${s}.history (${kept})
    select id, due_at, created_at, started_at, ${clock}, replay_of, lane, token + 1, node, attempt, status, died, reason,
      input, meta, tags, key, options, progress, null, null, error, null from fin),
  tried as (
    insert into ${s}.attempts (run, token, n, lane, node, started_at, ended_at, outcome, error, retry_at)
    select id, token, attempt + 1, lane, node, started_at, ${clock}, 'crashed', null, ready_at from back
    union all select id, token, attempt + 1, lane, node, started_at, ${clock}, 'crashed', error, null from fin where status = 1),
  hooked as (${hookRun("fin")} ${published} returning 1),
  told as (select pg_notify('${channel}', 'd') where exists (select 1 from back) or exists (select 1 from hooked))
  select (select json_agg(id) from back), (select json_agg(id) from fin where status = 1), (select json_agg(id) from fin where status = 2),
    (select count(*) from told)`,

    /** Runs whose holder died, before it was held, with a cancel under way: nobody needs to lease them again. $1 limit */
    asked: `
  with left_over as materialized (
    select r.id from ${s}.runs r join ${s}.commands c on c.run = r.id and c.token = r.token
    where r.id = any(array(select run from ${s}.commands)) and r.state = 0 and r.ask is not null and r.lease_until < ${clock} limit $1 for update of r skip locked),
  fin as (
    delete from ${s}.runs r using left_over where r.id = any(array[left_over.id]) returning r.*, 2::smallint status),
  kept as (
    insert into ${s}.history (${kept})
    select id, due_at, created_at, started_at, ${clock}, replay_of, lane, token + 1, node, attempt, status, crashes, ${why("ask")},
      input, meta, tags, key, options, progress, null, null, null, null from fin),
  hooked as (${hookRun("fin")} ${published} returning 1),
  told as (select pg_notify('${channel}', 'd') where exists (select 1 from hooked))
  select (select json_agg(id) from fin), (select count(*) from told)`,

    /** Runs that did not start in time. One whose lease lapsed may have started: who leases it next decides. $1 limit */
    expired: `
  with late as materialized (
    select id from ${s}.runs where expires_at <= ${now} and state < 1 and lease_until is null -- with = 0 it may walk the ready index
    order by expires_at limit $1 for update skip locked),
  fin as (
    delete from ${s}.runs r using late where r.id = any(array[late.id])
    returning r.*, 1::smallint status, 'expired' reason, '${JSON.stringify(tooLate)}'::text error),
  kept as (
    insert into ${s}.history (${kept})
    select id, due_at, created_at, started_at, ${clock}, replay_of, lane, token + 1, node, attempt, status, crashes, reason,
      input, meta, tags, key, options, progress, null, null, error, null from fin),
  hooked as (${hookRun("fin")} ${published} returning 1),
  told as (select pg_notify('${channel}', 'd') where exists (select 1 from hooked))
  select (select json_agg(id) from fin), (select count(*) from told)`,

    /** Nodes that ended an hour ago and hold nothing any more, with the commands that nobody will read. */
    forget: `
  with dead as (
    delete from ${s}.nodes n where lease_until < ${clock} - interval '1 hour'
      and not exists (select 1 from ${s}.runs where state = 1 and holder = n.id) returning id),
  mute as (
    delete from ${s}.commands c where c.node in (select id from dead) or not exists (select 1 from ${s}.nodes n where n.id = c.node))
  select count(*) from dead`,
  };
}
