import { configure, nodes, runs } from "tasker";
import { postgres, type Store } from "tasker/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { resize } from "../../examples/nodes/resize.ts";
import { type Database, freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { type Command, example, tasker } from "./kit.ts";

const names = ["a", "b"];
let database: Database;
let store: Store;
let commands: Command[] = [];
beforeAll(async () => {
  database = await freshDatabase();
  store = postgres({ url: database.url });
  configure({ store });
  await store.open();
  commands = names.map((name) => tasker(database.url, "start", example("nodes"), "--name", name, "--slots", "2"));
});
afterAll(async () => {
  for (const { child } of commands) child.kill("SIGKILL");
  await Promise.all(commands.map(({ ended }) => ended));
  await store.close();
  await database.drop();
});

test("processes that share a database share its runs, each of which one of them does, and stop at SIGTERM", async () => {
  await until(async () => (await nodes.list()).filter(({ alive }) => alive).length === 2, {
    what: "both nodes are there",
    timeoutMs: 20_000,
  });

  const handles = await resize.batchTrigger(Array.from({ length: 20 }, (_, image) => ({ payload: { image } })));

  const results = await Promise.all(
    handles.map(async (run) => (run instanceof Error ? run : run.result({ timeout: "20s" }))),
  );
  expect(results).toHaveLength(20);
  for (const [image, result] of results.entries()) expect(result).toMatch(`image ${image} resized`);
  const { items } = await runs.list({ job: "resize" });
  expect(new Set(items.map(({ node }) => node))).toEqual(new Set(names));
  expect((await runs.failures()).items).toEqual([]);

  for (const { child } of commands) child.kill("SIGTERM");
  const ends = await Promise.all(commands.map(({ ended }) => ended));
  expect(ends.map(({ code }) => code)).toEqual([0, 0]);
}, 60_000);
