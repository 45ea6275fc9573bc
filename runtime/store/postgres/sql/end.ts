import { inserted, same } from "./add.ts";
import { cleared, folded, posted } from "./journal.ts";
import { given, type Part } from "./part.ts";
import { flag, number, shape } from "./shape.ts";
import { askReason, fenced, hookKind, isHooked, leased, owned, statusNumber } from "./status.ts";

/** A finished run: whether it was canceled, and whether somebody awaits it. */
export const over = shape({ id: number, canceled: flag, watched: flag });
export const fence = shape({ id: number, token: number });
/** What became of a lease: whether its outcome was written, and as canceled; whether it was given back, or a cancel waits. */
export const found = shape({ id: number, settled: flag, canceled: flag, pending: flag, asked: flag });

/** How runs end. */
export interface End {
  /** `using … where …`: which runs r. */
  readonly from: string;
  /** Expressions by column of history; others stay as they were, or are null. */
  readonly set: Readonly<Record<string, string>> & { readonly status: string; readonly reason: string };
  /** Which of the finished runs get a record of their last attempt; none by default. */
  readonly tried?: string;
  /** Bits of their hooks; by default those that their jobs published. */
  readonly hooks?: string;
  /** Parts of the statement whose rows are also notified. */
  readonly tells?: readonly string[];
  /** Whether they may have journals or parents. `mailed` then has a row for each end that is sent to a parent. */
  readonly flow?: boolean;
}

/** Parts of a statement that finishes runs. `gone` has the rows of history, `ask` and `watched`. Nodes are notified only if `told` is
 *  selected from. */
export function ended(part: Part, end: End): string {
  const { hooks } = end;
  const from = `gone f join ${part.schema}.lanes o on o.id = f.lane`;
  const hooked =
    hooks === undefined
      ? hookRuns(part, `${from} join ${part.schema}.jobs j on j.id = o.job and ${isHooked("j.hooks", "f.status")}`)
      : hookRuns(part, from, isHooked("f.hooks", "f.status"));
  const tried = end.tried === undefined ? "" : `tried as (${recorded(part, triedOf(end.tried))}),`;
  return `${moved(part, end, hooks === undefined ? {} : { hooks })},
  ${end.flow ? `${cleared(part)},` : ""}${tried}
  hooked as (${hooked} returning 1),
  ${part.told("hooked", ...(end.tells ?? []))}`;
}

/** The first parts of `ended`: moves live runs to history. */
function moved(part: Part, end: End, more: Readonly<Record<string, string>> = {}): string {
  const { schema: s, clock } = part;
  const row = {
    ...same("r", "id", "due_at", "created_at", "started_at", "replay_of", "lane", "token", "node", "attempt"),
    ...same("r", "unspent", "crashes", "input", "meta", "tags", "key", "options", "progress"),
    ...{ finished_at: clock, result: "null", result_meta: "null", error: "null", note: "null" },
    ...(end.flow && { steps: folded(part, "r.id") }),
    ...end.set,
    status: `(${end.set.status})::smallint`,
  };
  const all = { ...row, ...same("r", "ask", "watched"), fence: "r.token", n: "r.attempt + 1", ...more };
  const columns = Object.keys(row).join(", ");
  return `gone as (
    delete from ${s}.runs r ${end.from}
    returning ${Object.entries(all)
      .map(([name, value]) => `${value} ${name}`)
      .join(", ")}),
  kept as (insert into ${s}.history (${columns}) select ${columns} from gone)`;
}

export function recorded({ schema: s, clock }: Part, from: string): string {
  return `
    insert into ${s}.attempts (run, token, n, lane, node, started_at, ended_at, outcome, error, retry_at)
    select id, fence, n, lane, node, started_at, ${clock}, outcome, error, retry_at from ${from}`;
}

/** The last attempts of finished runs, for `recorded`. */
function triedOf(which: string): string {
  return `(
      select *, null::timestamptz retry_at,
        case when status = ${statusNumber.canceled} then 'canceled' when reason in ('timeout', 'crashed') then reason else 'error' end outcome
      from gone where ${which}) t`;
}

/** Adds a run for each hook of finished runs, with their input. */
function hookRuns(part: Part, from: string, which = "true"): string {
  const { schema: s, now } = part;
  const hook = `json_build_object('kind', ${hookKind("f.status")}, 'of', f.id)`;
  const options = `json_build_object('hook', ${hook})::text`;
  return inserted(
    part,
    { id: `nextval('${s}.run_id')`, lane: "h.id", due: now, ...same("f", "input", "meta"), options },
    `${from}
    join ${s}.lanes h on h.queue = '$hooks' and h.job = o.job and h.priority = 5
    where o.queue <> '$hooks' and ${which}`,
  );
}

/** Finishes runs in any final state.
 *  As `complete`, and $6 statuses · $7 reasons · $8 errors, JSON · $9 notes · $10 hooks, bits */
function finish(part: Part, begun: Readonly<Record<string, string>>, flow: boolean): string {
  return `
  with ${ended(part, {
    from: `
    using ${given(
      "bigint int float8 text text smallint text text text int",
      "id, token, started, result, result_meta, status, reason, error, note, hooks",
    )}
    where ${fenced}`,
    set: {
      status: `case when r.ask is null then i.status else ${statusNumber.canceled} end`,
      reason: `case when r.ask is null then i.reason else ${askReason("r.ask")} end`,
      ...begun,
      ...same("i", "error", "note"),
      result: `case when r.ask is null and i.status = ${statusNumber.completed} then i.result end`,
      result_meta: `case when r.ask is null and i.status = ${statusNumber.completed} then i.result_meta end`,
    },
    hooks: "i.hooks",
    tried: `(status = ${statusNumber.failed} and reason <> 'expired') or (status = ${statusNumber.canceled} and started_at is not null)`,
    flow,
  })}
  select ${over.from("gone", { canceled: "ask is not null", watched: "watched is not null" })},
    ${flow ? `${posted.select({ count: "(select count(*) from mailed)" })}, ` : ""}(select count(*) from told)
  from gone`;
}

/** Statements that settle, hold, and release leases. */
export function ends(part: Part) {
  const { schema: s, clock, now, told, dueIn, commanded, summoned } = part;
  const started = "coalesce(to_timestamp(i.started / 1000), r.started_at)";
  const begun = { started_at: started, attempt: `r.attempt + case when ${started} is null then 0 else 1 end` };
  return {
    /** Moves completed runs to history, unless a cancel came first.
     *  $1 ids · $2 tokens · $3 starts, epoch ms · $4 results · $5 their metas */
    complete: `
  with ${moved(part, {
    from: `
    using ${given("bigint int float8 text text", "id, token, started, result, result_meta")}
    where ${fenced} and r.ask is null`,
    set: { status: "0", reason: "null", ...begun, ...same("i", "result", "result_meta") },
  })}
  select ${over.from("gone", { canceled: "false", watched: "watched is not null" })} from gone`,

    finish: finish(part, begun, false),
    /** As `finish`, of runs that may have journals or parents. */
    finishFlow: finish(part, begun, true),

    /** Makes runs pending after an attempt, unless a cancel came first.
     *  $1 ids · $2 tokens · $3 starts · $4 delays, ms · $5 spent attempts, 0 or 1 · $6 outcomes · $7 errors, JSON */
    retry: `
  with back as (
    update ${s}.runs r
    set state = 0, holder = null, lease_until = null, expires_at = null, attempt = attempt + 1, unspent = unspent + 1 - i.spent,
      started_at = to_timestamp(i.started / 1000), due_at = ${dueIn("i.delay")}, ready_at = ${dueIn("i.delay")}, waits = null
    from ${given("bigint int float8 float8 int text text", "id, token, started, delay, spent, outcome, error")}
    where ${fenced} and r.ask is null
    returning r.id, r.token fence, r.attempt n, r.lane, r.node, r.started_at, r.due_at retry_at, i.outcome, i.error),
  tried as (${recorded(part, "back")}),
  soon as (select 1 from back where retry_at < ${now} + interval '1 minute'),
  ${told("soon")}
  select id, (select count(*) from told) from back`,

    /** What became of leases whose settlement wrote nothing. $1 ids · $2 tokens */
    settled: `
  select ${found.select({
    ...{ id: "i.id", settled: "coalesce(h.id, a.run) is not null", pending: "r.state = 0 and r.lease_until is null" },
    canceled: `coalesce(h.status = ${statusNumber.canceled}, a.outcome = 'canceled')`,
    asked: `${owned("r")} and r.ask is not null`,
  })}
  from unnest($1::bigint[], $2::int[]) i(id, token)
  left join ${s}.history h on h.id = any(array[i.id]) and h.token = i.token
  left join ${s}.attempts a on a.run = any(array[i.id]) and a.token = i.token and a.outcome <> 'crashed'
  left join ${s}.runs r on r.id = any(array[i.id]) and r.token = i.token`,

    /** Puts runs under their node's lease, out of the ready index. Returns those whose lease stands.
     *  $1 node · $2 ids · $3 tokens · $4 starts, epoch ms or null */
    hold: `
    update ${s}.runs r
    set state = 1, holder = $1, started_at = ${started}, expires_at = case when i.started is null then r.expires_at end
    from unnest($2::bigint[], $3::int[], $4::float8[]) i(id, token, started)
    where ${fenced}
    returning ${fence.from("r", {})}`,

    /** Asks the nodes of leased runs whose start is not recorded to give them back; returns their ids. $1 ids */
    back: `
  with found as materialized (
    select r.id, r.node, r.token from ${s}.runs r
    where r.id = any($1::bigint[]) and ${leased(part, "r")} and r.ask is null and r.started_at is null),
  sent as (${commanded("found")} returning node),
  ${summoned("sent")}
  select id::text, (select count(*) from told) from found`,

    /** Gives leases back as if the runs had not started, unless a cancel waits. A run that an act asked back is reserved for a second, under
     *  a new token. $1 ids · $2 tokens */
    release: `
  with back as (
    update ${s}.runs r
    set started_at = null, ready_at = greatest(r.due_at, ${now}), state = case when r.ask is null then 0 else r.state end,
      holder = case when r.ask is not null then r.holder end, node = case when r.ask is not null or not i.wanted then r.node end,
      lease_until = case when r.ask is not null then r.lease_until when i.wanted then ${clock} + interval '1 s' end,
      token = case when r.ask is null and i.wanted then r.token + 1 else r.token end
    from (
      select id, token, (id, token) in (select run, token from ${s}.commands) wanted
      from unnest($1::bigint[], $2::int[]) i(id, token)) i
    where ${fenced}
    returning r.id, r.ask, r.lease_until),
  free as (select id from back where lease_until is null),
  ${told("free")}
  select id, (select count(*) from told) from back where ask is null`,

    /** Stores progress and log lines. Returns the places of the notes that were stored.
     *  $1 ids · $2 tokens · $3 progress, JSON or null · $4 lines, a JSON array or null */
    note: `
  with ours as materialized (
    select i.*
    from unnest($1::bigint[], $2::int[], $3::text[], $4::text[]) with ordinality i(id, token, progress, lines, n)
    join ${s}.runs r on ${fenced}),
  moved as (
    update ${s}.runs r set progress = o.progress
    from ours o where r.id = any(array[o.id]) and o.progress is not null),
  said as (
    insert into ${s}.logs (run, attempt, at, level, message, data)
    select o.id, l.attempt, to_timestamp(l.at / 1000), l.level, l.message, l.data
    from ours o
    cross join lateral json_to_recordset(o.lines::json) l(attempt int, at float8, level text, message text, data text)
    order by o.n)
  select n from ours`,
  };
}
