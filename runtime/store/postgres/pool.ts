import { Socket } from "node:net";
import pg from "pg";
import { StoreUnavailable, StoreUnusable, TaskerError } from "../../../sdk/port/error.ts";
import { Clients } from "./client.ts";
import { connectMs, prepareSession, warnOfPooler } from "./session.ts";

/** A row as Postgres sends it: text or null, in the order of the select list. No type parser runs, ours or the application's. */
export type Row = readonly (string | null)[];

const text = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;

/** What can run a statement: our pool, or a caller's client. */
export interface Queryable {
  query(config: pg.QueryArrayConfig): Promise<{ rows: unknown[] }>;
}

/** A statement, and its values. */
export type Statement = readonly [text: string, values: readonly unknown[]];

/** A pool whose statements are named once and answered as text. */
export interface Pool {
  /** Runs a statement; `name` makes it a prepared one, "" does not. Values are strings, numbers, booleans, or null.
   *  @throws {StoreUnavailable} if the server is away: the statement may or may not have run. */
  rows(name: string, statement: string, values: readonly unknown[]): Promise<readonly Row[]>;
  /** As `rows`, in one transaction with a second statement, which sees all that had been committed when the first one ended. */
  rowsThen(first: Statement, then: Statement): Promise<readonly Row[]>;
  /** The same pool for reading and for acts of people: it always leaves one connection to the engine, and may take its time. */
  readonly guest: Pool;
  close(): Promise<void>;
}

const patienceMs = 5000;
const guestPatienceMs = 30_000;

export interface PoolOptions {
  readonly url: string;
  readonly max: number;
  /** Whether a connection has a backend of its own, and statements are prepared there; undefined: finds out. */
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
    ...({ onConnect } as object), // it is awaited, whatever the types say
  });
  pool.on("error", () => undefined); // an idle connection died; the next statement opens another
  const hands = new Clients(pool);
  let closing: Promise<void> | null = null;
  const all = gateOf(options.max);
  const guests = gateOf(Math.max(1, options.max - 1));

  const view = (gates: readonly Gate[], patienceMs: number): Omit<Pool, "guest"> => {
    const use = async (act: (client: pg.PoolClient) => Promise<readonly Row[]>): Promise<readonly Row[]> => {
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
    return {
      rows: (name, statement, values) =>
        use((client) => rowsOn(client, statement, values, isPooled ? undefined : name)),
      rowsThen: (first, then) => use((client) => inOne(client, first, then)),
      close: () => (closing ??= hands.close()),
    };
  };
  return {
    ...view([all], patienceMs),
    guest: {
      ...view([guests, all], options.max > 1 ? guestPatienceMs : patienceMs), // a single connection must not be gone for a lease

      get guest() {
        return this;
      },
    },
  };
}

/** Two statements in one transaction; answers the rows of the first. */
async function inOne(client: pg.PoolClient, first: Statement, then: Statement): Promise<readonly Row[]> {
  await client.query("begin isolation level read committed"); // whatever the role's default is
  try {
    const rows = await rowsOn(client, ...first);
    await rowsOn(client, ...then);
    await client.query("commit");
    return rows;
  } catch (error) {
    if (isBusy(error)) await client.query("rollback"); // its connection is kept
    throw error;
  }
}

export interface Gate {
  enter(): Promise<void> | undefined;
  leave(): void;
}

/** Lets `width` in at once, the others in order. The pool has a queue of its own, but waiting there counts as failing to connect. */
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

/** Runs a statement on a client: answered as text; unnamed, unless it has a name. */
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

/** Settings of every connection of ours: bounded waits, keepalive against half-open sockets. */
export function connection(url: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: "tasker",
    connectionTimeoutMillis: connectMs,
    stream: () => new Socket(), // else pg asks whether this is a Cloudflare worker, which on Node 20 loads all of fetch: 43 ms
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  };
}

/** Opens a connection for one act, and closes it.
 *  @throws what the act throws, explained */
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

/** Where a database is, for people: host, port and name, never the password. */
export function placeOf(url: string): string {
  try {
    const { hostname, port, pathname } = new URL(url);
    return `postgres ${hostname || "localhost"}:${port || "5432"}${decodeURI(pathname)}`;
  } catch {
    return "postgres";
  }
}

// Away, read-only, out of room or memory, told to stop; and what is to be repeated: a deadlock, a conflict, a time limit of the role.
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

/** True if the server was away or went away: repeat later. */
export function isAway(error: unknown): boolean {
  if (error instanceof StoreUnavailable) return true;
  const { code, message, errors } = error as { code?: string; message?: string; errors?: unknown[] };
  if (Array.isArray(errors) && errors.length > 0) return errors.every(isAway);
  if (code) return network.has(code) || (code.length === 5 && gone.test(code));
  return cut.test(message ?? "");
}

/** True if another open transaction holds what the statement needs. */
export function isBusy(error: unknown): boolean {
  return stateOf(error) === "55P03";
}

/** True if the server refused what it was given, so that one bad row of many may be to blame. */
export function isData(error: unknown): boolean {
  return /^2[23]/.test(stateOf(error));
}

/** The server's code for an error, also for one that has been explained; "" for what is not the server's. */
export function stateOf(error: unknown): string {
  const { code, cause } = (error ?? {}) as { readonly code?: unknown; readonly cause?: unknown };
  if (typeof code === "string" && /^[0-9A-Z]{5}$/.test(code)) return code;
  return error instanceof TaskerError ? stateOf(cause) : "";
}

/** The store answers, but others are in the way. */
export function unavailable(message: string, cause: unknown): StoreUnavailable {
  const error = new StoreUnavailable("what others hold", cause);
  error.message = message;
  Error.captureStackTrace(error, unavailable); // its first line repeats the message
  return error;
}

/** What the pool of `pg` says, too. */
const closed = "Cannot use a pool after calling end on the pool";

/** Turns a driver's error into one that says what to do; our own pass through, and so do mistakes of this code. */
export function explain(error: unknown, name: string): Error {
  if (error instanceof TaskerError) return error;
  if (isAway(error)) return new StoreUnavailable(name, error);
  const { message } = error instanceof Error ? error : new Error(String(error));
  const state = stateOf(error);
  if (state === "55P03")
    return unavailable(`${name}: ${message}: another session holds a lock that this needs; repeat the call`, error);
  if (message === closed)
    return new StoreUnusable(`${name} is closed, for its runtime has stopped; make another store for what comes after`);
  if (state === "") return error instanceof Error ? error : new Error(message);
  const hint = hints[state] ?? `look up error ${state} of PostgreSQL, and the log of the server`;
  return new StoreUnusable(`${name}: ${message}; ${hint}`, { cause: error });
}

const hints: Readonly<Record<string, string>> = {
  "28P01": "check user and password in the database URL",
  "28000": "check user and pg_hba.conf",
  "3D000": "create the database, or correct its name in the URL",
  "3F000": 'run "tasker migrate"',
  "42P01": 'the schema is missing or old: run "tasker migrate"',
  "42703": 'the schema is older than this version: run "tasker migrate"',
  "42501": "give this role the rights, best by making it the owner of the schema",
};

/** A Postgres array literal of numbers; null stays null. */
export function numbers(values: readonly (number | null)[]): string {
  return `{${values.map((value) => value ?? "NULL").join(",")}}`;
}

/** A Postgres array literal of texts; null stays null. */
export function texts(values: readonly (string | null)[]): string {
  return `{${values.map((value) => (value === null ? "NULL" : quote(value))).join(",")}}`;
}

type Field = string | number | null;
type FieldOf<T> = { [K in keyof T]-?: T[K] extends Field ? K : never }[keyof T];

/** Postgres array literals of these fields: one a field, with an element an item. */
export function fields<T>(items: readonly T[], ...names: readonly FieldOf<T>[]): readonly string[] {
  const literal = (value: unknown): unknown => (typeof value === "string" ? quote(value) : (value ?? "NULL"));
  return names.map((name) => `{${items.map((item) => literal(item[name])).join(",")}}`);
}

function quote(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}
