/** Job files and real processes: killed half-way, beside one another, and with more than fits into memory. */
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import type { Guarded } from "../../runtime/store/port.ts";
import { until } from "../kit/until.ts";
import { startWorker, type Worker } from "../kit/worker.ts";
import { launch, project } from "../cli/process.ts";
import { allEnded, everything, freshStore } from "./kit.ts";

let url: string;
let store: Guarded;
let dir: string;
let client: Client;
beforeEach(async () => {
  ({ url, store } = await freshStore());
  dir = mkdtempSync(join(tmpdir(), "tasker-inbox-"));
  client = new Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  onTestFinished(async () => {
    await client.end();
    rmSync(dir, { recursive: true, force: true });
  });
});

const start = (...flags: readonly string[]): Promise<Worker> =>
  startWorker(url, ["--inbox-dir", dir, "--lease", "4s", "--poll", "200ms", "--sweep", "1s", ...flags]);

/** Puts a file in as a whole. */
function put(name: string, text: string): void {
  writeFileSync(join(dir, `.${name}`), text);
  renameSync(join(dir, `.${name}`), join(dir, name));
}

const anItem = (ms: number, more: object = {}): string =>
  JSON.stringify({ job: "work", payload: { ms }, delay: "1d", ...more });
const archived = (name: string): boolean => existsSync(join(dir, "archive", name));

/** How many runs there are, and how many payloads. */
async function counted(): Promise<readonly [runs: number, payloads: number]> {
  const { rows } = await client.query<{ runs: string; payloads: string }>(
    "select count(*) runs, count(distinct input) payloads from (select input from tasker.runs union all select input from tasker.history) all_runs",
  );
  return [Number(rows[0]!.runs), Number(rows[0]!.payloads)];
}

/** Lines of a worker's log with this message. */
function said(worker: Worker, message: string): readonly Readonly<Record<string, unknown>>[] {
  const lines = worker
    .log()
    .split("\n")
    .filter((line) => line.includes(`"msg":"${message}`));
  return lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
}

test("kill -9 in the middle of a file: what goes on makes each item once", { timeout: 120_000 }, async () => {
  const items = 20_000;
  const text = Array.from({ length: items }, (_, n) => anItem(n, n % 2 ? { id: `id-${n}` } : {})).join("\n");
  const victim = await start();

  put("all.jsonl", text);
  await until(async () => (await counted())[0] > 2000, { what: "it is in the middle of the file", timeoutMs: 60_000 });
  victim.kill("SIGKILL");
  await victim.exited;
  const [before] = await counted();
  const heir = await start();
  await until(() => archived("all.jsonl"), { what: "the file is archived", timeoutMs: 60_000 });

  expect(before).toBeLessThan(items);
  expect(await counted()).toEqual([items, items]);
  expect(said(heir, "Job file loaded")).toMatchObject([{ file: "all.jsonl", runs: items - before, existed: before }]);
});

test(
  "kill -9 of each process that runs an item, between trigger and archive or not: each is made once",
  { timeout: 120_000 },
  async () => {
    const names = ["a.json", "b.json", "c.json"];
    const item = (n: string): string =>
      JSON.stringify({ job: "poison", payload: {}, tags: [n], retry: { attempts: 1 } });
    for (const name of names) put(name, item(name));

    for (let processes = 0; !names.every(archived); processes++) {
      if (processes > 15) throw new Error("the files are not archived by 15 processes");
      const worker = await start("--crashes", "2").catch(() => null); // it may be dead before it says that it has started
      if (worker)
        await Promise.race([
          worker.exited,
          until(() => names.every(archived), { what: "all are archived", timeoutMs: 30_000 }),
        ]);
    }

    const runs = await everything(store);
    expect(runs.flatMap(({ tags }) => tags).toSorted()).toEqual(names);
  },
);

test("two nodes on one folder load each content once", { timeout: 120_000 }, async () => {
  const [one, two] = await Promise.all([start(), start()]);

  for (let n = 0; n < 300; n++) put(`f${n}.json`, anItem(n));
  put("twin-1.json", anItem(1000));
  put("twin-2.json", anItem(1000));
  put("large.jsonl", Array.from({ length: 10_000 }, (_, n) => anItem(10_000 + n)).join("\n"));
  put("bad.json", '{"job":"wrok"}');
  await until(() => readdirSync(dir).filter((name) => !name.startsWith(".") && name.includes(".")).length === 0, {
    what: "the folder is empty",
    timeoutMs: 60_000,
  });

  expect(await counted()).toEqual([10_301, 10_301]);
  const loaded = [one, two].map((worker) => said(worker, "Job file loaded"));
  const made = loaded.flat().reduce((sum, line) => sum + Number(line["runs"]), 0);
  expect(made).toBe(10_301);
  expect(loaded.flat()).toHaveLength(302);
  expect(readdirSync(join(dir, "archive"))).toHaveLength(303);
  expect(readdirSync(join(dir, "errors")).toSorted()).toEqual(["bad.json", "bad.json.txt"]);
  expect(readFileSync(join(dir, "errors/bad.json.txt"), "utf8")).toMatch(
    /^bad\.json:1: job "wrok" is not known .*did you mean "work"\?/,
  );
  expect([one, two].flatMap((worker) => said(worker, "Job file can't be dealt with"))).toEqual([]);
});

test(
  "a node that stands still over its lock is passed by, and what it adds later is there already",
  { timeout: 120_000 },
  async () => {
    const stopped = await start();
    put("all.jsonl", Array.from({ length: 20_000 }, (_, n) => anItem(n)).join("\n"));
    await until(async () => (await counted())[0] > 1000, {
      what: "it is in the middle of the file",
      timeoutMs: 60_000,
    });

    stopped.kill("SIGSTOP");
    await start();
    await until(() => archived("all.jsonl"), { what: "the other one has archived the file", timeoutMs: 60_000 });
    stopped.kill("SIGCONT");
    await until(
      () =>
        said(stopped, "Job file").length > 0 ||
        !readdirSync(join(dir, ".tasker-inbox")).some((name) => name.endsWith(".lock")),
      {
        what: "the first one has come to its end",
        timeoutMs: 60_000,
      },
    );

    expect(await counted()).toEqual([20_000, 20_000]);
  },
);

test("a file of 50 MB takes the memory of some of its items", { timeout: 180_000 }, async () => {
  const worker = await start();
  const text = "x".repeat(10_000);
  const peakMb = (): number =>
    Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${worker.pid}/status`, "utf8"))![1]) / 1024;
  const before = peakMb();

  put("large.jsonl", Array.from({ length: 5000 }, (_, n) => anItem(n, { description: text })).join("\n"));
  await until(() => archived("large.jsonl"), { what: "the file is archived", timeoutMs: 120_000 });

  expect(await counted()).toEqual([5000, 5000]);
  expect(peakMb() - before).toBeLessThan(150);
});

test("tasker dev loads job files, also after the code has changed", { timeout: 90_000 }, async () => {
  const cwd = project();
  const dev = launch(["dev", "--inbox-dir", dir, "--skip-types"], { cwd, env: { TASKER_DATABASE_URL: url } });
  await dev.says("Ready");

  put("one.json", JSON.stringify({ job: "hello", payload: { name: "Ada" } }));
  await dev.says("Job file loaded  file=one.json");
  appendFileSync(
    join(cwd, "jobs/all.ts"),
    "export const late = defineJob({ id: 'late', schema: z.object({}), handler: () => null });\n",
  );
  await dev.says("Reloaded");
  put("two.json", JSON.stringify({ job: "late", payload: {} }));
  await dev.says("Job file loaded  file=two.json");

  await allEnded(store);
  expect((await everything(store)).map(({ job, status }) => [job, status]).toSorted()).toEqual([
    ["hello", "completed"],
    ["late", "completed"],
  ]);
});
