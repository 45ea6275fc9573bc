import type { Act, Desk, Edit } from "../../../sdk/port/target.ts";
import type { Status } from "../../../sdk/port/status.ts";
import type { Lanes } from "./lane.ts";
import { at, outwait } from "./add.ts";
import { numbers, type Pool, type Row, texts } from "./pool.ts";
import type { Statements } from "./sql.ts";

/** How long a completed run keeps a key whose row had been cleared away, ms: the default of `trigger`. */
const keyMs = 86_400_000;
/** How long an act is repeated while another open transaction holds the key of a run, before its caller hears of it. */
const patienceMs = 2000;
const statusNumber = { completed: 0, failed: 1, canceled: 2 } as const;

/** Acts of people, in Postgres. */
export function desk(pool: Pool, sql: Statements, lanes: Lanes): Desk {
  const text = statements(sql);

  /** Answers for `ids`, in order: those that `rows` (id, done, status) name, and what the others are instead. */
  async function answer(ids: readonly number[], rows: readonly Row[]): Promise<readonly Act[]> {
    const acts = new Map(rows.map((row) => [Number(row[0]), actOf(row)]));
    const left = ids.filter((id) => !acts.has(id));
    if (left.length > 0)
      for (const row of await pool.rows("tasker_status", text.status, [numbers(left)]))
        acts.set(Number(row[0]), actOf(row));
    return ids.map((id) => acts.get(id) ?? { id, done: "missing", status: null });
  }

  function patiently(name: string, statement: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return outwait(() => pool.rows(name, statement, values), patienceMs, claimed);
  }

  return {
    async cancel(ids, reason = "user") {
      const rows = await pool.rows("tasker_cancel", text.cancel, [numbers(ids), reason]);
      const watched = rows.filter((row) => row[3] === "t").map((row) => row[0]);
      if (watched.length > 0) await pool.rows("tasker_tell", sql.tell, [`w${watched.slice(0, 400).join(",")}`]);
      const nodes = [...new Set(rows.map((row) => row[4]).filter((node) => node !== null))];
      if (nodes.length > 0) await pool.rows("tasker_tell", sql.tell, [`c${nodes.slice(0, 400).join(",")}`]);
      return answer(ids, rows);
    },
    async revive(ids, from) {
      const [name, statement] =
        from === "canceled" ? ["tasker_resume", text.resume] : ["tasker_retry_again", text.retry];
      return answer(ids, await patiently(name, statement, [numbers(ids)]));
    },
    async edit(id, edit) {
      const lane = edit.priority === undefined ? null : await laneFor(pool, text.lane, lanes, id, edit.priority);
      return (await answer([id], await pool.rows("tasker_edit", text.edit, editValues(id, edit, lane))))[0]!;
    },
    async pause(queue, paused) {
      await pool.rows("tasker_pause", text.pause, [queue, paused]);
    },
    async purge(filter, limit) {
      const { attempt } = filter;
      if (attempt) return (await pool.rows("tasker_forget", text.forget, [attempt.run, attempt.token])).length;
      const statuses = (filter.status ?? (["completed", "failed", "canceled"] as const)).map(
        (status) => statusNumber[status],
      );
      const values = [
        filter.ids ? numbers(filter.ids) : null,
        numbers(statuses),
        filter.job ? texts(filter.job) : null,
        filter.before?.getTime() ?? null,
        limit,
      ];
      const [row] = await patiently("tasker_purge", text.purge, values);
      return Number(row![0]);
    },
  };
}

const claimed =
  "another open transaction claims the idempotency key of one of these runs, so none of them was touched; repeat the call once that has ended";

function actOf(row: Row): Act {
  return { id: Number(row[0]), done: row[1] as Act["done"], status: row[2] as Status };
}

/** The lane of another priority, made before the edit: inside it only the run's own row is touched. */
async function laneFor(
  pool: Pool,
  statement: string,
  lanes: Lanes,
  id: number,
  priority: number,
): Promise<number | null> {
  const [row] = await pool.rows("tasker_lane_of", statement, [id]);
  if (!row) return null;
  const lane = await lanes.get(Number(row[0]));
  return (await lanes.ensure([{ queue: lane.queue, job: lane.job, priority }]))[0]!;
}

function editValues(id: number, edit: Edit, lane: number | null): readonly unknown[] {
  const input = edit.input;
  return [
    id,
    lane,
    edit.delayMs ?? null,
    at(edit.dueAt ?? null),
    input?.json ?? null,
    input?.meta ?? null,
    edit.attempts ?? null,
  ];
}

function statements(sql: Statements) {
  const { schema: s, clock, now, kept, hookRun, published, channel, ms, up, holds } = sql;
  const held = `(state = 1 or coalesce(lease_until >= ${clock}, false))`;
  const liveStatus = `case when state = 1 and started_at is not null then 'running' when ${held} then 'leased' else 'pending' end`;
  const soon = `cross join (select set_config('lock_timeout', '100ms', true)) soon`;
  const finalStatus = (column: string) => `(array['completed', 'failed', 'canceled'])[${column} + 1]`;
  const back = (was: number, due: string, attempt: string, crashes: string) => `
  with found as materialized (
    select h.id, h.key, o.job, k.rev, coalesce(k.run = h.id or not (n.id is not null or ${holds("k", "n", "e")}), true) free
    from ${s}.history h join ${s}.lanes o on o.id = h.lane
    left join ${s}.keys k on k.job = o.job and k.key = h.key
    left join ${s}.runs n on n.id = k.run left join ${s}.history e on e.id = k.run ${soon}
    where h.id = any($1::bigint[]) and h.status = ${was}),
  held as (                                        -- a run that comes back takes its key again, as it was found: the first of those that share it
    insert into ${s}.keys (job, key, run, hash, keep_ms, until)
    select distinct on (job, key) job, key, id, '', ${keyMs}, ${clock} + ${ms(String(keyMs))} from found where key is not null and free
    order by job, key, array_position($1::bigint[], id)
    on conflict (job, key) do update set run = excluded.run, rev = keys.rev + 1, hash = case when keys.run = excluded.run then keys.hash else '' end
    where keys.rev = (select f.rev from found f where f.id = excluded.run) returning run),
  old as (
    delete from ${s}.history h using found f
    where h.id = f.id and h.status = ${was} and (f.key is null or f.id in (select run from held)) returning h.*),
  back as (
    insert into ${s}.runs (id, due_at, ready_at, created_at, started_at, replay_of, lane, token, node, attempt, crashes, input, meta, tags, key, options, progress)
    select id, ${due}, greatest(${due}, ${now}), created_at, started_at, replay_of, lane, token, node, ${attempt}, ${crashes},
      input, meta, tags, key, options, progress from old returning id),
  told as (select pg_notify('${channel}', 'd') where exists (select 1 from back))
  select id, 'done', 'pending', (select count(*) from told) from back`;
  return {
    /** Ends unleased runs; asks the holders of the others. Answers id, what was done, status, somebody waits, node to tell.
     *  $1 ids · $2 reason */
    cancel: `
  with found as materialized (
    select id, ${held} held, ask is not null asked from ${s}.runs where id = any($1::bigint[]) order by id for update),
  fin as (
    delete from ${s}.runs r using found where r.id = found.id and not held returning r.*, 2::smallint status, $2::text reason),
  kept as (
    insert into ${s}.history (${kept})
    select id, due_at, created_at, started_at, ${clock}, replay_of, lane, token, node, attempt, status, crashes, reason,
      input, meta, tags, key, options, progress, null, null, null, null from fin),
  hooked as (${hookRun("fin")} ${published} returning 1),
  marked as (
    update ${s}.runs r set ask = coalesce(r.ask, array_position(array['user', 'superseded', 'parent'], $2), 1)::smallint from found where r.id = found.id and held returning r.id, r.node, r.token, asked, ${liveStatus.replaceAll("state", "r.state").replaceAll("started_at", "r.started_at").replaceAll("lease_until", "r.lease_until")} status),
  sent as (insert into ${s}.commands (node, run, token, at) select node, id, token, ${clock} from marked m
    where not exists (select 1 from ${s}.commands c where c.node = m.node and c.run = m.id and c.token = m.token)),
  told as (select pg_notify('${channel}', 'd') where exists (select 1 from hooked))
  select id::text, 'done', 'canceled', watched is not null, null, (select count(*) from told) from fin
  union all select id::text, 'asked', status, false, node::text, 0 from marked`,

    /** Canceled runs, pending again at their instant or now. $1 ids */
    resume: back(2, "due_at", "attempt", "crashes"),

    /** Failed runs, pending now, with their attempts counted from 1. $1 ids */
    retry: back(1, `date_trunc('milliseconds', ${now})`, "0", "0"),

    /** What these runs are. $1 ids */
    status: `
    select id::text, 'refused', ${liveStatus} from ${s}.runs where id = any($1::bigint[])
    union all select id::text, 'refused', ${finalStatus("status")} from ${s}.history where id = any($1::bigint[])`,

    /** $1 id */
    lane: `select lane from ${s}.runs where id = $1`,

    /** Changes a pending run. Nulls stay as they are.
     *  $1 id · $2 lane · $3 delay, ms · $4 instant, epoch ms · $5 input · $6 meta · $7 attempts */
    edit: `
  with t as (select case when $4::float8 is not null then greatest(to_timestamp($4::float8 / 1000), date_trunc('milliseconds', ${now}))
    when $3::float8 is not null then ${up(`${now} + ${ms("$3::float8")}`)} end due),
  changed as (
    update ${s}.runs r set lane = coalesce($2, lane), due_at = coalesce(t.due, due_at), ready_at = greatest(coalesce(t.due, due_at), ${now}),
      expires_at = expires_at + (coalesce(t.due, due_at) - due_at), input = coalesce($5, input), meta = case when $5::text is null then meta else $6 end,
      options = case when $7::int is null then options
        else (coalesce(options, '{}')::jsonb || jsonb_build_object('retry', coalesce(options::jsonb -> 'retry', '{}') || jsonb_build_object('attempts', $7::int)))::text end
    from t where id = $1 and not ${held} returning id),
  told as (select pg_notify('${channel}', 'd') where exists (select 1 from changed))
  select id::text, 'done', 'pending', (select count(*) from told) from changed`,

    /** $1 queue · $2 paused */
    pause: `
  with set_queue as (
    insert into ${s}.queues (name, paused, paused_at) values ($1, $2, ${clock})
    on conflict (name) do update set paused = excluded.paused, paused_at = excluded.paused_at),
  moved as (update ${s}.config set rev = rev + 1),
  told as (select pg_notify('${channel}', 'd') where not $2::boolean)
  select count(*) from told`,

    /** Deletes finished runs and what belongs to them. $1 ids or null · $2 statuses · $3 jobs or null · $4 before, epoch ms or null · $5 limit */
    purge: `
  with picked as materialized (
    select id, status, finished_at, lane, key from ${s}.history h ${soon}
    where ($1::bigint[] is null or id = any($1::bigint[])) and status = any($2::smallint[])
      and ($3::text[] is null or lane in (select l.id from ${s}.lanes l where l.job = any($3::text[])))
      and ($4::float8 is null or finished_at < to_timestamp($4::float8 / 1000))
    limit $5 for update of h skip locked),
  gone as (
    delete from ${s}.history h using picked p where h.id = p.id and h.status = p.status and h.finished_at = p.finished_at returning h.id),
  freed as (
    delete from ${s}.keys k using picked p join ${s}.lanes l on l.id = p.lane where k.job = l.job and k.key = p.key and k.run = p.id),
  tried as (delete from ${s}.attempts where run in (select id from picked)),
  said as (delete from ${s}.logs where run in (select id from picked))
  select count(*) from gone`,

    /** $1 run · $2 token */
    forget: `delete from ${s}.attempts where run = $1 and token = $2 returning id`,
  };
}
