import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { configure, runs, schedules } from "tasker";
import { postgres } from "tasker/runtime";
import { expect, onTestFinished, test } from "vitest";
import { freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { example, node, tasker } from "./kit.ts";

test("files of another system become runs and a schedule; a wrong one is told of", { timeout: 120_000 }, async () => {
  const { url, drop } = await freshDatabase();
  const folder = mkdtempSync(join(tmpdir(), "tasker-example-inbox-"));
  const store = postgres({ url });
  configure({ store });
  const worker = tasker(url, "start", example("job-files"), "--inbox-dir", folder);
  onTestFinished(async () => {
    worker.child.kill();
    await worker.ended;
    await store.close();
    await drop();
    rmSync(folder, { recursive: true });
  });
  await until(() => existsSync(join(folder, ".tasker-inbox")), { what: "the inbox is open", timeoutMs: 30_000 });

  for (const name of ["month.json", "other.json", "wrong.json"])
    copyFileSync(example(`job-files/${name}`), join(folder, name));
  const made = await node(url, "--import", import.meta.resolve("tsx"), example("job-files/_export.ts"), folder, "10000")
    .ended;
  expect(made).toEqual({ code: 0, output: "" });
  const count = async (): Promise<number> =>
    (await runs.list({ tags: ["nightly"], status: "completed" }, { limit: 1 })).items.length;
  await until(count, { what: "invoices are sent", timeoutMs: 60_000 });
  await until(() => readdirSync(folder).filter((name) => /\.jsonl?$/.test(name)).length === 0, {
    what: "the folder is empty",
    timeoutMs: 60_000,
  });
  const live = ["pending", "leased", "running"] as const;
  await until(async () => (await runs.list({ status: [...live] })).items.length === 0, {
    what: "all have ended",
    timeoutMs: 60_000,
  });

  const named = async (key: string) => (await runs.get({ job: "invoice", key }))!;
  const order = await named("order-1001");
  expect(order).toMatchObject({
    status: "completed",
    priority: 5,
    result: { text: "12.50 EUR, to be paid by 2030-01-31" },
  });
  expect(await named("task-17")).toMatchObject({ status: "completed", tags: ["other"] });
  expect(await schedules.get("invoice@first-of-month")).toMatchObject({
    rule: { cron: "0 9 1 * *", timezone: "Europe/Paris" },
  });
  expect(await each()).toBe(10_000);
  expect(readdirSync(join(folder, "archive")).toSorted()).toEqual(["invoices.jsonl", "month.json", "other.json"]);
  expect(readFileSync(join(folder, "errors", "wrong.json.txt"), "utf8")).toMatch(
    /^wrong\.json:3: job "invoise" is not known .*did you mean "invoice"\?\nwrong\.json:6: payload\.cents: /,
  );
});

async function each(): Promise<number> {
  let count = 0;
  for await (const run of runs.each({ tags: ["nightly"] })) count += run.status === "completed" ? 1 : 0;
  return count;
}
