import { type Migration, Migrator, Kysely, PostgresDialect, sql } from "kysely";
import pg from "pg";
import { StoreUnusable } from "../../../sdk/port/error.ts";
import { first } from "./001.ts";
import { second } from "./002.ts";
import { third } from "./003.ts";
import { fourth } from "./004.ts";
import { applied, names, placeOf } from "./applied.ts";
import { connection, explain } from "./pool.ts";

function migrations(schema: string): Record<(typeof names)[number], Migration> {
  return { "001": first(schema), "002": second(schema), "003": third(schema), "004": fourth(schema) };
}

/** Makes what is missing, one process at a time; answers what this one made.
 *  @throws {StoreUnusable} if the role lacks the rights */
export async function toLatest(url: string, schema: string): Promise<readonly string[]> {
  return withDatabase(url, (db) =>
    db.transaction().execute(async (holder) => {
      await sql`select pg_advisory_xact_lock(hashtextextended(${`tasker:${schema}:migrate`}, 0))`.execute(holder);
      const done = await applied(url, schema); // another process may have been faster
      return names.every((name) => done.includes(name)) ? [] : run(db, schema); // on the other connection
    }),
  );
}

async function run(db: Kysely<unknown>, schema: string): Promise<readonly string[]> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations(schema) },
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
