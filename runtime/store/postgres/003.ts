import { type Kysely, sql } from "kysely";

/** Which version of the code a node ran, for the runs that it had; since when it has had its jobs. */
export function third(schema: string) {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await sql`alter table ${sql.id(schema)}.names add column version text`.execute(db);
      await sql`alter table ${sql.id(schema)}.nodes add column jobs_at timestamptz`.execute(db);
    },
  };
}
