import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { runsOf } from "../../sdk/client/runs.ts";
import { defineJob } from "../../sdk/job.ts";
import { folder } from "./folder.ts";
import type { Answer } from "./line.ts";
import { project, tasker as started } from "./process.ts";
import { served } from "./served.ts";

const mail = defineJob({ id: "mail", schema: z.object({ to: z.string() }), handler: () => null });
const anHour = { delay: "1h" };

const { tasker, open, url } = served([mail]);

const load = (...args: readonly string[]): Promise<Answer> => tasker("load", ...args);
const count = async (tag: string): Promise<number> =>
  (await runsOf(open).list({ tags: [tag] }, { limit: 200 })).items.length;

test("a file is made into runs and schedules, once", async () => {
  const file = join(
    folder({
      "all.json": JSON.stringify([
        { job: "mail", payload: { to: "a" }, tags: ["once"], ...anHour },
        { job: "mail", payload: { to: "b" }, tags: ["once"], ...anHour, id: "b" },
        { job: "mail", payload: { to: "c" }, cron: "0 9 1 1 *", id: "yearly" },
      ]),
    }),
    "all.json",
  );

  const first = await load(file);
  const second = await load(file, "--json");
  const again = await load(file, "--again");

  expect(first).toEqual({ code: 0, out: `${file}  2 runs and 1 schedule made\n`, err: "" });
  expect(second.code).toBe(0);
  expect(JSON.parse(second.out)).toEqual({
    dryRun: false,
    files: [{ file, items: 3, runs: 0, existed: 2, schedules: 1, refused: 0, errors: [], notes: [], rows: [] }],
  });
  expect(again.out).toContain("1 run and 1 schedule made; 1 run was there already");
  expect(await count("once")).toBe(3);
});

test("a dry run shows what would be made, and makes nothing", async () => {
  const files = folder({
    "one.json": JSON.stringify({ job: "mail", payload: { to: "a" }, tags: ["dry"], runAt: "2030-01-01", delay: "1s" }),
    "more.jsonl": Array.from({ length: 25 }, (_, n) =>
      JSON.stringify({ name: "mail", payload: { to: "a" }, tags: ["dry"], id: `dry-${n}`, delay: "1h" }),
    ).join("\n"),
  });

  const { code, out, err } = await load(join(files, "one.json"), join(files, "more.jsonl"), "--dry-run");

  expect([code, err]).toEqual([0, ""]);
  const lines = out.replaceAll(`${files}/`, "").split("\n");
  expect(lines.slice(0, 7).map((line) => line.trim().replace(/ {2,}/g, " | "))).toEqual([
    "one.json | 1 run would be made",
    "line | makes | job | when | id",
    "1 | run | mail | at 2030-01-01T00:00:00.000Z",
    "one.json:1: delay does not count: the item has runAt",
    "more.jsonl | 25 runs would be made",
    "line | makes | job | when | id",
    "1 | run | mail | in 1h | dry-0",
  ]);
  expect(lines.at(-2)).toBe("… and 5 more");
  expect(await count("dry")).toBe(0);
});

test("a file with something wrong is refused as a whole, with file, line and reason; others are loaded", async () => {
  const files = folder({
    "bad.json": `[\n  {"job": "mail", "payload": {"to": "a"}, "tags": ["beside"]},\n  {"job": "mail",\n   "payload": {"to": 7}},\n  {"job": "mial"}\n]`,
    "broken.json": `{"job": "mail",\n "payload": {"to": "a"}`,
    "good.json": JSON.stringify({ job: "mail", payload: { to: "a" }, tags: ["beside"], ...anHour }),
  });
  const [bad, broken, good] = ["bad.json", "broken.json", "good.json"].map((name) => join(files, name)) as [
    string,
    string,
    string,
  ];

  const { code, out } = await load(bad, broken, good);
  const json = await load(bad, "--json");

  expect(code).toBe(1);
  expect(out.replaceAll(`${files}/`, "").split("\n").slice(0, -1)).toEqual([
    "bad.json  refused: 2 of 3 items are wrong, so nothing of it is made",
    expect.stringMatching(/^bad\.json:4: payload\.to: .*expected string/),
    expect.stringMatching(/^bad\.json:5: job "mial" is not known .*did you mean "mail"\?$/),
    "broken.json  refused: 1 of 1 item is wrong, so nothing of it is made",
    "broken.json:1: the file ends within the item that begins here",
    "good.json  1 run made",
  ]);
  expect(json.code).toBe(1);
  expect(JSON.parse(json.out)).toMatchObject({
    files: [
      {
        refused: 2,
        runs: 0,
        errors: [
          { line: 4, path: "payload.to" },
          { line: 5, path: "job" },
        ],
      },
    ],
  });
  expect(await count("beside")).toBe(1);
});

test.each([
  [["nowhere.json"], /"nowhere\.json" does not exist/],
  [[tmpdir()], /is no file; name the files in it, such as .*\/\*\.json/],
  [[], /<\.\.\.files> is missing|files/],
])("load %j is a mistake of the command line", async (args, message) => {
  const { code, err } = await load(...args);

  expect(code).toBe(2);
  expect(err).toMatch(message);
});

test("stdin is read to its end, by a real process, and nothing of it stays behind", { timeout: 60_000 }, async () => {
  const spools = (): number => readdirSync(tmpdir()).filter((name) => name.startsWith("tasker-load-")).length;
  const before = spools();
  const place = { cwd: project(), env: { TASKER_DATABASE_URL: url() } };
  const line = JSON.stringify({ job: "mail", payload: { to: "a" }, tags: ["stdin"], ...anHour });

  const { code, out, err } = await started(["load", "-"], { ...place, input: `${line}\n\n${line}\n` });
  const bad = await started(["load", "-"], { ...place, input: "{" });

  expect([code, out, err]).toEqual([0, "stdin  2 runs made\n", ""]);
  expect([bad.code, bad.out]).toEqual([1, expect.stringContaining("stdin:1: the file ends within the item")]);
  expect(await count("stdin")).toBe(2);
  expect(spools()).toBe(before);
});
