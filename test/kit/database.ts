import { randomUUID } from "node:crypto";
import { Client } from "pg";
import { inject } from "vitest";
import type {} from "./setup.ts";

/** A database that belongs to one test file or test. */
export interface Database {
  readonly url: string;
  /** Ends its connections and drops it; twice is once. */
  drop(): Promise<void>;
}

/** Makes an empty database on the tests' server. It is made from template0, so nothing that others changed is in it. */
export async function freshDatabase(): Promise<Database> {
  const server = inject("pgUrl");
  const name = `test_${randomUUID().replaceAll("-", "")}`;
  await run(server, async (client) => {
    const strategy = (await majorOf(client)) >= 15 ? "strategy file_copy" : "";
    await client.query(`create database ${name} template template0 ${strategy}`);
  });
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    drop: () => run(server, (client) => client.query(`drop database if exists ${name} with (force)`)),
  };
}

async function majorOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ version: string }>("select current_setting('server_version_num') as version");
  return Math.trunc(Number(rows[0]?.version) / 10_000);
}

async function run(url: string, act: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined); // a server that goes away fails the query too, and that is the failure to see
  await client.connect();
  try {
    await act(client);
  } finally {
    await client.end();
  }
}
