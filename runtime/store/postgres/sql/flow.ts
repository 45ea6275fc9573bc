import type { EntryKind } from "../../../../sdk/port/flow.ts";
import type { Reason } from "../../../../sdk/port/status.ts";
import { recorded } from "./end.ts";
import { folded, mailed, unfolded } from "./journal.ts";
import type { Part } from "./part.ts";
import { json, maybe, maybeWire, number, raw, shape, word } from "./shape.ts";
import { fenced, owned, parked, waiting, waitReason } from "./status.ts";

/** An entry of a journal. */
export const entry = shape({
  n: number,
  kind: word<EntryKind>(),
  key: word(),
  atMs: number,
  value: maybeWire,
  data: raw,
  runs: maybe(json<readonly number[]>()),
});
/** A journal that was asked for, by its place; in each row an entry or nulls. */
export const loaded = shape({ place: number, inbox: number, waited: raw as (text: string | null) => Reason | null });
/** An entry that was written; or, where `n` is null, how much was sent to a run whose lease stands: left out where that is nothing. Casts to text keep the parsers of a caller's client off. */
export const written = shape({
  run: number,
  n: maybe(number),
  at: number,
  inbox: maybe(number),
  runs: maybe(json<readonly number[]>()),
});
/** Whom something was sent to, by its place; or, without a place, a run that it reached. */
export const reached = shape({ place: maybe(number), run: maybe(number) });

const columns = {
  ...{ n: "n", kind: "kind", key: "key", atMs: "at", data: "data", runs: "to_json(runs)::text" },
  value: ["value", "meta"] as const,
};

/** Runs that one notification names: fewer than its 8000 bytes hold. */
const mostCalled = 400;

/** Statements of journals and of what is sent to runs. */
export function flow(part: Part) {
  const { schema: s, channel, clock, now, thisMs, dueAt, toldLanes, epoch, holds, watching } = part;
  const clockMs = `(select ceil(${epoch(clock)})::bigint)`;
  const never = "'9999-01-01 00:00:00+00'::timestamptz";
  const last = (run: string) => `(select at from ${s}.steps where run = ${run} order by n desc limit 1)`;
  const inbox = "coalesce(r.inbox, 0)";
  const woken = `not ${parked("i.waits")} and (coalesce(r.alarm, 0) > i.seen or ${inbox} >= i.seen + greatest(i.wants, 1))`;

  const firstDue = `case when r.options like '%"dueMs":%' then r.options
        else (coalesce(r.options, '{}')::jsonb || jsonb_build_object('dueMs', ceil(${epoch("r.due_at")})::bigint))::text end`;

  /** Counts what was sent to runs, and makes those due that it wakes. c: run, n, urgent. The row is written in any case, so that it waits for a
   *  suspension under way. */
  const wake = (from: string) => {
    const wakes = `r.waits is not null and not ${parked("r.waits")} and r.ready_at > ${now} and (c.urgent or ${inbox} + c.n >= r.wants)`;
    const at = (column: string) =>
      `${column} = case when ${wakes} then date_trunc('milliseconds', ${clock}) else r.${column} end`;
    return `
    update ${s}.runs r
    set inbox = ${inbox} + c.n, alarm = case when c.urgent then ${inbox} + c.n else r.alarm end, ${at("due_at")}, ${at("ready_at")}
    from (${from}) c
    where r.id = any(array[c.run])
    returning r.id, r.lane, r.waits is not null and r.ready_at >= ${thisMs} and r.ready_at <= ${clock} woken, ${owned("r")} taken`;
  };
  /** Notifies of what `wake` did: nodes that may claim, and those that have a run, whose numbers are named. Select `heard`, so that it runs. */
  const rung = `
  rung as (select lane from woken where woken),
  ${toldLanes("rung")},
  called as (
    select pg_notify('${channel}', case when woken then 'y' else 'p' end || string_agg(id::text, ','))
    from (select id, woken from woken where taken limit ${mostCalled}) c group by woken)`;
  const heard = "(select count(*) from told) + (select count(*) from called)";
  const alive = (run: string) => `exists (select 1 from ${s}.runs where id = ${run})`;
  const record = (runs: boolean) => {
    const also = runs ? ", runs" : "";
    return `
  with ours as materialized (
    select i.*, r.inbox, greatest(${clockMs}, i.floor, case when i.floor = 0 then ${last("r.id")} end) at
    from (
      select * from unnest($1::bigint[], $2::int[], $3::bigint[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[]${runs ? ", $10::text[]" : ""})
        i(id, token, floor, n, kind, key, value, meta, data${also})
      limit cardinality($1::bigint[])) i        -- takes nothing away: so a plan for any number looks as cheap as one for these
    join ${s}.runs r on ${fenced}
    for key share of r),                        -- a claim waits for this, or is waited for; other writes are not
  made as (
    insert into ${s}.steps (run, n, at, kind, key, value, meta, data${also})
    select id, n, at, kind, key, value, meta, data${runs ? ", runs::bigint[]" : ""} from ours where n is not null
    on conflict (run, n) do nothing returning run, n, at, runs, key)${
      runs
        ? `,
  born as (
    insert into ${s}.children (run, parent, key)
    select x.run, m.run, m.key from made m cross join lateral unnest(m.runs) x(run))`
        : ""
    }
  select ${written.select({ run: "run::text run", n: "n::text n", at: "at::text at", inbox: "null inbox", runs: "to_json(runs)::text runs" })} from made
  union all
  select ${written.select({ run: "id::text", n: "null", at: "null", inbox: "inbox::text", runs: "null" })} from ours where inbox > 0 or n is null`;
  };
  const mails = `
    select i.name, i.value, i.meta, i.data, i.place, coalesce(i.id, k.run) run
    from (
      select * from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) with ordinality
        i(id, job, key, name, value, meta, data, place)
      limit cardinality($4::text[])) i          -- as in record
    left join ${s}.keys k on k.job = i.job and k.key = i.key`;
  const put = (delivered: boolean, where: string) => `
    insert into ${s}.mail (run, at, name, value, meta, data, urgent, delivered)
    select run, ${clockMs}, name, value, meta, data, true, ${delivered} from i where ${where} order by place`;
  /** Ends of runs whose statement did not tell their parents, for it knew nothing of that. */
  const adopt = (children: string) => `
  with seen as materialized (${children}),
  late as (
    delete from ${s}.children c using seen
    where c.run = seen.run and not ${alive("c.run")} returning c.run, c.parent, c.key),
  sent as (${mailed(
    part,
    `select l.run, l.parent, l.key name, h.status, h.reason, h.error, h.result, h.result_meta
      from late l left join ${s}.history h on h.id = any(array[l.run])`,
  )})
  select max(run) from seen`;
  /** The next $2 runs after $1 in a table whose index begins with them. */
  const runsOf = (table: string) => `
    with recursive w(run, place) as (
      (select run, 1 from ${s}.${table} where run > $1 order by run limit 1)
      union all
      select (select t.run from ${s}.${table} t where t.run > w.run order by t.run limit 1), place + 1 from w where w.run is not null and place < $2)
    select run from w where run is not null`;
  return {
    /** Takes in what was sent to leased runs, and reads their journals. Mail that is being delivered just now is left there: it wakes the run.
     *  It is dated as it was sent, but not before entries that are there.
     *  $1 ids · $2 tokens · $3 places in the journals, after which to read · $4 dates at the earliest, epoch ms */
    load: `
  with ours as materialized (
    select i.place, i.after, i.floor, r.id, r.token, r.waits, ${inbox} inbox, exists (select 1 from ${s}.mail m where m.run = r.id) has
    from unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[]) with ordinality i(id, token, after, floor, place)
    join ${s}.runs r on ${fenced}),
  locked as materialized (
    select r.id, i.floor from (select id, token, max(floor) floor from ours where has group by id, token) i
    join ${s}.runs r on ${fenced} for key share of r),
  picked as materialized (
    select m.*, l.floor from locked l
    cross join lateral (select * from ${s}.mail where run = l.id order by id for update skip locked) m),
  gone as (delete from ${s}.mail m using picked p where m.run = p.run and m.id = p.id),
  taken as (
    insert into ${s}.steps (run, n, at, kind, key, value, meta, data)
    select p.run, coalesce(l.n, 0) + row_number() over w, max(greatest(p.at, p.floor, l.at)) over w, 'mail', p.name,
      p.value, p.meta, p.data
    from picked p left join lateral (select n, at from ${s}.steps where run = p.run order by n desc limit 1) l on true
    window w as (partition by p.run order by p.id)
    returning *)
  select ${loaded.select({ place: "o.place", inbox: "o.inbox", waited: waitReason("o.waits") })}, e.*
  from ours o
  left join lateral (
    select ${entry.select(columns)} from ${s}.steps where run = o.id and n > o.after
    union all
    select ${entry.select(columns)} from taken where run = o.id and n > o.after
    order by 1) e on true`,

    /** Writes entries of leased runs; those that are there already stay.
     *  A row an entry: $1 runs · $2 tokens · $3 dates at the earliest, epoch ms, 0: that of the last entry · $4 places, null for none · $5 kinds · $6 keys · $7 values ·
     *  $8 their metas · $9 data */
    record: record(false),

    /** As `record`, of entries that make runs. $10 these, array literals */
    recordRuns: record(true),

    /** As `record` answers, of entries of leased runs as they are. $1 runs · $2 tokens · $3 places */
    written: `
    select ${written.select({ run: "r.id", n: "null", at: "null", inbox: inbox, runs: "null" })}
    from unnest($1::bigint[], $2::int[]) i(id, token) join ${s}.runs r on ${fenced}
    union all
    select ${written.select({ run: "x.run", n: "x.n", at: "x.at", inbox: "null", runs: "to_json(x.runs)::text" })}
    from unnest($1::bigint[], $3::int[]) i(run, n) join ${s}.steps x on x.run = i.run and x.n = i.n`,

    /** Gives up leases of runs that wait. They are ready at once if more was sent to them than they know of.
     *  $1 ids · $2 tokens · $3 starts, epoch ms · $4 what they wait for · $5 until, epoch ms or null · $6 how much was sent as they knew · $7 of how
     *  many ends more they want to hear · $8 errors, JSON · $9 entries, JSON arrays or null */
    wait: `
  with back as (
    update ${s}.runs r
    set state = 0, holder = null, lease_until = null, expires_at = null, crashes = 0, started_at = null, waits = i.waits,
      attempt = r.attempt + (i.error is not null)::int, unspent = r.unspent + (i.error is not null)::int,
      wants = i.seen + greatest(i.wants, 1), options = ${firstDue}, due_at = case when ${woken} or i.until is null then ${thisMs} else ${dueAt("i.until")} end,
      ready_at = case when ${woken} then ${thisMs} when i.until is null then ${never} else ${dueAt("i.until")} end
    from unnest($1::bigint[], $2::int[], $3::float8[], $4::smallint[], $5::float8[], $6::int[], $7::int[], $8::text[], $9::text[])
      i(id, token, started, waits, until, seen, wants, error, entries)
    where ${fenced} and r.ask is null
    returning r.id, r.token fence, r.attempt n, r.lane, r.node, to_timestamp(i.started / 1000) started_at, i.error, i.entries, r.ready_at,
      case when i.until is not null then r.due_at end retry_at),
  tried as (${recorded(part, "(select *, 'parked' outcome from back where error is not null) b")}),
  made as (
    insert into ${s}.steps (run, n, at, kind, key, value, meta, data)
    select b.id, e.n, greatest(${clockMs}, ${last("b.id")}), e.kind, e.key, e.value, e.meta, e.data
    from back b
    cross join lateral json_to_recordset(b.entries::json) e(n int, kind text, key text, value text, meta text, data text)
    where b.entries is not null
    on conflict (run, n) do nothing),
  soon as (select lane from back where ready_at < ${now} + interval '1 minute'),
  ${toldLanes("soon")}
  select id, (select count(*) from told) from back`,

    /** Sends to live runs, and wakes them. $1 ids or null · $2 jobs and $3 keys of the others · $4 names · $5 values · $6 their metas · $7 data */
    send: `
  with i as materialized (${mails}),
  woken as (${wake("select run, count(*)::int n, true urgent from i where run is not null group by run order by run")}),
  put as (${put(true, alive("run"))}),
${rung}
  select ${reached.select({ place: "place", run: "run" })}, ${heard} from i
  union all
  select ${reached.select({ place: "null", run: "id" })}, 0 from woken`,

    /** As `send`, in a caller's transaction: only rows that nobody else has. */
    sendInside: `
  with i as materialized (${mails}),
  put as (${put(false, "run is not null")})
  select ${reached.select({ place: "place::text place", run: "run::text run" })}, pg_notify('${channel}', 'm')::text told from i`,

    /** Which of those whom nothing reached are over. As the first three of `send`. */
    over: `
    select ${reached.select({ place: "i.place", run: "h.id" })}
    from unnest($1::bigint[], $2::text[], $3::text[]) with ordinality i(id, job, key, place)
    left join ${s}.keys k on k.job = i.job and k.key = i.key
    left join ${s}.runs r on r.id = any(array[k.run])
    join ${s}.history h on h.id = any(array[coalesce(i.id, k.run)])
    where i.id is not null or ${holds("k", "r", "h")}`,

    /** Counts mail that came in a transaction or from a child, wakes whom it is for, and drops what is for nobody. Answers how much there was.
     *  $1 limit  Index: mail_new */
    deliver: `
  with picked as materialized (
    select id, run, urgent from ${s}.mail where not delivered order by id limit $1 for update skip locked),
  woken as (${wake("select run, count(*)::int n, bool_or(urgent) urgent from picked group by run order by run")}),
  kept as (update ${s}.mail m set delivered = true from picked p where m.run = p.run and m.id = p.id and ${alive("p.run")}),
  gone as (delete from ${s}.mail m using picked p where m.run = p.run and m.id = p.id and not ${alive("p.run")}),
${rung}
  select (select count(*) from picked), ${heard}`,

    /** The journal of a run, live or ended. $1 id */
    read: `
    select ${entry.select(columns)} from ${s}.steps where run = $1
    union all
    select ${entry.select(columns)} from (select steps from ${s}.history where id = $1 limit 1) h cross join lateral ${unfolded("h.steps")}
    order by 1`,

    /** Replaces the journal of a run that waits, and wakes it. $1 id · $2 entries, JSON · $3 the last place, by which it is refused if it has gone on ·
     *  $4 its lane from now on, or null */
    mend: `
  with changed as (
    update ${s}.runs r set lane = coalesce($4::int, r.lane), due_at = ${thisMs}, ready_at = ${thisMs}
    where r.id = $1 and ${waiting(part, "r")} and $3 = (select coalesce(max(x.n), 0) from ${s}.steps x where x.run = $1)
    returning r.id, r.lane),
  old as (delete from ${s}.steps x using changed c where x.run = any(array[c.id]) returning 1),
  new as (
    insert into ${s}.steps (run, n, at, kind, key, value, meta, data, runs)
    select c.id, x.n, x.at, x.kind, x.key, x.value, x.meta, x.data, x.runs
    from (select count(*) from old) before      -- the old rows go first, for they have the same numbers
    cross join changed c cross join lateral ${unfolded("$2")}),
  ${toldLanes("changed")}
  select id, 'done', 'pending', (select count(*) from told), ${watching} from changed`,

    /** Runs that these made, and so on. $1 ids  Index: children_parent */
    down: `
    with recursive down(run) as (
      select run from ${s}.children where parent = any($1::bigint[])
      union
      select c.run from down d join ${s}.children c on c.parent = any(array[d.run]))
    select run from down order by run`,

    /** Of runs that have come back. $1 ids */
    adoptOf: adopt(`select run from ${s}.children where parent = any($1::bigint[])`),

    /** What runs left behind whose end was written by a version that knows no workflows; a window of each table a call, after run $1, of $2 runs.
     *  Answer the last run that they saw. */
    adopt: adopt(`select run from ${s}.children where run > $1 order by run limit $2`),
    orphans: `
  with seen as materialized (${runsOf("steps")}),
  dead as materialized (select run from seen where not ${alive("seen.run")}),
  kept as (
    update ${s}.history h set steps = ${folded(part, "h.id")} from dead d where h.id = any(array[d.run]) and h.steps is null),
  gone as (delete from ${s}.steps x using dead d where x.run = any(array[d.run]))
  select max(run) from seen`,
    unread: `
  with seen as materialized (${runsOf("mail")}),
  gone as (delete from ${s}.mail m using seen where m.run = any(array[seen.run]) and m.delivered and not ${alive("seen.run")})
  select max(run) from seen`,
  };
}
