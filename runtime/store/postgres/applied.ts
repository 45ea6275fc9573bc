import pg from "pg";
import { connection, explain } from "./pool.ts";

/** All migrations of this version. Forward only; a released one is never edited. */
export const names = ["001", "002", "003", "004"] as const;

/** Numbers of the migrations that the database has, in order. */
export async function applied(url: string, schema: string): Promise<readonly string[]> {
  const client = new pg.Client(connection(url));
  client.on("error", () => undefined); // the query fails, too
  try {
    await client.connect();
    const { rows } = await client.query<{ there: boolean }>("select to_regclass($1) is not null there", [
      `${schema}.migrations`,
    ]);
    if (!rows[0]!.there) return [];
    const list = await client.query<{ name: string }>(`select name from "${schema}".migrations order by name`);
    return list.rows.map((row) => row.name);
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
