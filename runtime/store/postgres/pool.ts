import { Socket } from "node:net";
import pg from "pg";
import { StoreUnavailable, StoreUnusable, TaskerError } from "../../../sdk/port/error.ts";
import { Clients } from "./client.ts";
import { connectMs, prepareSession, warnOfPooler } from "./session.ts";

/** A row as Postgres sends it: text or null, in the order of the select list. No type parser runs. */
export type Row = readonly (string | null)[];

const text = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;

/** Our pool, or a caller's client. */
export interface Queryable {
  query(config: pg.QueryArrayConfig): Promise<{ rows: unknown[] }>;
}

/** The pool. Statements are named, and answer text. */
export interface Pool {
  /** Runs a statement, prepared unless `name` is empty. Values are strings, numbers, booleans, or null.
   *  @throws {StoreUnavailable} if the server is away; the statement may have run */
  rows(name: string, statement: string, values: readonly unknown[]): Promise<readonly Row[]>;
  /** Runs what `act` sends in one transaction. `act` must not wait for anything else, because it holds a connection. */
  within<T>(act: (send: Pool["rows"]) => Promise<T>): Promise<T>;
  /** The same pool for reads and acts: it leaves one connection to the engine, and is more patient. */
  readonly guest: Pool;
  close(): Promise<void>;
}

const patienceMs = 5000;
const guestPatienceMs = 30_000;

export interface PoolOptions {
  readonly url: string;
  readonly max: number;
  /** Whether each connection has a session of its own; undefined: detected. */
  readonly prepare: boolean | undefined;
  /** For messages, without the password. */
  readonly name: string;
}

export function openPool(options: PoolOptions): Pool {
  let isPooled = options.prepare === false;
  const onConnect = async (client: pg.PoolClient): Promise<void> => {
    if (isPooled || (await prepareSession(client, options.prepare === true))) return;
    if (!isPooled) warnOfPooler(options.name);
    isPooled = true;
  };
  const pool = new pg.Pool({
    ...connection(options.url),
    max: options.max,
    idleTimeoutMillis: 30_000,
    allowExitOnIdle: true,
    ...({ onConnect } as object), // missing in the types; the pool awaits it
  });
  pool.on("error", () => undefined); // an idle connection broke; the next statement opens another
  const hands = new Clients(pool);
  let closing: Promise<void> | null = null;
  const all = gateOf(options.max);
  const guests = gateOf(Math.max(1, options.max - 1));

  const view = (gates: readonly Gate[], patienceMs: number): Omit<Pool, "guest"> => {
    const use = async <T>(act: (client: pg.PoolClient) => Promise<T>): Promise<T> => {
      for (const gate of gates) await gate.enter();
      try {
        if (closing) throw new Error(closed);
        return await hands.use(act, patienceMs);
      } catch (error) {
        throw explain(error, options.name);
      } finally {
        for (const gate of gates) gate.leave();
      }
    };
    const on = (client: pg.PoolClient): Pool["rows"] => {
      return (name, statement, values) => rowsOn(client, statement, values, isPooled ? undefined : name);
    };
    return {
      rows: (...statement) => use((client) => on(client)(...statement)),
      within: (act) => use((client) => inOne(client, () => act(on(client)))),
      close: () => (closing ??= hands.close()),
    };
  };
  return {
    ...view([all], patienceMs),
    guest: {
      ...view([guests, all], options.max > 1 ? guestPatienceMs : patienceMs), // a single connection must stay available for leases

      get guest() {
        return this;
      },
    },
  };
}

async function inOne<T>(client: pg.PoolClient, act: () => Promise<T>): Promise<T> {
  await client.query("begin isolation level read committed"); // the role may have another default
  try {
    const answer = await act();
    await client.query("commit");
    return answer;
  } catch (error) {
    if (isBusy(error)) await client.query("rollback"); // its connection is reused
    throw error;
  }
}

export interface Gate {
  enter(): Promise<void> | undefined;
  leave(): void;
}

/** A semaphore. Waiting in the queue of `pg` would count as failing to connect. */
export function gateOf(width: number): Gate {
  const waiting: (() => void)[] = [];
  let inside = 0;
  return {
    enter() {
      if (inside < width) return void inside++;
      return new Promise((resolve) => waiting.push(resolve));
    },
    leave() {
      const next = waiting.shift();
      if (next) next();
      else inside--;
    },
  };
}

/** Runs a statement that answers text. */
export async function rowsOn(
  client: Queryable,
  statement: string,
  values: readonly unknown[],
  name?: string,
): Promise<readonly Row[]> {
  const named = name ? { name } : {};
  const config = { ...named, text: statement, values: values as unknown[], rowMode: "array" as const, types: text };
  return (await client.query(config)).rows as Row[];
}

/** Settings of all connections: bounded waits, and keepalive against half-open sockets. */
export function connection(url: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: "tasker",
    connectionTimeoutMillis: connectMs,
    stream: () => new Socket(), // else pg detects Cloudflare workers, which on Node 20 loads fetch: 43 ms
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
}

/** Opens a connection for one act, and closes it.
 *  @throws what `act` throws, explained */
export async function withClient<T>(url: string, act: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(connection(url));
  client.on("error", () => undefined); // the query fails, too
  try {
    await client.connect();
    return await act(client);
  } catch (error) {
    throw explain(error, placeOf(url));
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Host, port and name of a database, for messages. */
export function placeOf(url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url);
    return `postgres ${hostname || "localhost"}:${port || "5432"}${decodeURI(pathname)}`;
  } catch {
    return "postgres";
  }
}

// away, read-only, out of resources, or shutting down; or to be repeated: a deadlock, a conflict, a timeout
const gone = /^(08|25006|40P01|40001|53|55000|57P0[1235]|57014|58)/;
const network = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ECONNABORTED",
]);
const cut = /terminat|timeout|Connection ended|not queryable|closed state|Client was closed|socket/i;

/** Whether the server was away: repeat later. */
export function isAway(error: unknown): boolean {
  if (error instanceof StoreUnavailable) return true;
  const { code, message, errors } = error as { code?: string; message?: string; errors?: unknown[] };
  if (Array.isArray(errors) && errors.length > 0) return errors.every(isAway);
  if (code) return network.has(code) || (code.length === 5 && gone.test(code));
  return cut.test(message ?? "");
}

/** Whether another transaction holds a lock that the statement needs. */
export function isBusy(error: unknown): boolean {
  return stateOf(error) === "55P03";
}

/** Whether the server refused a value, so that one row of a batch may be to blame. */
export function isData(error: unknown): boolean {
  return /^2[23]/.test(stateOf(error));
}

/** The SQLSTATE of an error, also of an explained one; "" for other errors. */
export function stateOf(error: unknown): string {
  const { code, cause } = (error ?? {}) as { readonly code?: unknown; readonly cause?: unknown };
  if (typeof code === "string" && /^[0-9A-Z]{5}$/.test(code)) return code;
  return error instanceof TaskerError ? stateOf(cause) : "";
}

/** An error for locks that others hold. */
export function unavailable(message: string, cause: unknown): StoreUnavailable {
  const error = new StoreUnavailable("what others hold", cause);
  error.message = message;
  Error.captureStackTrace(error, unavailable); // its first line repeats the message
  return error;
}

/** The message of a closed pool of `pg`. */
const closed = "Cannot use a pool after calling end on the pool";

/** Turns a driver's error into one that says what to do. Other errors are returned as they are. */
export function explain(error: unknown, name: string): Error {
  if (error instanceof TaskerError) return error;
  const { message } = error instanceof Error ? error : new Error(String(error));
  const state = stateOf(error);
  const hint = hints[state];
  if (isAway(error))
    return hint ? unavailable(`${name}: ${message}; ${hint}`, error) : new StoreUnavailable(name, error);
  if (state === "55P03")
    return unavailable(`${name}: ${message}: another session holds a lock that this needs; repeat the call`, error);
  if (message === closed)
    return new StoreUnusable(`${name} is closed, for its runtime has stopped; make another store for what comes after`);
  if (state === "") return error instanceof Error ? error : new Error(message);
  const next = hint ?? `look up error ${state} of PostgreSQL, and the log of the server`;
  return new StoreUnusable(`${name}: ${message}; ${next}`, { cause: error });
}

const hints: Readonly<Record<string, string>> = {
  "25006": "name the primary in the database URL: this server takes no writes",
  "53100": "make room on the disk of the server; it goes on by itself then",
  "53200": "give the server more memory, or lower its work_mem",
  "53300": "raise max_connections, or run fewer processes: each takes up to 4",
  "28P01": "check user and password in the database URL",
  "28000": "check user and pg_hba.conf",
  "3D000": "create the database, or correct its name in the URL",
  "3F000": 'run "tasker migrate"',
  "42P01": 'the schema is missing or old: run "tasker migrate"',
  "42703": 'the schema is older than this version: run "tasker migrate"',
  "42501": "give this role the rights, best by making it the owner of the schema",
};

/** A Postgres array literal of numbers. */
export function numbers(values: readonly (number | null)[]): string {
  return `{${values.map((value) => value ?? "NULL").join(",")}}`;
}

/** A Postgres array literal of texts. */
export function texts(values: readonly (string | null)[]): string {
  return `{${values.map((value) => (value === null ? "NULL" : quote(value))).join(",")}}`;
}

type Field = string | number | null;
type FieldOf<T> = { [K in keyof T]-?: T[K] extends Field ? K : never }[keyof T];

/** Postgres array literals of these fields, one literal a field. */
export function fields<T>(items: readonly T[], ...names: readonly FieldOf<T>[]): readonly string[] {
  const literal = (value: unknown): unknown => (typeof value === "string" ? quote(value) : (value ?? "NULL"));
  return names.map((name) => `{${items.map((item) => literal(item[name])).join(",")}}`);
}

function quote(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}
