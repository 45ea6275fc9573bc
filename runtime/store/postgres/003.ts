import { type Kysely, sql } from "kysely";

/** Which version of the code a node ran, for the runs that it had. */
export function third(schema: string) {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await sql`alter table ${sql.id(schema)}.names add column version text`.execute(db);
    },
  };
}
