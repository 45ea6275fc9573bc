import { Client } from "pg";
import type { TestProject } from "vitest/node";
import { type Embedded, startEmbedded } from "../../runtime/store/postgres/embedded.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** A Postgres where tests may make databases; `freshDatabase` uses it. */
    pgUrl: string;
  }
}

/** Gives all test files one Postgres: `TASKER_DATABASE_URL`, else an embedded one in `.tasker/test`, without fsync. */
export default async function setup({ provide }: TestProject): Promise<(() => Promise<void>) | undefined> {
  const found = process.env["TASKER_DATABASE_URL"];
  if (found) {
    provide("pgUrl", found);
    return undefined;
  }
  const server = await ownServer();
  provide("pgUrl", server.url);
  return server.stop;
}

/** Test runs at the same time have a server each: one that belongs to another run would end with that run. */
async function ownServer(): Promise<Embedded> {
  for (let n = 1; ; n++) {
    const server = await startEmbedded({ dir: n === 1 ? ".tasker/test" : `.tasker/test-${n}`, fsync: false });
    if (server.reused) {
      await server.stop(); // or it would outlive the run that it belongs to
      continue;
    }
    await clear(server.url);
    return server;
  }
}

/** Drops the databases of a test run that was killed. */
async function clear(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const left = await client.query<{ name: string }>(
      "select datname as name from pg_database where datname ~ '^test_[0-9a-f]{32}$'",
    );
    for (const { name } of left.rows) await client.query(`drop database ${name} with (force)`);
  } finally {
    await client.end();
  }
}
