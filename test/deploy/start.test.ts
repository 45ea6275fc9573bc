/** A process as the files start it: with secrets in files, an address of its own, a check of its health, and a signal in the end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { folder } from "../cli/folder.ts";
import { launch, project } from "../cli/process.ts";
import { freshDatabase } from "../kit/database.ts";
import { freePort, health, told, yaml } from "./kit.ts";
import { scaler } from "./shape.ts";

/** The metrics by which scale.yaml adds workers. */
const [{ spec }] = yaml("deploy/kubernetes/scale.yaml", scaler);
const scaledBy = spec.triggers[0].metadata.query.match(/\btasker_\w+/g)!;

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
  const get = (path: string, headers = {}): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`, { headers });
  const caller = { authorization: `Bearer ${token}` };

  const worker = launch(args, { cwd: project(), env });
  await worker.says("Runtime started");
  await worker.says("HTTP API");
  const healthy = await check();
  const { status: ready } = await get("/readyz");
  const runs = [(await get("/api/v1/runs")).status, (await get("/api/v1/runs", caller)).status];
  const metrics = await (await get("/metrics", caller)).text();
  worker.child.kill("SIGTERM");
  const code = await worker.ended;

  expect({ healthy, ready, runs, code }).toEqual({ healthy: 0, ready: 200, runs: [401, 200], code: 0 });
  expect(scaledBy.filter((name) => !metrics.includes(`# TYPE ${name} gauge`))).toEqual([]);
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
