import type pg from "pg";
import { InvalidInput, StoreUnusable } from "../../../sdk/port/error.ts";
import { shown } from "../../../sdk/port/option.ts";
import { first } from "./migration/001.ts";
import { second } from "./migration/002.ts";
import { third } from "./migration/003.ts";
import { fourth } from "./migration/004.ts";
import { fifth } from "./migration/005.ts";
import { sixth } from "./migration/006.ts";
import { seventh } from "./migration/007.ts";
import { eighth } from "./migration/008.ts";
import { ninth } from "./migration/009.ts";
import { withClient, type Pool } from "./pool.ts";

export interface MigrateOptions {
  /** `postgres://…` */
  readonly url: string;
  /** `tasker` by default; at most 40 of lower-case letters, digits and `_`. */
  readonly schema?: string | undefined;
}

/** `from` and `to` are the newest migrations before and after. */
export interface Migrated {
  readonly from: string | null;
  readonly to: string;
  readonly applied: readonly string[];
}

/** All migrations, in order, where `{schema}` is the schema's name. A released one is never edited. */
const texts = new Map([
  ["001", first],
  ["002", second],
  ["003", third],
  ["004", fourth],
  ["005", fifth],
  ["006", sixth],
  ["007", seventh],
  ["008", eighth],
  ["009", ninth],
]);

export const names: readonly string[] = [...texts.keys()];

/** The table of applied migrations; version 0.1.0 created it through Kysely. An existing one is not created, because the role may lack the
 *  right to. */
const ledger = `do $$ begin
  if to_regnamespace('{schema}') is null then create schema "{schema}"; end if;
  if to_regclass('{schema}.migrations') is null then
    create table "{schema}".migrations (name varchar(255) primary key, timestamp varchar(255) not null);
  end if;
end $$`;

/** Checks the name of a schema, which becomes part of statements.
 *  @throws {InvalidInput} */
export function schemaName(schema: string): string {
  if (typeof schema === "string" && /^[a-z_][a-z0-9_]{0,39}$/.test(schema)) return schema;
  throw new InvalidInput(
    `schema "${shown(schema)}" is not a plain name; use lower-case letters, digits and _, starting with a letter, at most 40`,
  );
}

/** Migrations that the database lacks. Changes nothing. */
export async function pending(options: MigrateOptions): Promise<readonly string[]> {
  const schema = schemaName(options.schema ?? "tasker");
  return missing(await withClient(options.url, (client) => applied(client, schema)));
}

/** Whether the database has all migrations; on the pool, whose connection will be used anyway. */
export async function isCurrent(pool: Pool, schema: string): Promise<boolean> {
  try {
    const rows = await pool.rows("", `select name from "${schema}".migrations`, []);
    return missing(rows.map((row) => row[0]!)).length === 0;
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as { readonly code?: string };
    if (code === "42P01" || code === "3F000") return false; // no table, no schema
    throw error;
  }
}

/** Migrates the schema. Processes may do so concurrently: one applies, under an advisory lock. A newer schema is left as it is.
 *  @throws {StoreUnusable} if the role lacks the rights */
export async function migrate(options: MigrateOptions): Promise<Migrated> {
  const schema = schemaName(options.schema ?? "tasker");
  return withClient(options.url, async (client) => {
    const before = await applied(client, schema);
    const made = missing(before).length === 0 ? [] : await apply(client, schema);
    return { from: before.at(-1) ?? null, to: [...before, ...names].sort().at(-1)!, applied: made };
  });
}

/** Applies what is missing in one transaction; returns what it applied. */
async function apply(client: pg.Client, schema: string): Promise<readonly string[]> {
  try {
    await client.query("begin isolation level read committed"); // else a process would not see what another has committed
    await client.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [`tasker:${schema}:migrate`]);
    await client.query(ledger.replaceAll("{schema}", schema));
    const before = await applied(client, schema);
    const made = missing(before);
    if (made.length > 0 && made[0]! < (before.at(-1) ?? ""))
      throw new StoreUnusable(
        `schema "${schema}" has migration ${before.at(-1)} but lacks ${made[0]}: other software made it; name another schema, or bring back a backup`,
      );
    for (const name of made) {
      await client.query(texts.get(name)!.replaceAll("{schema}", schema));
      const values = [name, new Date().toISOString()];
      await client.query(`insert into "${schema}".migrations (name, timestamp) values ($1, $2)`, values);
    }
    await client.query("commit");
    return made;
  } catch (error) {
    throw refusal(error, schema);
  }
}

/** Migrations that the database has, in order. */
async function applied(client: pg.Client, schema: string): Promise<readonly string[]> {
  const { rows } = await client.query<{ there: boolean }>("select to_regclass($1) is not null there", [
    `${schema}.migrations`,
  ]);
  if (!rows[0]!.there) return [];
  const list = await client.query<{ name: string }>(`select name from "${schema}".migrations order by name`);
  return list.rows.map((row) => row.name);
}

function missing(done: readonly string[]): readonly string[] {
  return names.filter((name) => !done.includes(name));
}

function refusal(error: unknown, schema: string): unknown {
  if ((error as { code?: string }).code !== "42501") return error;
  const next = `let an owner run: create schema ${schema} authorization <this role>`;
  return new StoreUnusable(
    `this role may not make schema "${schema}" or its tables: ${(error as Error).message}; ${next}`,
    { cause: error },
  );
}
