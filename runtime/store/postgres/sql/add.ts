import { unfolded } from "./journal.ts";
import type { Part } from "./part.ts";
import { each, flag, maybe, number, shape, word } from "./shape.ts";
import { leased as held } from "./status.ts";

/** In each row: the clock, the instant of all runs, and the id of an unleased run or null. */
export const leased = shape({ nowMs: number, dueMs: number, unleased: maybe(number) });
export const winner = shape({ run: number });
/** The holder of a key. Casts to text keep the parsers of a caller's client away. */
export const holder = shape({
  ...each(number, "place", "run", "rev"),
  ...each(flag, "live", "unstarted", "kept"),
  hash: word(),
});

/** A new run: expressions by column. It is due and ready at `due`, and expires `ttl` ms later. */
export type NewRow = Readonly<Record<string, string>> & { readonly due: string; readonly ttl?: string };

export function same(table: string, ...names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [name, `${table}.${name}`]));
}

/** Every statement that adds runs inserts them so. */
export function inserted({ schema: s, now, ms }: Part, { due, ttl, ...rest }: NewRow, from: string): string {
  const expires = ttl === undefined ? {} : { expires_at: `${due} + ${ms(ttl)}` };
  const row = { due_at: due, ready_at: due, created_at: now, ...expires, ...rest };
  return `
    insert into ${s}.runs (${Object.keys(row).join(", ")})
    select ${Object.values(row).join(", ")}
    from ${from}`;
}

/** Claims the keys of the runs r that nobody holds; returns these runs. The order prevents deadlocks. */
export function claimed({ schema: s, ms }: Part, r: string): string {
  return `
    insert into ${s}.keys (job, key, run, hash, keep_ms, until)
    select job, key, id, hash, keep, due + ${ms("abs(keep)")} from ${r} order by job, key
    on conflict (job, key) do nothing returning run`;
}

/** Statements that add runs.
 *  Parameters of most: $1 ids · $2 lanes · $3 delays, ms · $4 instants, epoch ms or null · $5 inputs · $6 metas · $7 tags, JSON · $8 options
 *  · $9 ttls, ms · $10 runs that they replay · $11 payload of the notification */
export function adds(part: Part) {
  const {
    schema: s,
    channel,
    clock,
    thisMs,
    ms,
    epoch,
    dueAfter,
    dueAt,
    list,
    live,
    asleep,
    paused,
    holds,
    soon,
    watching,
  } = part;
  /** Whether to notify: of what is due soon if a node lives, of what is due later if one sleeps. In a caller's transaction nodes are always
   *  notified, because it may end later. */
  const tells = (payload: string) => `case when left(${payload}, 1) = 'd' then ${live} else ${asleep} end`;
  /** Notifies, and returns neither rows nor columns, which is quicker to read. */
  const announced = (payload: string) => `select where pg_notify('${channel}', ${payload}) is null`;
  // `case`, because the planner would evaluate cheap conditions first.
  const announcedIf = (payload: string) =>
    `select where case when ${tells(payload)} then pg_notify('${channel}', ${payload}) is null else false end`;
  const due = `case when i.at is not null then ${dueAt("i.at")} else ${dueAfter("i.delay")} end`;

  const plain = inserted(
    part,
    { ...same("i", "id", "lane", "input"), due: "t.due" },
    `unnest($1::bigint[], $2::int[], $3::float8[], $4::text[]) i(id, lane, delay, input)
    cross join lateral (select ${dueAfter("i.delay")} due) t`,
  );
  const common = { ...same("i", "id", "lane", "input", "meta", "options", "ttl"), tags: list("i.tags") };
  const anyOf = (more: Readonly<Record<string, string>>, parameter: string, column: string) => `
    ${inserted(
      part,
      { ...common, ...more, due: "t.due", replay_of: "i.replay" },
      `unnest($1::bigint[], $2::int[], $3::float8[], $4::float8[], $5::text[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::bigint[]${parameter})
        i(id, lane, delay, at, input, meta, tags, options, ttl, replay${column})
      cross join lateral (select ${due} due) t`,
    )}
    on conflict (id) do nothing`;
  const any = anyOf({}, "", "");
  const keyedRows = `
    select i.*, ${due} due
    from unnest($1::bigint[], $2::int[], $3::float8[], $4::float8[], $5::text[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::bigint[],
      $12::text[], $13::text[], $14::text[], $15::float8[])
      i(id, lane, delay, at, input, meta, tags, options, ttl, replay, job, key, hash, keep)`;
  const keyed = inserted(
    part,
    { ...common, due: "i.due", key: "i.key", replay_of: "i.replay" },
    "i where i.id in (select run from won)",
  );
  const taken = `
    update ${s}.keys k set run = i.id, hash = i.hash, keep_ms = i.keep, until = i.due + ${ms("abs(i.keep)")}, rev = k.rev + 1
    from i where k.job = i.job and k.key = i.key and k.rev = $16 returning k.run`;
  /** Adds the runs whose keys `won` claims. `own`: not in a caller's transaction. */
  const keyedBy = (won: string, own: boolean) => `
  with i as materialized (${keyedRows} ${own ? soon : ""}),
  won as (${won}),
  added as (${keyed}),
  told as (select pg_notify('${channel}', $11) ${own ? `where ${tells("$11")}` : ""})
  select ${winner.select({ run: "run::text run" })}, (select count(*) from told) told from won`;

  return {
    /** Adds runs that have only a delay and an input.
     *  $1 ids · $2 lanes · $3 delays, ms · $4 inputs · $5 payload of the notification */
    addPlain: `with added as (${plain}) ${announcedIf("$5")}`,

    /** As `addPlain`, in a caller's transaction. */
    addPlainInside: `with added as (${plain}) ${announced("$5")}`,

    /** As `addPlain`, of one run, which saves 20 us of 330.
     *  $1 id · $2 lane · $3 delay, ms · $4 input · $5 payload of the notification */
    addOne: `
  with added as (${inserted(
    part,
    { id: "$1::bigint", lane: "$2::int", due: "t.due", input: "$4" },
    `(select ${dueAfter("$3::float8")} due) t`,
  )})
  ${announcedIf("$5")}`,

    /** Adds runs, except those that are live already. */
    add: `with added as (${any}) ${announcedIf("$11")}`,

    /** As `add`, in a caller's transaction. */
    addInside: `with added as (${any}) ${announced("$11")}`,

    /** As `add`, of runs that may have journals: their first lease has token 2, so that it is not taken for one without a journal. Nodes are always
     *  notified. $12 journals, JSON, or nulls */
    addJournal: `
  with added as (${anyOf({ token: "(i.journal is not null)::int" }, ", $12::text[]", ", journal")} returning id),
  written as (
    insert into ${s}.steps (run, n, at, kind, key, value, meta, data, runs)
    select a.id, x.n, x.at, x.kind, x.key, x.value, x.meta, x.data, x.runs
    from added a join unnest($1::bigint[], $12::text[]) i(id, journal) on i.id = a.id cross join lateral ${unfolded("i.journal")})
  ${announced("$11")}`,

    /** After a repeated `add`, in its transaction: deletes added runs that are in history. Only this later statement sees the settlement that
     *  the insert waited for. $1 ids */
    undouble: `delete from ${s}.runs where id = any(array(select id from ${s}.history where id = any($1::bigint[])))`,

    /** Adds runs that are due now, under a lease, except those of paused queues. Returns a row for each unleased run, at least one.
     *  $1 ids · $2 lanes · $3 inputs · $4 metas · $5 tags, JSON · $6 options · $7 ttls, ms · $8 node · $9 ttl of the lease, ms */
    addLeased: `
  with added as (${inserted(
    part,
    {
      ...common,
      due: "t.due",
      created_at: "t.due",
      lease_until: `case when p.held then null else ${clock} + ${ms("$9")} end`,
      node: "case when p.held then null else $8::int end",
      token: "case when p.held then 0 else 1 end",
    },
    `unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[]) i(id, lane, input, meta, tags, options, ttl)
    cross join (select ${thisMs} due) t
    cross join lateral (select i.lane = any(${paused}) held) p`,
  )}
    returning id, token)
  select ${leased.select({ nowMs: epoch(clock), dueMs: epoch(thisMs), unleased: "a.id" })}
  from (select 1) one left join added a on a.token = 0`,

    /** Ends the leases of an `addLeased` whose answer was lost. The token grows, so that they count as lost. $1 ids · $2 node */
    unlease: `
    update ${s}.runs set lease_until = null, node = null, token = token + 1
    where id = any($1::bigint[]) and token = 1 and node = $2 and state = 0 and lease_until is not null and ask is null`,

    /** Adds keyed runs in a caller's transaction, and returns those that got their key. Waits for a key that another transaction has claimed.
     *  As `add`, and $12 jobs · $13 keys · $14 hashes of the input · $15 how long a completed run keeps its key, ms; below zero: one that ended otherwise, too */
    addKeyed: keyedBy(claimed(part, "i"), false),

    /** As `addKeyed`, but a key that another transaction has claimed fails soon with 55P03, so that it does not stall the batch. */
    addKeyedSoon: keyedBy(claimed(part, "i"), true),

    /** Takes over a key that its run does not hold any more, at revision $16, and adds the new run. No row: somebody was faster. The rest as
     *  `addKeyed`, of one run. */
    takeKey: keyedBy(taken, false),

    /** As `takeKey`, but waits as `addKeyedSoon` does. */
    takeKeySoon: keyedBy(taken, true),

    /** The holders of these keys, and whether they still hold them: live, or completed less than `keep` ago. $1 jobs · $2 keys */
    holders: `
  select ${holder.select({
    ...{ place: "i.n::text place", run: "k.run::text run", hash: "k.hash hash", rev: "k.rev::text rev" },
    live: "(r.id is not null)::text live",
    unstarted: `(r.id is not null and r.attempt = 0 and r.crashes = 0 and r.waits is null)::text unstarted`,
    kept: `(${holds("k", "r", "h")})::text kept`,
  })}
  from unnest($1::text[], $2::text[]) with ordinality i(job, key, n)
  join ${s}.keys k on k.job = i.job and k.key = i.key
  left join ${s}.runs r on r.id = any(array[k.run])
  left join ${s}.history h on h.id = any(array[k.run])`,

    /** Replaces an unleased run that has not started, and the hash of its key.
     *  $1 id · $2 lane · $3 delay, ms · $4 instant, epoch ms or null · $5 input · $6 meta · $7 hash · $8 tags, JSON · $9 options · $10 ttl,
     *  ms */
    replace: `
  with t as (select case when $4::float8 is not null then ${dueAt("$4::float8")} else ${dueAfter("$3::float8")} end due),
  changed as (
    update ${s}.runs r
    set lane = $2, due_at = t.due, ready_at = t.due, input = $5, meta = $6, options = $9, expires_at = t.due + ${ms("$10")},
      lease_until = case when r.node is not null then r.lease_until end, tags = ${list("$8::text")}
    from t
    where r.id = $1 and r.state = 0 and r.attempt = 0 and r.crashes = 0 and r.started_at is null and not ${held(part, "r")}
      and r.waits is null and not exists (select 1 from ${s}.steps x where x.run = r.id)
    returning r.id),
  hashed as (update ${s}.keys k set hash = $7 from changed where k.run = changed.id returning k.run)
  select run::text run, pg_notify('${channel}', 'd')::text told from hashed`,

    /** The first id of the next block. */
    ids: `select nextval('${s}.run_id'), ${watching}`,
  };
}
