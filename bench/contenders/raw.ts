import pg from "pg";
import { chunked, type Contender, type Payload, type Session } from "../contender.ts";

/** Plain SQL through `pg`, no library: what this kind of table can do at most. It has no retries, keys, priorities or recovery. Callers that add at
 *  once share an insert, claims and completions go by the thousand, one NOTIFY a flush; jobs due within 200 ms are claimed ahead and wait for
 *  their instant in a timer. History is kept. */
export const { open }: Contender = {
  open: (place) => Promise.resolve(session(place.url)),
};

const schema = `create table job (id bigint not null, queue int not null, run_at timestamptz not null, lease_until timestamptz,
    token int not null default 0, payload text not null) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
  create unique index on job (id); create index on job (queue, run_at, id);
  create table history (id bigint not null, queue int, run_at timestamptz, finished_at timestamptz, payload text);
  create index on history (id); create sequence process`;

/** $1 ids · $2 instants, epoch ms, null for now · $3 payloads */
const insert = {
  name: "insert",
  text: `with made as (insert into job (id, queue, run_at, payload)
      select i.id, 1, coalesce(to_timestamp(i.at / 1000), statement_timestamp()), i.payload
      from unnest($1::bigint[], $2::float8[], $3::text[]) i(id, at, payload))
    select pg_notify('job', '')`,
};
const claim = {
  name: "claim",
  text: `update job set lease_until = clock_timestamp() + interval '15 s', token = token + 1
    where id = any(array(select id from job where queue = 1 and run_at <= statement_timestamp() + interval '200 ms'
      and (lease_until is null or lease_until < clock_timestamp()) order by run_at, id limit 1000 for update skip locked))
    returning id, token, payload, extract(epoch from run_at) * 1000 as at`,
};
/** $1 ids · $2 tokens */
const complete = {
  name: "complete",
  text: `with gone as (delete from job j using unnest($1::bigint[], $2::int[]) i(id, token)
      where j.id = i.id and j.token = i.token returning j.*)
    insert into history (id, queue, run_at, payload, finished_at) select id, queue, run_at, payload, clock_timestamp() from gone`,
};
const planner = ["seqscan", "bitmapscan", "hashjoin", "mergejoin"].map((way) => `set enable_${way} = off`).join("; ");

interface Row {
  readonly id: string;
  readonly token: number;
  readonly payload: string;
  readonly at: string;
}

/** The types of `pg` have it answer nothing, but it is awaited. */
const pinned: object = {
  onConnect: async (client: pg.PoolClient) => void (await client.query(`${planner}; set jit = off`)),
};

function session(url: string): Session {
  const pool = new pg.Pool({
    connectionString: url,
    max: 4,
    ...pinned,
  });
  pool.on("error", () => undefined);
  let base: Promise<number> | null = null;
  let count = 0;
  const own = (): Promise<number> =>
    (base ??= pool.query<{ n: string }>("select nextval('process') as n").then(({ rows }) => Number(rows[0]!.n) * 1e9));
  const write = async (payloads: readonly Payload[], due: boolean): Promise<void> => {
    const first = await own();
    const ids = payloads.map(() => first + count++);
    const values = [list(ids), list(payloads.map(({ t }) => (due ? t : "NULL"))), texts(payloads)];
    await pool.query({ ...insert, values });
  };
  const add = coalescer<Payload>(2, 1000, (payloads) => write(payloads, false));
  let stop: () => Promise<void> = () => Promise.resolve();
  return {
    async install() {
      await pool.query(schema);
    },
    add,
    addMany: (payloads) => chunked(payloads, { size: 1000 }, (slice) => write(slice, false)),
    addAt: (payloads) => chunked(payloads, { size: 1000 }, (slice) => write(slice, true)),
    async work(handle) {
      stop = await work({ url, pool, handle });
    },
    async close() {
      await stop();
      await pool.end();
    },
  };
}

interface Parts {
  readonly url: string;
  readonly pool: pg.Pool;
  readonly handle: (payload: Payload) => void;
}

/** Claims until there is nothing, then waits for a NOTIFY, half a second at most. Answers what ends it. */
async function work({ url, pool, handle }: Parts): Promise<() => Promise<void>> {
  const settle = coalescer<Row>(1, 1000, async (rows) => {
    await pool.query({ ...complete, values: [list(rows.map(({ id }) => id)), list(rows.map(({ token }) => token))] });
  });
  const offset = Date.now() - performance.now();
  let over = false;
  let ring: () => void = () => undefined;
  let rung = false;
  const ear = new pg.Client({ connectionString: url });
  ear.on("notification", () => {
    rung = true;
    ring();
  });
  await ear.connect();
  await ear.query("listen job");
  let last: Promise<void> = Promise.resolve();
  const run = (row: Row): void => {
    handle(JSON.parse(row.payload) as Payload);
    last = settle(row);
  };
  const start = (row: Row): void => {
    // A timer may come a millisecond early, and `at` has microseconds.
    const early = Number(row.at) - (performance.now() + offset);
    if (early <= 0) run(row);
    else setTimeout(() => start(row), Math.ceil(early));
  };
  const rest = async (ms: number): Promise<void> => {
    if (rung) return;
    await new Promise<void>((done) => {
      const timer = setTimeout(done, ms);
      ring = () => (clearTimeout(timer), done());
    });
  };
  const loop = (async () => {
    while (!over) {
      rung = false;
      const { rows } = await pool.query<Row>(claim);
      const before = last;
      for (const row of rows) start(row);
      if (rows.length === 0) await rest(100);
      else await before; // one batch is settled while the next is claimed
    }
  })();
  return async () => {
    over = true;
    rung = true;
    ring();
    await loop;
    await last;
    await ear.end();
  };
}

/** One call for all that wait when a lane gets free; `width` lanes, `size` items at most. Each caller waits for its own call. */
function coalescer<T>(
  width: number,
  size: number,
  act: (items: readonly T[]) => Promise<void>,
): (item: T) => Promise<void> {
  const waiting: { readonly item: T; readonly done: () => void; readonly fail: (error: unknown) => void }[] = [];
  let flying = 0;
  let planned = false;
  const flush = async (): Promise<void> => {
    planned = false;
    if (flying >= width) return;
    flying++;
    while (waiting.length > 0) {
      const taken = waiting.splice(0, size);
      await act(taken.map(({ item }) => item)).then(
        () => taken.forEach(({ done }) => done()),
        (error: unknown) => taken.forEach(({ fail }) => fail(error)),
      );
    }
    flying--;
  };
  return (item) =>
    new Promise((done, fail) => {
      waiting.push({ item, done, fail });
      if (planned || flying >= width) return;
      planned = true;
      setImmediate(() => void flush());
    });
}

function list(values: readonly (string | number)[]): string {
  return `{${values.join(",")}}`;
}

function texts(payloads: readonly Payload[]): string {
  return `{${payloads.map((payload) => `"${JSON.stringify(payload).replace(/["\\]/g, "\\$&")}"`).join(",")}}`;
}
