/** A process as the files start it: with secrets in files, an address of its own, a check of its health, and a signal in the end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { folder } from "../cli/folder.ts";
import { launch, project } from "../cli/process.ts";
import { freshDatabase } from "../kit/database.ts";
import { freePort, health, told } from "./kit.ts";

test("the image's command serves with secrets from files, its check sees whether it lives, and a signal ends it", async () => {
  const database = await freshDatabase();
  onTestFinished(database.drop);
  const token = "b".repeat(32);
  const secrets = folder({ url: `${database.url}\n`, tokens: `ops:read:${token}\n` });
  const port = String(await freePort());
  const [, ...args] = (JSON.parse(told("CMD")[0]!) as string[]).map((word) => word.replace("4747", port));
  const env = { TASKER_DATABASE_URL_FILE: `${secrets}/url`, TASKER_TOKENS_FILE: `${secrets}/tokens` };
  const [command, ...rest] = health().map((word) => word.replace("4747", port));
  const check = async (): Promise<unknown> => (await once(spawn(command!, rest), "exit"))[0];
  const get = async (path: string, headers = {}): Promise<number> =>
    (await fetch(`http://127.0.0.1:${port}${path}`, { headers })).status;

  const worker = launch(args, { cwd: project(), env });
  await worker.says("Runtime started");
  await worker.says("HTTP API");
  const healthy = await check();
  const ready = await get("/readyz");
  const runs = [await get("/api/v1/runs"), await get("/api/v1/runs", { authorization: `Bearer ${token}` })];
  worker.child.kill("SIGTERM");
  const code = await worker.ended;

  expect({ healthy, ready, runs, code }).toEqual({ healthy: 0, ready: 200, runs: [401, 200], code: 0 });
  expect(worker.out() + worker.err()).not.toContain(token);
  expect(await check()).toBe(1);
}, 60_000);

test("without tokens the image's command says what is missing, and does not start", async () => {
  const database = await freshDatabase();
  onTestFinished(database.drop);
  const [, ...args] = JSON.parse(told("CMD")[0]!) as string[];

  const worker = launch(args, { cwd: project(), env: { TASKER_DATABASE_URL: database.url } });

  expect(await worker.ended).toBe(2);
  expect(worker.err()).toMatch(/TASKER_TOKENS/);
});
