/** The statements of the hot path, whole. `sql(schema)` is called once a store. All answer text; all names are qualified. */

export type Statements = ReturnType<typeof sql>;

/** How a finished run's columns are copied to history. `r` is the run's row, `f` what is known of its end. */
const kept = `id, due_at, created_at, started_at, finished_at, replay_of, lane, token, node, attempt, status, crashes, reason,
  input, meta, tags, key, options, progress, result, result_meta, error, note`;

/** Builds the statements for a schema whose name has been checked. `skew` (tests only) moves the store's clock by a table. */
export function sql(schema: string, skew: boolean) {
  const s = `"${schema}"`;
  const shift = skew ? ` + (select by from ${s}.skew)` : "";
  const clock = `(clock_timestamp()${shift})`; // decides leases: moves on inside a transaction
  const now = `(statement_timestamp()${shift})`; // stable, so it can be an index condition
  const ms = (value: string) => `(${value})::float8 * interval '1 ms'`;
  const epoch = (value: string) => `(extract(epoch from ${value}) * 1000)::float8`;
  const channel = `tasker:${schema}`;
  const up = (value: string) => `date_trunc('milliseconds', ${value} + interval '999 microseconds')`;
  const live = `exists (select 1 from ${s}.nodes where lease_until > ${clock})`;
  const asleep = `exists (select 1 from ${s}.nodes where asleep and lease_until > ${clock})`;
  /** Whether to send a payload: what is due soon if a node is up, what is due later if one sleeps; `inside` a caller's transaction always, for
   *  who is up when that ends is not known. */
  const tells = (payload: string, inside: boolean) =>
    inside ? "true" : `case when left(${payload}, 1) = 'd' then ${live} else ${asleep} end`;
  /** Notifies, and answers no row and no column: a lone caller's process has the less to read. In a case, for the planner puts what is cheap first. */
  const announce = (payload: string, inside = false) =>
    `select where case when ${tells(payload, inside)} then pg_notify('${channel}', ${payload}) is null else false end`;
  // An array of one, not `=`: else a merge join may look cheap, which walks all of the index.
  const fenced = `r.id = any(array[i.id]) and r.token = i.token and (r.state = 1 or r.lease_until is not null)`;
  /** Whether the key of a run that is not live is still held: completed less than its keep ago, or gone with its partition before that. */
  const holds = (k: string, r: string, h: string) =>
    `case when ${h}.id is not null then ${h}.status = 0 and ${h}.finished_at + ${ms(`${k}.keep_ms`)} > ${clock} else ${r}.id is null and ${k}.until > ${clock} end`;
  const crashed = "case when lease_until is null then crashes else greatest(crashes, 1) end"; // a lease that ran out: its node is gone
  const free = `state = 0 and (lease_until is null or lease_until < ${clock}) and ${crashed} < $7::int`;
  /** Lanes that a claim looks through, in order, and between which instants: first for what is due, then for what falls due soon, so that no
   *  later run displaces a due one. The limits take nothing away: with them a plan for any number of lanes looks as cheap as one for these, so
   *  that statements are not planned anew each time. */
  const given = `select lane, case when low < 0 then ${now} + ${ms("low")} else coalesce(to_timestamp(low / 1000), '-infinity') end low, ${now} high from unnest($1::int[], $2::float8[]) w(lane, low) limit cardinality($1)`;
  const soonIn = (lanes: string) =>
    `select lane, ${now}, ${now} + ${ms("$6")} from ${lanes} where $6::float8 > 0 limit cardinality($1)`;
  const all = { begin: "with", due: given, ahead: soonIn("unnest($1::int[]) w(lane)") };
  const paused = `array(select x.id from ${s}.queues q join ${s}.lanes x on x.queue = q.name where q.paused)`;
  const claimed = (ids: string, begin = "with") => `
  ${begin} taken as (
    update ${s}.runs r set lease_until = ${clock} + ${ms("$4")}, node = $3, token = token + 1, started_at = null, crashes = ${crashed}
    where id = any(array(${ids}))               -- an array is a fence: a join may lock more rows than $5
    returning id, token, lane, due_at, created_at, expires_at, attempt, crashes, ask, input, meta, tags, key, options, ready_at)
  select (select rev from ${s}.config), ${epoch(clock)}, t.id, t.token, t.lane, ceil(${epoch("t.due_at")}), ceil(${epoch("t.created_at")}),
    case when t.crashes = 0 then ceil(${epoch("t.expires_at")}) end, t.attempt, t.crashes, t.ask, t.input, t.meta, to_json(t.tags), t.key, t.options,
    floor(${epoch("t.ready_at")}), ${epoch(clock)} - ${epoch(now)}
  from (select 1) one left join taken t on true`;
  const lease = ({ begin, due, ahead } = all) =>
    claimed(
      `
      select c.id from ((${due}) union all (${ahead})) l
      cross join lateral (
        select id from ${s}.runs
        where lane = l.lane and ${free} and ready_at > l.low and ready_at <= l.high
          and l.lane <> all(${paused})          -- once, not once a lane
        order by ready_at, id limit $5 for update skip locked) c
      limit $5`,
      begin,
    );
  const due = `case when i.at is not null then greatest(to_timestamp(i.at / 1000), date_trunc('milliseconds', ${now}))
      when i.delay = 0 then date_trunc('milliseconds', ${now}) else ${up(`${now} + ${ms("i.delay")}`)} end due`;
  const tags = `case when i.tags is not null then array(select json_array_elements_text(i.tags::json)) end`;
  const keyedRows = `
    select i.*, ${due}
    from unnest($1::bigint[], $2::int[], $3::float8[], $4::float8[], $5::text[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::bigint[],
      $12::text[], $13::text[], $14::text[], $15::float8[]) i(id, lane, delay, at, input, meta, tags, options, ttl, replay, job, key, hash, keep)`;
  const soon = `cross join (select set_config('lock_timeout', '100ms', true)) soon`;
  const takeKey = (limit: string) => `
  with i as materialized (${keyedRows} ${limit}),
  won as (
    update ${s}.keys k set run = i.id, hash = i.hash, keep_ms = i.keep, until = i.due + ${ms("i.keep")}, rev = k.rev + 1
    from i where k.job = i.job and k.key = i.key and k.rev = $16 returning k.run),
  added as (${keyedInsert()}),
  told as (select pg_notify('${channel}', $11) where ${tells("$11", limit === "")})
  select run::text run, (select count(*) from told) told from won`;
  const addKeyed = (limit: string) => `
  with i as materialized (${keyedRows} ${limit}),
  won as (
    insert into ${s}.keys (job, key, run, hash, keep_ms, until)
    select job, key, id, hash, keep, due + ${ms("keep")} from i order by job, key   -- one order for all, so that two batches can't deadlock
    on conflict (job, key) do nothing returning run),
  added as (${keyedInsert()}),
  told as (select pg_notify('${channel}', $11) where ${tells("$11", limit === "")})
  select run::text run, (select count(*) from told) told from won`;
  const addPlain = (inside: boolean) => `
  with added as (
    insert into ${s}.runs (id, lane, due_at, ready_at, created_at, input)
    select i.id, i.lane, t.due, t.due, ${now}, i.input
    from unnest($1::bigint[], $2::int[], $3::float8[], $4::text[]) i(id, lane, delay, input)
    cross join lateral (select case when i.delay = 0 then date_trunc('milliseconds', ${now}) else ${up(`${now} + ${ms("i.delay")}`)} end due) t)
  ${announce("$5", inside)}`;
  const addAny = (inside: boolean) => `
  with added as (
    insert into ${s}.runs (id, lane, due_at, ready_at, created_at, expires_at, input, meta, tags, options, replay_of)
    select i.id, i.lane, t.due, t.due, ${now}, t.due + ${ms("i.ttl")}, i.input, i.meta,
      ${tags}, i.options, i.replay
    from unnest($1::bigint[], $2::int[], $3::float8[], $4::float8[], $5::text[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::bigint[])
      i(id, lane, delay, at, input, meta, tags, options, ttl, replay)
    cross join lateral (select ${due}) t
    on conflict (id) do nothing)
  ${announce("$11", inside)}`;
  const keyedInsert = (): string => `
    insert into ${s}.runs (id, lane, due_at, ready_at, created_at, expires_at, input, meta, tags, key, options, replay_of)
    select i.id, i.lane, i.due, i.due, ${now}, i.due + ${ms("i.ttl")}, i.input, i.meta, ${tags}, i.key, i.options, i.replay
    from i where i.id in (select run from won)`;
  /** Why a cancel was asked for: what `ask` stands for. */
  const asked = (column: string) => `(array['user', 'superseded', 'parent'])[${column}]`;
  const hookRun = (from: string) => `
    insert into ${s}.runs (id, lane, due_at, ready_at, created_at, input, meta, options)
    select nextval('${s}.run_id'), h.id, ${now}, ${now}, ${now}, f.input, f.meta,
      json_build_object('hook', json_build_object('kind', (array['success', 'failure', 'cancel'])[f.status + 1], 'of', f.id))::text
    from ${from} f join ${s}.lanes o on o.id = f.lane join ${s}.lanes h on h.queue = '$hooks' and h.job = o.job and h.priority = 5`;
  const published = `join ${s}.jobs j on j.id = o.job and (j.hooks & (1 << f.status)) <> 0 where o.queue <> '$hooks'`;

  return {
    schema: s,
    channel,
    clock,
    now,
    epoch,
    hookRun,
    published,
    kept,
    up,
    ms,
    live,
    holds,
    asked,

    /** Adds runs that have nothing but an instant and an input: due now, or after a delay. Tells nodes once, if any is up, or inside a caller's
     *  transaction in any case.
     *  $1 ids · $2 lanes · $3 delays, ms · $4 inputs · $5 payload of the notification */
    addPlain: addPlain(false),
    addPlainInside: addPlain(true),

    /** As `addPlain`, of one run: less for the server to put together, 20 us of the 330 that a lone caller's call takes.
     *  $1 id · $2 lane · $3 delay, ms · $4 input · $5 payload of the notification */
    addOne: `
  with added as (
    insert into ${s}.runs (id, lane, due_at, ready_at, created_at, input)
    select $1::bigint, $2::int, t.due, t.due, ${now}, $4
    from (select case when $3::float8 = 0 then date_trunc('milliseconds', ${now}) else ${up(`${now} + ${ms("$3")}`)} end due) t)
  ${announce("$5")}`,

    /** Adds runs of any kind, but for those that are live already.
     *  $1 ids · $2 lanes · $3 delays, ms · $4 instants, epoch ms or null · $5 inputs · $6 metas · $7 tags, JSON · $8 options ·
     *  $9 times to live, ms · $10 runs that they repeat · $11 payload of the notification */
    add: addAny(false),
    addInside: addAny(true),

    /** Takes back runs that are over, once they were added again, in the transaction that did so. The insert waited for whoever was ending
     *  one, and only a later statement's snapshot shows its end.  $1 ids */
    undouble: `delete from ${s}.runs where id = any(array(select id from ${s}.history where id = any($1::bigint[])))`,

    /** Adds runs that are due now, each under a lease from the start, but for those in a paused queue. Nobody is told.
     *  $1 ids · $2 lanes · $3 inputs · $4 metas · $5 tags, JSON · $6 options · $7 times to live, ms · $8 node · $9 ttl of the lease, ms.
     *  Answers the clock, the instant of all, and then the id of each that is not leased, or null. */
    addLeased: `
  with added as (
    insert into ${s}.runs (id, lane, due_at, ready_at, created_at, expires_at, input, meta, tags, options, lease_until, node, token)
    select i.id, i.lane, t.due, t.due, t.due, t.due + ${ms("i.ttl")}, i.input, i.meta, ${tags}, i.options,
      case when p.held then null else ${clock} + ${ms("$9")} end, case when p.held then null else $8::int end, case when p.held then 0 else 1 end
    from unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[]) i(id, lane, input, meta, tags, options, ttl)
    cross join (select date_trunc('milliseconds', ${now}) due) t
    cross join lateral (select i.lane = any(array(select l.id from ${s}.queues q join ${s}.lanes l on l.queue = q.name where q.paused)) held) p
    returning id, token)
  select ${epoch(clock)}, ${epoch(`date_trunc('milliseconds', ${now})`)}, a.id from (select 1) one left join added a on a.token = 0`,

    /** Takes back leases that came with runs whose add was not answered. The token moves on: whoever heard of the lease after all has lost it.
     *  $1 ids · $2 node */
    unlease: `
    update ${s}.runs set lease_until = null, node = null, token = token + 1
    where id = any($1::bigint[]) and token = 1 and node = $2 and state = 0 and lease_until is not null and ask is null`,

    /** Adds keyed runs whose key nobody holds; answers their ids. A key that another open transaction claims is waited for.
     *  As `add`, and $12 jobs · $13 keys · $14 hashes of the input · $15 how long a completed run keeps its key, ms */
    addKeyed: addKeyed(""),

    /** As `addKeyed`, but a claim by another open transaction fails with 55P03 soon, so that it stalls nobody else in the batch. */
    addKeyedSoon: addKeyed(soon),

    /** Who holds these keys now, and whether its run still does: live, or completed less than its keep ago.
     *  $1 jobs · $2 keys */
    holders: `
  select i.n::text place, k.run::text run, k.hash hash, (r.id is not null)::text live,
    (r.id is not null and r.state = 0 and r.attempt = 0 and (r.lease_until is null or r.lease_until < ${clock}))::text pending,
    (${holds("k", "r", "h")})::text kept, k.rev::text rev
  from unnest($1::text[], $2::text[]) with ordinality i(job, key, n)
  join ${s}.keys k on k.job = i.job and k.key = i.key
  left join ${s}.runs r on r.id = any(array[k.run]) left join ${s}.history h on h.id = any(array[k.run])`,

    /** Takes over a key, as it was at revision $16, whose run has let go of it, and adds its new run, in one step: between the two, somebody else
     *  would find a key without a run. Nothing comes back if somebody was faster. The rest as \`addKeyed\`, of one run. */
    takeKey: takeKey(""),

    /** As `takeKey`, but waits for another open transaction only as long as `addKeyedSoon` does. */
    takeKeySoon: takeKey(soon),

    /** Gives a pending, unleased run another input and instant, and its key the new hash.
     *  $1 id · $2 lane · $3 delay, ms · $4 instant, epoch ms or null · $5 input · $6 meta · $7 hash · $8 tags, JSON ·
     *  $9 options · $10 time to live, ms */
    replace: `
  with t as (select case when $4::float8 is not null then greatest(to_timestamp($4::float8 / 1000), ${now}) else ${up(`${now} + ${ms("$3")}`)} end due),
  changed as (
    update ${s}.runs r set lane = $2, due_at = t.due, ready_at = t.due, input = $5, meta = $6, options = $9, expires_at = t.due + ${ms("$10")},
      tags = case when $8::text is not null then array(select json_array_elements_text($8::json)) end
    from t where r.id = $1 and state = 0 and attempt = 0 and crashes = 0 and started_at is null and (lease_until is null or lease_until < ${clock})
    returning r.id),
  hashed as (update ${s}.keys k set hash = $7 from changed where k.run = changed.id returning k.run)
  select run::text run, pg_notify('${channel}', 'd')::text told from hashed`,

    /** Claims runs, higher lanes first; each lane's in the order in which they became ready. Each claim grows the fencing token.
     *  Always answers a row: the revision of the settings, the clock, then a run or nulls.
     *  $1 lanes, in order · $2 of each, ready since later than that, epoch ms; 0: from the head, negative: from now · $3 node · $4 ttl, ms · $5 limit ·
     *  $6 also what falls due within this, ms · $7 crashes: only fewer.  Index: runs_ready (lane, ready_at, id). No column set here is in an index: HOT. */
    lease: lease(),

    /** As `lease`, for many lanes: looks once into each, and twice only into those that have something. */
    leaseMany: lease({
      begin: `with awake as materialized (select lane, low, high from (${given}) l
        where (select true from ${s}.runs where lane = l.lane and state = 0 and ready_at > l.low and ready_at <= ${now} + ${ms("$6")} limit 1)),`,
      due: "select lane, low, high from awake",
      ahead: soonIn("awake"),
    }),

    /** As `lease`, but lanes in the order of their longest waiting run. */
    leaseOldest: lease({
      ...all,
      due: `select i.* from (${given}) i cross join lateral (select (select ready_at from ${s}.runs
          where lane = i.lane and ${free} and ready_at > i.low and ready_at <= i.high order by ready_at, id limit 1) head) h order by head nulls last`,
    }),

    /** As `lease`, of runs that a scan has found. $1 ids · $2 lanes that they may be in · the rest as there.
     *  Index: runs_id. `lane + 0`, because runs_ready would be walked from its head. */
    leaseFound: claimed(`
      select c.id from unnest($1::bigint[]) i(id) cross join lateral (
        select id from ${s}.runs
        where id = any(array[i.id]) and lane + 0 = any($2::int[]) and ${free} and ready_at <= ${now} + ${ms("$6")} and lane <> all(${paused})
        for update skip locked) c
      limit $5`),

    /** Reads which runs wait below the low-water marks: the first of each lane. Changes nothing, and may take long: it walks the index from
     *  its head. Answers one row: the clock, how long it took, then lanes, ids and instants, JSON arrays or null.
     *  $1 lanes · $2 their marks, epoch ms; null: now · $3 limit a lane.  Index: runs_ready */
    scan: `
  with found as materialized (
    select c.lane, c.id, c.ready_at from unnest($1::int[], $2::float8[]) l(lane, mark)
    cross join lateral (
      select lane, id, ready_at from ${s}.runs
      where lane = l.lane and state = 0 and (lease_until is null or lease_until < ${clock}) and ready_at <= coalesce(to_timestamp(l.mark / 1000), ${now})
        and l.lane <> all(${paused})
      order by ready_at, id limit $3) c)
  select ${epoch(clock)}, ${epoch(clock)} - ${epoch(now)}, f.lanes, f.ids, f.instants
  from (select to_json(array_agg(lane)) lanes, to_json(array_agg(id)) ids, to_json(array_agg(floor(${epoch("ready_at")}))) instants from found) f`,

    /** Moves completed runs to history, where id and token still match and no cancel came first.
     *  $1 ids · $2 tokens · $3 starts, epoch ms · $4 results · $5 their metas.  Answers id, false, somebody waits. */
    complete: `
  with gone as (
    delete from ${s}.runs r using unnest($1::bigint[], $2::int[], $3::float8[], $4::text[], $5::text[]) i(id, token, started, result, result_meta)
    where ${fenced} and r.ask is null
    returning r.*, i.started, i.result, i.result_meta),
  kept as (
    insert into ${s}.history (id, due_at, created_at, started_at, finished_at, replay_of, lane, token, node, attempt, status, crashes, reason,
      input, meta, tags, key, options, progress, result, result_meta)
    select id, due_at, created_at, coalesce(to_timestamp(started / 1000), started_at), ${clock}, replay_of, lane, token, node,
      attempt + case when coalesce(to_timestamp(started / 1000), started_at) is null then 0 else 1 end, 0, crashes, null,
      input, meta, tags, key, options, progress, result, result_meta
    from gone)
  select id, false, watched is not null from gone`,

    /** Ends runs in any final state, with reason, error, note, attempt record and hook runs.
     *  As `complete`, and $6 statuses · $7 reasons · $8 errors, JSON · $9 notes · $10 which states have a hook, bits */
    finish: `
  with gone as (
    delete from ${s}.runs r using unnest($1::bigint[], $2::int[], $3::float8[], $4::text[], $5::text[], $6::smallint[], $7::text[], $8::text[], $9::text[], $10::int[])
      i(id, token, started, result, result_meta, status, reason, error, note, hooks)
    where ${fenced}
    returning r.*, coalesce(to_timestamp(i.started / 1000), r.started_at) began, i.result, i.result_meta, case when r.ask is null then i.status else 2::smallint end status,
      case when r.ask is null then i.reason else ${asked("r.ask")} end reason, i.error, i.note, i.hooks),
  kept as (
    insert into ${s}.history (${kept})
    select id, due_at, created_at, began, ${clock}, replay_of, lane, token, node, attempt + case when began is null then 0 else 1 end, status, crashes, reason, input, meta, tags, key, options, progress,
      case when status = 0 then result end, case when status = 0 then result_meta end, error, note
    from gone),
  tried as (
    insert into ${s}.attempts (run, token, n, lane, node, started_at, ended_at, outcome, error)
    select id, token, attempt + 1, lane, node, began, ${clock},
      case when status = 2 then 'canceled' when reason in ('timeout', 'crashed') then reason else 'error' end, error
    from gone where (status = 1 and reason <> 'expired') or (status = 2 and began is not null)),
  hooked as (${hookRun("gone")} where (f.hooks & (1 << f.status)) <> 0 and o.queue <> '$hooks' returning 1)
  select id, ask is not null, watched is not null, (select pg_notify('${channel}', 'd') where exists (select 1 from hooked)) from gone`,

    /** Makes runs pending again after a failed or snoozed attempt, unless a cancel came first.
     *  $1 ids · $2 tokens · $3 starts · $4 delays, ms · $5 attempts spent (0 or 1) · $6 outcomes · $7 errors, JSON */
    retry: `
  with back as (
    update ${s}.runs r set state = 0, holder = null, lease_until = null, expires_at = null, attempt = attempt + i.spent,
      started_at = to_timestamp(i.started / 1000), due_at = ${up(`${now} + ${ms("i.delay")}`)}, ready_at = ${up(`${now} + ${ms("i.delay")}`)}
    from unnest($1::bigint[], $2::int[], $3::float8[], $4::float8[], $5::int[], $6::text[], $7::text[]) i(id, token, started, delay, spent, outcome, error)
    where ${fenced} and r.ask is null
    returning r.id, r.token, r.attempt - i.spent + 1 n, r.lane, r.node, r.started_at, r.due_at, i.outcome, i.error),
  tried as (
    insert into ${s}.attempts (run, token, n, lane, node, started_at, ended_at, outcome, error, retry_at)
    select id, token, n, lane, node, started_at, ${clock}, outcome, error, due_at from back),
  told as (select pg_notify('${channel}', 'd') where exists (select 1 from back where due_at < ${now} + interval '1 minute'))
  select id, (select count(*) from told) from back`,

    /** What became of runs whose settlement found nothing: in history under this token, or pending under it, or neither.
     *  $1 ids · $2 tokens */
    settled: `
  select i.id, i.token, h.status, (r.id is not null and r.state = 0 and r.lease_until is null),
    (r.id is not null and (r.state = 1 or r.lease_until is not null) and r.ask is not null)
  from unnest($1::bigint[], $2::int[]) i(id, token)
  left join ${s}.history h on h.id = any(array[i.id]) and h.token = i.token
  left join ${s}.runs r on r.id = any(array[i.id]) and r.token = i.token`,

    /** Parks runs: out of the ready index, under their node's lease. Answers those that are still ours.
     *  $1 node · $2 ids · $3 tokens · $4 starts, epoch ms or null */
    hold: `
    update ${s}.runs r set state = 1, holder = $1, started_at = coalesce(to_timestamp(i.started / 1000), r.started_at),
      expires_at = case when i.started is null then r.expires_at end
    from unnest($2::bigint[], $3::int[], $4::float8[]) i(id, token, started)
    where ${fenced} returning r.id, r.token`,

    /** Gives leases back as if the runs had not started; those that a cancel waits for stay leased, and are not answered. $1 ids · $2 tokens */
    release: `
  with back as (
    update ${s}.runs r set started_at = null, ready_at = greatest(r.due_at, ${now}), state = case when r.ask is null then 0 else r.state end,
      holder = case when r.ask is not null then r.holder end, lease_until = case when r.ask is not null then r.lease_until end
    from unnest($1::bigint[], $2::int[]) i(id, token) where ${fenced} returning r.id, r.ask),
  told as (select pg_notify('${channel}', 'd') where exists (select 1 from back where ask is null))
  select id, (select count(*) from told) from back where ask is null`,

    /** Keeps what attempts tell of themselves, where id and token still match. Answers the places of those in the batch.
     *  $1 ids · $2 tokens · $3 progress, JSON or null · $4 lines, a JSON array or null */
    note: `
  with ours as materialized (
    select i.* from unnest($1::bigint[], $2::int[], $3::text[], $4::text[]) with ordinality i(id, token, progress, lines, n) join ${s}.runs r on ${fenced}),
  moved as (update ${s}.runs r set progress = o.progress from ours o where r.id = any(array[o.id]) and o.progress is not null),
  said as (
    insert into ${s}.logs (run, attempt, at, level, message, data)
    select o.id, l.attempt, to_timestamp(l.at / 1000), l.level, l.message, l.data
    from ours o cross join lateral json_to_recordset(o.lines::json) l(attempt int, at float8, level text, message text, data text) order by o.n)
  select n from ours`,

    /** Tells other processes. $1 payload: `d` runs may be due (`l`: later) · `c<nodes>` commands wait · `w<runs>` awaited runs ended */
    tell: `select pg_notify('${channel}', $1)`,

    /** The next block of ids; `nextval` is its first. */
    ids: `select nextval('${s}.run_id')`,

    /** Makes the lanes that are missing; a new one moves the revision. $1 queues · $2 jobs · $3 priorities */
    lanes: `
  with made as (
    insert into ${s}.lanes (queue, job, priority)
    select distinct i.queue, i.job, i.priority
    from unnest($1::text[], $2::text[], $3::int[]) i(queue, job, priority)
    where not exists (select 1 from ${s}.lanes l where l.queue = i.queue and l.job = i.job and l.priority = i.priority)
    on conflict (queue, job, priority) do nothing returning id),
  moved as (update ${s}.config set rev = rev + 1 where exists (select 1 from made))
  select count(*) from made`,

    /** All lanes, and the revision at which they were read. */
    allLanes: `select (select rev from ${s}.config), id, queue, job, priority from (select 1) one left join ${s}.lanes on true`,
  };
}
