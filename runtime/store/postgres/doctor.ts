import pg from "pg";
import { StoreUnusable } from "../../../sdk/port/error.ts";
import { mostCounted, type Facts } from "./fact.ts";
import { names, schemaName } from "./migrate.ts";
import { connection, explain, placeOf } from "./pool.ts";

const questionMs = 5000;

/** Inspects a database. Each question is a read-only transaction with a timeout. */
export interface Doctor {
  readonly migrations: readonly string[];
  /** @throws {StoreUnavailable} {StoreUnusable} and what the server says if it refuses */
  ask<Q extends keyof Facts>(question: Q): Promise<readonly Facts[Q][]>;
  /** Times a round trip; `serverMs` is the server's clock meanwhile, epoch ms. */
  trip(): Promise<{ readonly tookMs: number; readonly serverMs: number }>;
  /** Whether statements of a session may reach different backends, as behind a pooler by transaction, and whether any pooler stands between. */
  pooled(): Promise<{ readonly byTransaction: boolean; readonly between: boolean }>;
  close(): Promise<void>;
}

export interface DoctorOptions {
  readonly url: string;
  readonly schema: string;
  /** Transactions are long from this on. */
  readonly longMs: number;
}

/** Connects.
 *  @throws {InvalidInput} {StoreUnavailable} {StoreUnusable} */
export async function openDoctor(options: DoctorOptions): Promise<Doctor> {
  const place = placeOf(options.url);
  const text = statements(schemaName(options.schema), options.longMs);
  const client = await connected(options.url);
  const query = async (statement: string): Promise<string> => {
    try {
      return await single(client, statement);
    } catch (error) {
      await client.query("rollback").catch(() => undefined);
      if ((error as { code?: string }).code !== "57014") throw explain(error, place);
      throw new StoreUnusable(`${place} took more than ${questionMs / 1000}s to answer`, { cause: error });
    }
  };
  return {
    migrations: names,
    async ask<Q extends keyof Facts>(question: Q) {
      const rows = `select coalesce(json_agg(t), '[]')::text from (${text[question]}) t`;
      const bounds = `begin read only; set local statement_timeout = ${questionMs}; set local lock_timeout = 1000`;
      return JSON.parse(await query(`${bounds}; ${rows}; commit`)) as Facts[Q][]; // columns are named as in the statement
    },
    async trip() {
      const sentAt = performance.now();
      const serverMs = Number(await query("select extract(epoch from clock_timestamp()) * 1000"));
      return { tookMs: performance.now() - sentAt, serverMs };
    },
    pooled: () => pooled(client, options.url),
    close: () => client.end(),
  };
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ ...connection(url), query_timeout: 2 * questionMs });
  client.on("error", () => undefined); // the query fails, too
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw explain(error, placeOf(url));
  }
}

/** Sends statements, and returns the one value that they select. */
async function single(client: pg.Client, statement: string): Promise<string> {
  const types = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;
  const results = await client.query({ text: statement, rowMode: "array", types });
  return [results].flat().flatMap(({ rows }) => rows as unknown as string[][])[0]![0]!;
}

/** While another session is in a transaction, a session without a pooler keeps its backend. */
async function pooled(client: pg.Client, url: string): Promise<{ byTransaction: boolean; between: boolean }> {
  const pid = (of: pg.Client): Promise<string> => single(of, "select pg_backend_pid()");
  const first = await pid(client);
  const other = await connected(url);
  try {
    await other.query("begin read only");
    const theirs = await pid(other);
    const again = theirs === first ? null : await pid(client);
    await other.query("rollback");
    const told = (client as pg.Client & { readonly processID: number | null }).processID;
    return { byTransaction: again !== first, between: again !== first || String(told) !== first };
  } finally {
    await other.end();
  }
}

function statements(schema: string, longMs: number): Readonly<Record<keyof Facts, string>> {
  const s = `"${schema}"`;
  const clock = "clock_timestamp()";
  const ms = (span: string): string => `(extract(epoch from ${span}) * 1000)::float8`;
  const ago = (span: number): string => `${clock} - ${span} * interval '1 ms'`;
  const served = (job: string): string =>
    `exists (select 1 from ${s}.nodes n where n.lease_until >= ${clock} and not n.draining and ${job} = any(n.jobs))`;
  const inSchema = `c.relnamespace = n.oid and c.relkind in ('r', 'p')`;
  const may = (right: string): string => `has_table_privilege(c.oid, '${right}')`;
  const strays = (kind: string): string =>
    `(select count(*) from (select 1 from ${s}.history_${kind}_default limit ${mostCounted}) d)`;
  return {
    server: `select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
      pg_is_in_recovery() as standby, current_user as role, current_setting('max_connections')::int as most,
      (select count(*) from pg_stat_activity where backend_type = 'client backend' or backend_type is null) as connections`,
    settings: `select name, reset_val as value from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum',
      'track_counts', 'statement_timeout', 'idle_in_transaction_session_timeout', 'default_transaction_read_only')`,
    rights: `select n.oid is not null as there, has_database_privilege(current_database(), 'create') as "makesSchemas",
      coalesce(has_schema_privilege(n.oid, 'usage') and has_schema_privilege(n.oid, 'create'), false) as "makesTables",
      pg_get_userbyid(n.nspowner) as owner,
      (select count(*) from pg_class c where ${inSchema} and not pg_has_role(c.relowner, 'usage')) as foreign,
      (select count(*) from pg_class c where ${inSchema} and not (${["select", "insert", "update", "delete"].map(may).join(" and ")})) as closed
      from (select 1) one left join pg_namespace n on n.nspname = '${schema}'`,
    migrations: `select name from ${s}.migrations order by name`,
    tables: `select t.relname as name, t.n_live_tup as live, t.n_dead_tup as dead, pg_relation_size(t.relid) as bytes,
      ${ms(`${clock} - greatest(t.last_autovacuum, t.last_vacuum)`)} as "vacuumedMs",
      coalesce('autovacuum_enabled=false' = any(c.reloptions), false) as unvacuumed
      from pg_stat_user_tables t join pg_class c on c.oid = t.relid where t.schemaname = '${schema}' order by t.relname`,
    transactions: `select pid, usename as role, application_name as app, state, ${ms(`${clock} - xact_start`)} as "openMs",
      ${ms(`${clock} - query_start`)} as "queryMs", age(backend_xmin) as xmin, (backend_xmin is not null or backend_xid is not null) as holds,
      left(query, 100) as query
      from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'
      and xact_start < ${ago(longMs)} order by xact_start limit 20`,
    hidden: `select count(*) from pg_stat_activity where datname = current_database() and query = '<insufficient privilege>'`,
    prepared: `select gid, owner, ${ms(`${clock} - prepared`)} as "ageMs" from pg_prepared_xacts
      where database = current_database() and prepared < ${ago(longMs)} order by prepared limit 20`,
    slots: `select slot_name as name, greatest(age(xmin), age(catalog_xmin)) as xmin,
      case when not pg_is_in_recovery() then pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) end as bytes
      from pg_replication_slots where not active and restart_lsn is not null order by slot_name`,
    nodes: `select name, lease_until >= ${clock} as alive, draining, asleep, ${ms(`${clock} - seen_at`)} as "seenMs", jobs from ${s}.nodes order by id`,
    held: `select coalesce(m.name, 'node ' || r.holder) as node, count(*) as runs from ${s}.runs r
      left join ${s}.nodes n on n.id = r.holder left join ${s}.names m on m.id = r.holder
      where r.state = 1 and (n.id is null or n.lease_until < ${ago(30_000)}) group by 1 order by 1`,
    lapsed: `select count(*), ${ms(`${clock} - min(lease_until)`)} as "oldestMs"
      from (select lease_until from ${s}.runs where state = 0 and lease_until < ${ago(60_000)} limit ${mostCounted}) l having count(*) > 0`,
    due: `select l.queue, l.job, c.count, ${ms(`${clock} - c.oldest`)} as "oldestMs", ${served("l.job")} as served,
      coalesce((select q.paused from ${s}.queues q where q.name = l.queue), false) as paused
      from ${s}.lanes l cross join lateral (
        select count(*), min(ready_at) as oldest from (
          select ready_at from ${s}.runs where lane = l.id and state = 0 and ready_at <= statement_timestamp()
            and (lease_until is null or lease_until < ${clock}) order by ready_at, id limit ${mostCounted}) r) c
      where c.count > 0 order by l.queue, l.job, l.priority`,
    schedules: `select * from (
      select s.job, s.key, s.declared is not null as declared, ${served("s.job")} as served, ${ms(clock)} - s.next_ms as "overdueMs"
      from ${s}.schedules s where s.next_ms is not null) s
      where not served or "overdueMs" > 60000 order by job, key limit ${mostCounted}`,
    partitions: `select kind, strays, to_regclass(format('%I.%I', '${schema}', format('history_%s_%s', kind,
        to_char((${clock} at time zone 'utc')::date + 1, 'YYYYMMDD')))) is not null as tomorrow
      from (values ('completed', ${strays("completed")}), ('other', ${strays("other")})) k(kind, strays)`,
  };
}
