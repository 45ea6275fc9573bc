import type { Part } from "./part.ts";
import { flag, maybe, number, shape, word } from "./shape.ts";
import { leased as held } from "./status.ts";

/** What adding under a lease answers, in each of its rows: the clock, the instant of all, and a run that is not leased. */
export const leased = shape({ nowMs: number, dueMs: number, unleased: maybe(number) });
/** A run that has its key. */
export const winner = shape({ run: number });
/** Who holds a key. Casts to text keep the parsers of a caller's client off. */
export const holder = shape({
  place: number,
  run: number,
  hash: word(),
  live: flag,
  unstarted: flag,
  kept: flag,
  rev: number,
});

/** A new run: expressions by column; others are at their defaults. It is due and ready at `due`, and expires `ttl` ms later. */
export type NewRow = Readonly<Record<string, string>> & { readonly due: string; readonly ttl?: string };

/** Columns of a table, as expressions by name. */
export function same(table: string, ...names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [name, `${table}.${name}`]));
}

/** The one way in which runs come into being. */
export function inserted({ schema: s, now, ms }: Part, { due, ttl, ...rest }: NewRow, from: string): string {
  const expires = ttl === undefined ? {} : { expires_at: `${due} + ${ms(ttl)}` };
  const row = { due_at: due, ready_at: due, created_at: now, ...expires, ...rest };
  return `
    insert into ${s}.runs (${Object.keys(row).join(", ")})
    select ${Object.values(row).join(", ")}
    from ${from}`;
}

/** Claims keys for the runs of r, but for those that somebody has; answers the others' ids. One order for all, so that two statements can't
 *  deadlock. */
export function claimed({ schema: s, ms }: Part, r: string): string {
  return `
    insert into ${s}.keys (job, key, run, hash, keep_ms, until)
    select job, key, id, hash, keep, due + ${ms("keep")} from ${r} order by job, key
    on conflict (job, key) do nothing returning run`;
}

/** Statements that add runs.
 *  Parameters of most: $1 ids · $2 lanes · $3 delays, ms · $4 instants, epoch ms or null · $5 inputs · $6 metas · $7 tags, JSON ·
 *  $8 options · $9 times to live, ms · $10 runs that they repeat · $11 payload of the notification */
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
  } = part;
  /** Whether to send a payload: what is due soon if a node is up, what is due later if one sleeps. Inside a caller's transaction it is always
   *  sent, for who is up when that ends is not known. */
  const tells = (payload: string) => `case when left(${payload}, 1) = 'd' then ${live} else ${asleep} end`;
  /** Notifies, and answers no row and no column: a lone caller's process has the less to read. */
  const announced = (payload: string) => `select where pg_notify('${channel}', ${payload}) is null`;
  // In a case, for the planner puts what is cheap first.
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
  const any = `
    ${inserted(
      part,
      { ...common, due: "t.due", replay_of: "i.replay" },
      `unnest($1::bigint[], $2::int[], $3::float8[], $4::float8[], $5::text[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::bigint[])
        i(id, lane, delay, at, input, meta, tags, options, ttl, replay)
      cross join lateral (select ${due} due) t`,
    )}
    on conflict (id) do nothing`;
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
    update ${s}.keys k set run = i.id, hash = i.hash, keep_ms = i.keep, until = i.due + ${ms("i.keep")}, rev = k.rev + 1
    from i where k.job = i.job and k.key = i.key and k.rev = $16 returning k.run`;
  /** Adds the rows whose keys `won` brings. `own`: not in a caller's transaction. */
  const keyedBy = (won: string, own: boolean) => `
  with i as materialized (${keyedRows} ${own ? soon : ""}),
  won as (${won}),
  added as (${keyed}),
  told as (select pg_notify('${channel}', $11) ${own ? `where ${tells("$11")}` : ""})
  select ${winner.select({ run: "run::text run" })}, (select count(*) from told) told from won`;

  return {
    /** Adds runs that have nothing but an instant and an input: due now, or after a delay. Tells nodes once, if any is up.
     *  $1 ids · $2 lanes · $3 delays, ms · $4 inputs · $5 payload of the notification */
    addPlain: `with added as (${plain}) ${announcedIf("$5")}`,

    /** As `addPlain`, inside a caller's transaction: tells nodes in any case. */
    addPlainInside: `with added as (${plain}) ${announced("$5")}`,

    /** As `addPlain`, of one run: less for the server to put together, 20 us of the 330 that a lone caller's call takes.
     *  $1 id · $2 lane · $3 delay, ms · $4 input · $5 payload of the notification */
    addOne: `
  with added as (${inserted(
    part,
    { id: "$1::bigint", lane: "$2::int", due: "t.due", input: "$4" },
    `(select ${dueAfter("$3::float8")} due) t`,
  )})
  ${announcedIf("$5")}`,

    /** Adds runs of any kind, but for those that are live already. */
    add: `with added as (${any}) ${announcedIf("$11")}`,

    /** As `add`, inside a caller's transaction: tells nodes in any case. */
    addInside: `with added as (${any}) ${announced("$11")}`,

    /** Takes back runs that are over, once they were added again, in the transaction that did so. The insert waited for whoever was ending
     *  one, and only a later statement's snapshot shows its end.  $1 ids */
    undouble: `delete from ${s}.runs where id = any(array(select id from ${s}.history where id = any($1::bigint[])))`,

    /** Adds runs that are due now, each under a lease from the start, but for those in a paused queue. Nobody is told.
     *  $1 ids · $2 lanes · $3 inputs · $4 metas · $5 tags, JSON · $6 options · $7 times to live, ms · $8 node · $9 ttl of the lease, ms.
     *  Answers a row for each that is not leased, one at least. */
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

    /** Takes back leases that came with runs whose add was not answered. The token moves on: whoever heard of the lease after all has lost it.
     *  $1 ids · $2 node */
    unlease: `
    update ${s}.runs set lease_until = null, node = null, token = token + 1
    where id = any($1::bigint[]) and token = 1 and node = $2 and state = 0 and lease_until is not null and ask is null`,

    /** Adds keyed runs whose key nobody holds, inside a caller's transaction; answers their ids. A key that another open transaction claims is
     *  waited for.
     *  As `add`, and $12 jobs · $13 keys · $14 hashes of the input · $15 how long a completed run keeps its key, ms */
    addKeyed: keyedBy(claimed(part, "i"), false),

    /** As `addKeyed`, but a claim by another open transaction fails with 55P03 soon, so that it stalls nobody else in the batch. */
    addKeyedSoon: keyedBy(claimed(part, "i"), true),

    /** Takes over a key, as it was at revision $16, whose run has let go of it, and adds its new run, in one step: between the two, somebody else
     *  would find a key without a run. Nothing comes back if somebody was faster. The rest as `addKeyed`, of one run. */
    takeKey: keyedBy(taken, false),

    /** As `takeKey`, but waits for another open transaction only as long as `addKeyedSoon` does. */
    takeKeySoon: keyedBy(taken, true),

    /** Who holds these keys now, and whether its run still does: live, or completed less than its keep ago.
     *  $1 jobs · $2 keys */
    holders: `
  select ${holder.select({
    ...{ place: "i.n::text place", run: "k.run::text run", hash: "k.hash hash", rev: "k.rev::text rev" },
    live: "(r.id is not null)::text live",
    unstarted: `(r.id is not null and r.attempt = 0 and r.crashes = 0)::text unstarted`,
    kept: `(${holds("k", "r", "h")})::text kept`,
  })}
  from unnest($1::text[], $2::text[]) with ordinality i(job, key, n)
  join ${s}.keys k on k.job = i.job and k.key = i.key
  left join ${s}.runs r on r.id = any(array[k.run])
  left join ${s}.history h on h.id = any(array[k.run])`,

    /** Gives a pending, unleased run another input and instant, and its key the new hash.
     *  $1 id · $2 lane · $3 delay, ms · $4 instant, epoch ms or null · $5 input · $6 meta · $7 hash · $8 tags, JSON ·
     *  $9 options · $10 time to live, ms */
    replace: `
  with t as (select case when $4::float8 is not null then ${dueAt("$4::float8")} else ${dueAfter("$3::float8")} end due),
  changed as (
    update ${s}.runs r
    set lane = $2, due_at = t.due, ready_at = t.due, input = $5, meta = $6, options = $9, expires_at = t.due + ${ms("$10")},
      lease_until = case when r.node is not null then r.lease_until end, tags = ${list("$8::text")}
    from t
    where r.id = $1 and r.state = 0 and r.attempt = 0 and r.crashes = 0 and r.started_at is null and not ${held(part, "r")}
    returning r.id),
  hashed as (update ${s}.keys k set hash = $7 from changed where k.run = changed.id returning k.run)
  select run::text run, pg_notify('${channel}', 'd')::text told from hashed`,

    /** The next block of ids; `nextval` is its first. */
    ids: `select nextval('${s}.run_id')`,
  };
}
