import { crashed, expired as tooLate } from "../../guard.ts";
import { ended, recorded } from "./end.ts";
import type { Part } from "./part.ts";
import { askReason, statusNumber } from "./status.ts";

const { failed, canceled } = statusNumber;

/** Statements of a sweep. Tokens grow, so that writes of dead nodes are refused. */
export function sweep(part: Part) {
  const { schema: s, clock, now } = part;
  const crash = `replace('${JSON.stringify(crashed("$died"))}', '$died', lost.crashes::text)`;
  const tried = "case when r.started_at is null then 0 else 1 end";
  const ids = (which: string) => `(select json_agg(id) from gone where status = ${which})`;
  return {
    /** Runs of nodes whose lease ended: pending again; failed if that was one crash too many; canceled if somebody had asked.
     *  $1 limit · $2 crashes allowed · $3 the node that sweeps: never its own.  Answers ids of each kind, JSON arrays */
    dead: `
  with lost as materialized (
    select id, ask is not null asked, n.crashes, (ask is not null or (started_at is not null and n.crashes >= $2)) ends
    from ${s}.runs
    cross join lateral (select case when started_at is null then greatest(crashes, 1) else crashes + 1 end crashes) n
    where state = 1 and holder = any(array(select id from ${s}.nodes where lease_until < ${clock} and id <> $3))
    limit $1 for update of runs skip locked),
  back as (
    update ${s}.runs r
    set state = 0, holder = null, lease_until = null, token = token + 1, attempt = attempt + 1, unspent = unspent + 1, crashes = lost.crashes,
      ready_at = greatest(due_at, ${now}),
      expires_at = case when started_at is null then expires_at end
    from lost
    where r.id = any(array[lost.id]) and not lost.ends
    returning r.id, r.token - 1 fence, r.attempt n, r.lane, r.node, r.started_at, 'crashed' outcome, null error, r.ready_at retry_at),
  tried_again as (${recorded(part, "back")}),
  ${ended(part, {
    from: "using lost where r.id = any(array[lost.id]) and lost.ends",
    set: {
      status: `case when lost.asked then ${canceled} else ${failed} end`,
      reason: `case when lost.asked then ${askReason("r.ask")} else 'crashed' end`,
      ...{ attempt: `r.attempt + ${tried}`, unspent: `r.unspent + ${tried}` },
      ...{ token: "r.token + 1", crashes: "lost.crashes", error: `case when not lost.asked then ${crash} end` },
    },
    tried: `status = ${failed} or started_at is not null`,
    tells: ["back"],
    flow: true,
  })}
  select (select json_agg(id) from back), ${ids(String(failed))}, ${ids(String(canceled))}, (select count(*) from told)`,

    /** Runs whose lease lapsed while a cancel waited. $1 limit */
    asked: `
  with left_over as materialized (
    select r.id from ${s}.runs r
    join ${s}.commands c on c.run = r.id and c.token = r.token
    where r.id = any(array(select run from ${s}.commands)) and r.state = 0 and r.ask is not null and r.lease_until < ${clock}
    limit $1 for update of r skip locked),
  ${ended(part, {
    from: "using left_over where r.id = any(array[left_over.id])",
    set: { status: String(canceled), reason: askReason("r.ask"), token: "r.token + 1" },
    flow: true,
  })}
  select (select json_agg(id) from gone), (select count(*) from told)`,

    /** Runs that did not start in time. One whose lease lapsed may have started: who leases it next decides. $1 limit */
    expired: `
  with late as materialized (
    select id from ${s}.runs
    where expires_at <= ${now} and state < 1 and lease_until is null -- with = 0 it may walk the ready index
    order by expires_at limit $1 for update skip locked),
  ${ended(part, {
    from: "using late where r.id = any(array[late.id])",
    set: { status: String(failed), reason: "'expired'", token: "r.token + 1", error: `'${JSON.stringify(tooLate)}'` },
    flow: true,
  })}
  select (select json_agg(id) from gone), (select count(*) from told)`,

    /** Nodes that died an hour ago and hold nothing, and commands without a node. Their jobs keep which node had them last. */
    forget: `
  with dead as (
    delete from ${s}.nodes n
    where lease_until < ${clock} - interval '1 hour' and not exists (select 1 from ${s}.runs where state = 1 and holder = n.id)
    returning id, jobs, seen_at),
  last as (
    update ${s}.jobs j set node = d.id, seen_at = d.seen_at
    from (select distinct on (job) job, id, seen_at from dead cross join lateral unnest(jobs) job order by job, seen_at desc) d
    where j.id = d.job and j.seen_at < d.seen_at),
  mute as (
    delete from ${s}.commands c
    where c.node in (select id from dead) or not exists (select 1 from ${s}.nodes n where n.id = c.node))
  select count(*) from dead`,
  };
}
