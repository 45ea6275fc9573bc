import { InvalidInput } from "../../../sdk/port/error.ts";
import { applied, names } from "./applied.ts";
import type { Pool } from "./pool.ts";

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
  const done = await applied(options.url, schemaName(options.schema ?? "tasker"));
  return names.filter((name) => !done.includes(name));
}

/** Whether the database has all migrations of this version: one statement, on a connection of the pool that will be used anyway. */
export async function isCurrent(pool: Pool, schema: string): Promise<boolean> {
  try {
    const rows = await pool.rows("", `select name from "${schema}".migrations`, []);
    const done = new Set(rows.map((row) => row[0]));
    return names.every((name) => done.has(name));
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as { readonly code?: string };
    if (code === "42P01" || code === "3F000") return false; // no table, no schema
    throw error;
  }
}

/** Brings the schema up to date. Any number of processes may do this at once: one does the work, under an advisory lock.
 *  A database that is newer than this version is left as it is.
 *  @throws {StoreUnusable} if the role lacks the rights */
export async function migrate(
  options: MigrateOptions,
): Promise<{ readonly from: string | null; readonly to: string; readonly applied: readonly string[] }> {
  const schema = schemaName(options.schema ?? "tasker");
  const before = await applied(options.url, schema);
  const missing = names.filter((name) => !before.includes(name));
  const to = [...new Set([...before, ...names])].sort().at(-1)!;
  if (missing.length === 0) return { from: before.at(-1) ?? null, to, applied: [] };
  const { toLatest } = await import("./migrator.ts"); // late: a schema that is up to date needs no migrator
  return { from: before.at(-1) ?? null, to, applied: await toLatest(options.url, schema) };
}
