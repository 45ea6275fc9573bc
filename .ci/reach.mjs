// Exits with 0 if a Postgres answers at the URL, and lets us make databases: `reach.mjs <url>`.
import pg from "pg";

const client = new pg.Client({ connectionString: process.argv[2], connectionTimeoutMillis: 2000 });
client.on("error", () => undefined);
try {
  await client.connect();
  const { rows } = await client.query(
    "select current_setting('server_version') as version, rolcreatedb or rolsuper as may from pg_roles where rolname = current_user",
  );
  await client.end();
  process.stdout.write(`\nPostgres ${rows[0].version} at 127.0.0.1:5432\n`);
  process.exitCode = rows[0].may ? 0 : 1;
} catch {
  process.exitCode = 1;
}
