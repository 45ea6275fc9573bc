import { type Kysely, sql } from "kysely";

/** Which nodes sleep: they hold nothing, and ask for nothing before something falls due or they are told. */
export function fourth(schema: string) {
  return {
    async up(db: Kysely<unknown>): Promise<void> {
      await sql`alter table ${sql.id(schema)}.nodes add column asleep boolean not null default false`.execute(db);
    },
  };
}
