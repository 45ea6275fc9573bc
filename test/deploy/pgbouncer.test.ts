/** A worker behind the real PgBouncer in transaction mode, where it is installed. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { expect, onTestFinished, test } from "vitest";
import { launch, project, tasker } from "../cli/process.ts";
import { freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { freePort, has } from "./kit.ts";

/** PgBouncer before the server of a URL; answers the URL that leads through it. */
async function startPgBouncer(url: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-pgbouncer-"));
  const file = join(folder, "pgbouncer.ini");
  const server = new URL(url);
  const { username, password, hostname, port } = server;
  server.port = String(await freePort());
  const login = `user=${username}${password && ` password=${password}`}`;
  writeFileSync(
    file,
    `[databases]
    * = host=${hostname} port=${port || 5432} ${login}
    [pgbouncer]
    listen_addr = 127.0.0.1
    listen_port = ${server.port}
    unix_socket_dir =
    auth_type = any
    pool_mode = transaction
    default_pool_size = 3
    `.replace(/^ +/gm, ""),
  );
  const id = process.getuid?.() === 0 ? 65534 : undefined; // it refuses to be root; the file is read before
  const child = spawn("pgbouncer", [...(id ? ["--user", "nobody"] : []), file], { stdio: "ignore" });
  const ended = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  await until(async () => ask(server.href), { what: "PgBouncer answers" });
  return server.href;
}

async function ask(url: string): Promise<boolean> {
  const client = new Client(url);
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query("select 1")).rowCount === 1;
  } finally {
    await client.end();
  }
}

test.runIf(has("pgbouncer"))(
  "behind PgBouncer by transaction: schema, start, trigger, result, cancel and stop work, and the warning says what is missing",
  async () => {
    const database = await freshDatabase();
    onTestFinished(database.drop);
    const url = await startPgBouncer(database.url);
    const place = { cwd: project(), env: { TASKER_DATABASE_URL: url } };

    const migrated = await tasker(["migrate"], place);
    const worker = launch(["start"], place);
    await worker.says("Runtime started");
    const done = await tasker(["trigger", "hello", '{"name":"Ada"}', "--wait", "20s", "--json"], place);
    const { id } = JSON.parse((await tasker(["trigger", "patient", "{}", "--json"], place)).out) as { id: string };
    await worker.says("patient began");
    const canceled = await tasker(["cancel", id], place);
    await worker.says("Run canceled");
    worker.child.kill("SIGTERM");

    expect(migrated).toMatchObject({ code: 0 });
    expect(JSON.parse(done.out)).toMatchObject({ status: "completed", result: { text: "hi Ada" } });
    expect(canceled).toMatchObject({ code: 0 });
    expect(await worker.ended).toBe(0);
    expect(worker.err()).toContain("a pooler stands between");
  },
  60_000,
);
