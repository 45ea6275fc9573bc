import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { configure, runs } from "tasker";
import { postgres, type Store } from "tasker/runtime";
import { type Database, freshDatabase } from "../kit/database.ts";
import { example, tasker } from "./kit.ts";

let database: Database;
let store: Store;
beforeAll(async () => {
  database = await freshDatabase();
  store = postgres({ url: database.url });
});
afterAll(async () => {
  await store.close();
  await database.drop();
});

test("the demo shows a run that succeeds, one that is tried again, one that is delayed and one that times out, and with --once ends", async () => {
  const { code, output } = await tasker(
    database.url,
    "dev",
    example("demo"),
    "--run",
    example("demo/_start.ts"),
    "--once",
  ).ended;

  expect({ code, output }).toMatchObject({ code: 0 });
  configure({ store });
  const { items } = await runs.list();
  const byJob = Object.fromEntries(items.map((run) => [run.job, run]));
  expect(byJob).toMatchObject({
    greet: { status: "completed", attempt: 1, result: "Hello, Ada!" },
    flaky: { status: "completed", attempt: 3, result: { orderId: "order-7", paid: true } },
    remind: { status: "completed", attempt: 1 },
    slow: { status: "failed", reason: "timeout", attempt: 1 },
  });
  const { dueAt, createdAt, startedAt } = byJob["remind"]!;
  expect(dueAt.getTime() - createdAt.getTime()).toBeGreaterThanOrEqual(2000);
  expect(startedAt!.getTime()).toBeGreaterThanOrEqual(dueAt.getTime());
}, 60_000);

test("`npm run demo` is that command", () => {
  const { scripts } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    scripts: Record<string, string>;
  };

  expect(scripts["demo"]).toBe("node dist/cli/main.js dev examples/demo --run examples/demo/_start.ts");
});
