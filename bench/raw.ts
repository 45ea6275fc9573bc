import pg from "pg";

/** Runs per second that plain SQL through `pg` reaches on this database with the same kind of table, history kept: the limit. */
export interface Limits {
  readonly one: number;
  readonly many: number;
  readonly bulk: number;
  readonly drain: number;
}

const insert = {
  name: "raw_insert",
  text: `insert into bench_raw.runs (id, lane, ready_at, input)
    select i.id, 1, statement_timestamp(), i.input from unnest($1::bigint[], $2::text[]) i(id, input)`,
};
const claim = {
  name: "raw_claim",
  text: `update bench_raw.runs set lease_until = clock_timestamp() + interval '15 s', token = token + 1
    where id = any(array(select id from bench_raw.runs where lane = 1 and ready_at <= statement_timestamp()
      and (lease_until is null or lease_until < clock_timestamp()) order by ready_at, id limit 500 for update skip locked))
    returning id, token, input`,
};
const complete = {
  name: "raw_complete",
  text: `with gone as (delete from bench_raw.runs r using unnest($1::bigint[], $2::int[]) i(id, token) where r.id = i.id and r.token = i.token returning r.*)
    insert into bench_raw.history (id, lane, ready_at, input, finished_at) select id, lane, ready_at, input, clock_timestamp() from gone`,
};

const input = JSON.stringify({ id: 123456, to: "someone@example.com", sentAt: 1234567.891 });
let next = 1;

/** Measures the limits on `count` runs (3,000 for one caller). */
export async function raw(url: string, count: number): Promise<Limits> {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  await pool.query(`drop schema if exists bench_raw cascade; create schema bench_raw;
    create table bench_raw.runs (id bigint not null, ready_at timestamptz not null, lease_until timestamptz, lane int not null, token int not null default 0, input text not null) with (fillfactor = 50);
    create unique index on bench_raw.runs (id); create index on bench_raw.runs (lane, ready_at, id);
    create table bench_raw.history (id bigint not null, ready_at timestamptz, finished_at timestamptz, lane int, input text);
    create index on bench_raw.history (id)`);
  const one = await perSecond(Math.min(count, 3000), async () => {
    for (let i = 0; i < Math.min(count, 3000); i++) await add(pool, 1);
  });
  const many = await perSecond(count, () => coalesced(pool, count, 64));
  const bulk = await perSecond(count, async () => {
    for (let from = 0; from < count; from += 1000) await add(pool, 1000);
  });
  await pool.query("analyze bench_raw.runs");
  const { rows } = await pool.query<{ n: string }>("select count(*) n from bench_raw.runs");
  const drain = await perSecond(Number(rows[0]!.n), () => drained(pool));
  await pool.query("drop schema bench_raw cascade");
  await pool.end();
  return { one, many, bulk, drain };
}

async function perSecond(count: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return count / ((performance.now() - start) / 1000);
}

async function add(pool: pg.Pool, count: number): Promise<void> {
  const ids = `{${Array.from({ length: count }, () => next++).join(",")}}`;
  const inputs = `{${Array.from({ length: count }, () => `"${input.replaceAll('"', '\\"')}"`).join(",")}}`;
  await pool.query({ ...insert, values: [ids, inputs] });
}

/** Callers that await their own commit; one insert in flight takes all that wait. */
async function coalesced(pool: pg.Pool, count: number, width: number): Promise<void> {
  let waiting: (() => void)[] = [];
  let flying = false;
  const flush = async (): Promise<void> => {
    if (flying) return;
    flying = true;
    while (waiting.length > 0) {
      const taken = waiting;
      waiting = [];
      await add(pool, taken.length);
      for (const resolve of taken) resolve();
    }
    flying = false;
  };
  const call = (): Promise<void> =>
    new Promise((resolve) => {
      waiting.push(resolve);
      queueMicrotask(() => void flush());
    });
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let i = 0; i < Math.ceil(count / width); i++) await call();
    }),
  );
}

async function drained(pool: pg.Pool): Promise<void> {
  let settling: Promise<unknown> = Promise.resolve();
  for (;;) {
    const { rows } = await pool.query<{ id: string; token: number }>(claim);
    if (rows.length === 0) break;
    await settling;
    settling = pool.query({
      ...complete,
      values: [`{${rows.map((row) => row.id).join(",")}}`, `{${rows.map((row) => row.token).join(",")}}`],
    });
  }
  await settling;
}
