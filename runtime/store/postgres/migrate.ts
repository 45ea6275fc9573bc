import { type Migration, Migrator, Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { InvalidInput, StoreUnusable } from "../../../sdk/error.ts";
import { first } from "./001.ts";
import { second } from "./002.ts";
import { third } from "./003.ts";
import { connection, explain } from "./pool.ts";

/** All migrations of this version, by number. Forward only; a released one is never edited. */
function migrations(schema: string): Record<string, Migration> {
  return { "001": first(schema), "002": second(schema), "003": third(schema) };
}

export interface MigrateOptions {
  /** `postgres://…` */
  readonly url: string;
  /** `tasker` by default; lower-case letters, digits and `_`, at most 40. */
  readonly schema?: string | undefined;
}

/** Checks the name of a schema, which becomes part of statements.
 *  @throws {InvalidInput} */
export function schemaName(schema: string): string {
  if (/^[a-z_][a-z0-9_]{0,39}$/.test(schema)) return schema;
  throw new InvalidInput(
    `schema "${schema}" is not a plain name; use lower-case letters, digits and _, starting with a letter, at most 40`,
  );
}

/** Numbers of the migrations that this version has and the database lacks. Changes nothing. */
export async function pending(options: MigrateOptions): Promise<readonly string[]> {
  const schema = schemaName(options.schema ?? "tasker");
  return withDatabase(options.url, async (db) => {
    const done = await applied(db, schema);
    return Object.keys(migrations(schema)).filter((name) => !done.includes(name));
  });
}

/** Brings the schema up to date. Any number of processes may do this at once: one does the work, under an advisory lock.
 *  A database that is newer than this version is left as it is.
 *  @throws {StoreUnusable} if the role lacks the rights */
export async function migrate(
  options: MigrateOptions,
): Promise<{ readonly from: string | null; readonly to: string; readonly applied: readonly string[] }> {
  const schema = schemaName(options.schema ?? "tasker");
  const all = migrations(schema);
  return withDatabase(options.url, async (db) => {
    const before = await applied(db, schema);
    const missing = Object.keys(all).filter((name) => !before.includes(name));
    const to = [...new Set([...before, ...Object.keys(all)])].sort().at(-1)!;
    if (missing.length === 0) return { from: before.at(-1) ?? null, to, applied: [] };
    return db.transaction().execute(async (holder) => {
      await sql`select pg_advisory_xact_lock(hashtextextended(${`tasker:${schema}:migrate`}, 0))`.execute(holder);
      return { from: before.at(-1) ?? null, to, applied: await run(db, schema, all) }; // on the other connection
    });
  });
}

async function run(db: Kysely<unknown>, schema: string, all: Record<string, Migration>): Promise<readonly string[]> {
  const done = await applied(db, schema); // another process may have been faster
  if (Object.keys(all).every((name) => done.includes(name))) return [];
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => all },
    migrationTableSchema: schema,
    migrationTableName: "migrations",
    migrationLockTableName: "migrations_lock",
  });
  const { error, results = [] } = await migrator.migrateToLatest();
  if (error) throw refusal(error, schema);
  return results.filter((result) => result.status === "Success").map((result) => result.migrationName);
}

function refusal(error: unknown, schema: string): unknown {
  if ((error as { code?: string }).code !== "42501") return error;
  const next = `let an owner run: create schema ${schema} authorization <this role>`;
  return new StoreUnusable(
    `this role may not make schema "${schema}" or its tables: ${(error as Error).message}; ${next}`,
    { cause: error },
  );
}

async function applied(db: Kysely<unknown>, schema: string): Promise<readonly string[]> {
  const { rows } = await sql<{
    there: boolean;
  }>`select to_regclass(${`${schema}.migrations`}) is not null there`.execute(db);
  if (!rows[0]!.there) return [];
  const list = await sql<{ name: string }>`select name from ${sql.id(schema, "migrations")} order by name`.execute(db);
  return list.rows.map((row) => row.name);
}

async function withDatabase<T>(url: string, use: (db: Kysely<unknown>) => Promise<T>): Promise<T> {
  const pool = new pg.Pool({ ...connection(url), max: 2 });
  pool.on("error", () => undefined);
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  try {
    return await use(db);
  } catch (error) {
    throw explain(error, placeOf(url));
  } finally {
    await db.destroy().catch(() => undefined);
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
