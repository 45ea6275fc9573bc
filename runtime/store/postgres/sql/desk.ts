import type { Status } from "../../../../sdk/port/status.ts";
import type { Act } from "../../../../sdk/port/target.ts";
import { inserted, type NewRow, same } from "./add.ts";
import { ended } from "./end.ts";
import { posted, unfolded } from "./journal.ts";
import type { Part } from "./part.ts";
import { flag, maybe, number, shape, word } from "./shape.ts";
import { askNumber, finalStatus, leased, liveStatus, statusNumber, waiting } from "./status.ts";

/** How long a revived run keeps a key without a row, ms: the default of `trigger`. */
const keyMs = 86_400_000;
/** More than nodes lease of a lane. */
const mostRecalled = 10_000;

export const act = shape({ id: number, done: word<Act["done"]>(), status: word<Status>() });
/** Whom a cancel notifies: those who await the run, and its node. */
export const hearers = shape({ watched: flag, node: maybe(number) });

/** Statements of acts. */
export function desk(part: Part) {
  const {
    schema: s,
    clock,
    now,
    thisMs,
    dueAt,
    dueIn,
    holds,
    ms,
    told,
    soon,
    commanded,
    summoned,
    sameQueue,
    watching,
  } = part;
  const held = leased(part, "r");
  /** Revives finished runs of a state, with new values, and these entries of their journals. Each takes its key again; of several with one
   *  key, the first. */
  const back = (was: number, entries: string, run: NewRow) => `
  with found as materialized (
    select h.id, h.key, o.job, k.rev, coalesce(k.run = h.id or not (n.id is not null or ${holds("k", "n", "e")}), true) free
    from ${s}.history h
    join ${s}.lanes o on o.id = h.lane
    left join ${s}.keys k on k.job = o.job and k.key = h.key
    left join ${s}.runs n on n.id = k.run
    left join ${s}.history e on e.id = k.run ${soon}
    where h.id = any($1::bigint[]) and h.status = ${was}),
  held as (
    insert into ${s}.keys (job, key, run, hash, keep_ms, until)
    select distinct on (job, key) job, key, id, '', ${keyMs}, ${clock} + ${ms(String(keyMs))}
    from found where key is not null and free
    order by job, key, array_position($1::bigint[], id)
    on conflict (job, key) do update
      set run = excluded.run, rev = keys.rev + 1, hash = case when keys.run = excluded.run then keys.hash else '' end
      where keys.rev = (select f.rev from found f where f.id = excluded.run)
    returning run),
  old as (
    delete from ${s}.history h using found f
    where h.id = f.id and h.status = ${was} and (f.key is null or f.id in (select run from held))
    returning h.*),
  back as (${inserted(
    part,
    {
      ...same("old", "id", "lane", "input", "meta", "tags", "key", "options", "progress"),
      ...same("old", "created_at", "started_at", "replay_of", "token", "node", "attempt"),
      ready_at: `greatest(${run.due}, ${now})`,
      ...run,
    },
    "old",
  )}
    returning id),
  journal as materialized (select old.id, x.* from old cross join lateral ${unfolded("old.steps")}),
  again as (
    insert into ${s}.steps (run, n, at, kind, key, value, meta, data, runs)
    select id, n, at, kind, key, value, meta, data, runs from journal where ${entries}),
  born as (                                     -- those whose end was not taken in
    insert into ${s}.children (run, parent, key)
    select x.run, j.id, j.key from journal j cross join lateral unnest(j.runs) x(run)
    where not exists (
      select 1 from journal m
      where m.id = j.id and m.kind = 'mail' and m.data::json ->> 'run' = x.run::text and m.data::json ->> 'status' is not null)
    on conflict (run) do nothing returning parent),
  ${told("back")}
  select ${act.select({ id: "id", done: "'done'", status: "'pending'" })}, ${posted.select({ count: "(select count(*) from born)" })},
    (select count(*) from told), ${watching} from back`;
  return {
    /** Cancels unleased runs, and asks the nodes of leased ones. $1 ids · $2 reason */
    cancel: `
  with found as materialized (
    select r.id, ${held} held, r.ask is not null asked from ${s}.runs r where r.id = any($1::bigint[]) order by r.id for update),
  ${ended(part, {
    from: "using found where r.id = found.id and not found.held",
    set: { status: String(statusNumber.canceled), reason: "$2::text" },
    flow: true,
  })},
  marked as (
    update ${s}.runs r set ask = coalesce(r.ask, ${askNumber("$2")}, 1::smallint)
    from found
    where r.id = found.id and found.held
    returning r.id, r.node, r.token, asked, ${liveStatus(part, "r")} status),
  sent as (${commanded("marked")})
  select ${act.select({ id: "id", done: "'done'", status: "'canceled'" })},
    ${hearers.select({ watched: "watched is not null", node: "null" })}, ${posted.select({ count: "(select count(*) from mailed)" })},
    (select count(*) from told), ${watching} from gone
  union all
  select ${act.select({ id: "id", done: "'asked'", status: "status" })},
    ${hearers.select({ watched: "false", node: "node::text" })}, 0, 0, ${watching} from marked`,

    /** Revives canceled runs, at their instant or now. $1 ids */
    resume: back(statusNumber.canceled, "true", { due: "due_at", unspent: "unspent", crashes: "crashes" }),

    /** Revives failed runs, now, with all attempts unspent and without failed steps. $1 ids */
    retryFailed: back(statusNumber.failed, "kind not in ('failed', 'retry')", {
      ...{ due: thisMs, unspent: "attempt", crashes: "0" },
    }),

    /** The status of runs. $1 ids */
    status: `
    select ${act.select({ id: "r.id", done: "'refused'", status: liveStatus(part, "r") })} from ${s}.runs r where r.id = any($1::bigint[])
    union all
    select ${act.select({ id: "h.id", done: "'refused'", status: finalStatus("h.status") })} from ${s}.history h where h.id = any($1::bigint[])`,

    /** $1 id */
    laneOf: `select lane from ${s}.runs where id = $1`,

    /** Changes an unleased run. Nulls leave values as they are.
     *  $1 id · $2 lane · $3 delay, ms · $4 instant, epoch ms · $5 input · $6 meta · $7 attempts */
    edit: `
  with t as (
    select case when $4::float8 is not null then ${dueAt("$4::float8")} when $3::float8 is not null then ${dueIn("$3::float8")} end due),
  changed as (
    update ${s}.runs r
    set lane = coalesce($2, lane), due_at = coalesce(t.due, due_at), ready_at = greatest(coalesce(t.due, due_at), ${now}),
      expires_at = expires_at + (coalesce(t.due, due_at) - due_at), lease_until = case when r.node is not null then lease_until end,
      input = coalesce($5, input), meta = case when $5::text is null then meta else $6 end,
      options = case when $7::int is null then options
        else (coalesce(options, '{}')::jsonb || jsonb_build_object('retry',
          coalesce(options::jsonb -> 'retry', '{}') || jsonb_build_object('attempts', $7::int)))::text end
    from t
    where r.id = $1 and not ${held} and not ${waiting(part, "r")}
    returning r.id),
  ${told("changed")}
  select ${act.select({ id: "id", done: "'done'", status: "'pending'" })}, (select count(*) from told), ${watching} from changed`,

    /** $1 queue · $2 paused */
    pause: `
  with set_queue as (
    insert into ${s}.queues (name, paused, paused_at) values ($1, $2, ${clock})
    on conflict (name) do update set paused = excluded.paused, paused_at = excluded.paused_at
      where queues.paused <> excluded.paused
    returning 1),
  moved as (update ${s}.config set rev = rev + 1 where exists (select 1 from set_queue)),
  goes as (select 1 where not $2::boolean),
  ${told("goes")}
  select count(*), ${watching} from told`,

    /** Counts the leased runs of a queue whose start is not recorded, and notifies their nodes. Leases are at the heads of lanes. $1 queue
     *  Index: runs_ready, runs_held */
    recall: `
  with mine as (select id from ${s}.lanes where ${sameQueue("$1", "queue")}),
  found as materialized (
    select r.node from mine l
    cross join lateral (
      select * from ${s}.runs where lane = l.id and state = 0 order by ready_at, id limit ${mostRecalled}) r
    where ${held} and r.started_at is null
    union all
    select r.node from ${s}.runs r where r.state = 1 and r.started_at is null and r.lane in (select id from mine)),
  ${summoned("found")}
  select (select count(*) from found), (select count(*) from told)`,

    /** Deletes finished runs with their attempts, logs and keys.
     *  $1 ids or null · $2 statuses · $3 jobs or null · $4 before, epoch ms or null · $5 limit */
    purge: `
  with picked as materialized (
    select id, status, finished_at, lane, key
    from ${s}.history h ${soon}
    where ($1::bigint[] is null or id = any($1::bigint[])) and status = any($2::smallint[])
      and ($3::text[] is null or lane in (select l.id from ${s}.lanes l where l.job = any($3::text[])))
      and ($4::float8 is null or finished_at < to_timestamp($4::float8 / 1000))
    limit $5 for update of h skip locked),
  gone as (
    delete from ${s}.history h using picked p
    where h.id = p.id and h.status = p.status and h.finished_at = p.finished_at returning h.id),
  freed as (
    delete from ${s}.keys k using picked p join ${s}.lanes l on l.id = p.lane
    where k.job = l.job and k.key = p.key and k.run = p.id),
  tried as (delete from ${s}.attempts where run in (select id from picked)),
  said as (delete from ${s}.logs where run in (select id from picked))
  select count(*), ${watching} from gone`,

    /** $1 run · $2 token */
    forget: `delete from ${s}.attempts where run = $1 and token = $2 returning id`,
  };
}
