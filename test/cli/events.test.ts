import { expect, onTestFinished, test } from "vitest";
import { eventLine } from "../../cli/view/event.ts";
import { colors } from "../../cli/view/color.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Item } from "../../sdk/client/hub.ts";
import { addOne } from "../kit/build.ts";
import { freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { folder } from "./folder.ts";
import { tasker } from "./line.ts";

const at = new Date("2030-01-01T00:00:00Z");
const ofRun = { at, run: "run_1", job: "mail", queue: "slow", tags: [], attempt: 2 };

test.each<[Item, string]>([
  [{ id: "1", type: "run.scheduled", ...ofRun, attempt: 0 }, "run.scheduled     run_1  mail"],
  [
    { id: "1", type: "run.completed", ...ofRun, durationMs: 12.4 },
    "run.completed     run_1  mail  attempt 2  took 12ms",
  ],
  [
    {
      ...{ id: "1", type: "run.retrying", ...ofRun, reason: "error", durationMs: 1000, retryInMs: 5000 },
      error: { name: "Error", message: "two\nlines \u001b[31mred\u0007", stack: null },
    },
    "run.retrying      run_1  mail  attempt 2  error  took 1s  again in 5s  Error: two lines red\\u0007",
  ],
  [
    { id: "1", type: "run.progress", ...ofRun, progress: { value: 33.333, detail: "half" } },
    "run.progress      run_1  mail  attempt 2  33.33 half",
  ],
  [
    { id: "1", type: "step.completed", ...ofRun, step: "charge#2", durationMs: 3 },
    "step.completed    run_1  mail  attempt 2  charge#2  took 3ms",
  ],
  [{ id: "1", type: "runs.purged", at, count: 7 }, "runs.purged       7 runs"],
  [{ id: "1", type: "queue.paused", at, queue: "slow" }, "queue.paused      slow"],
  [{ id: "1", type: "node.started", at, node: "web:1" }, "node.started      web:1"],
  [
    { id: "1", type: "schedule.ticked", at, schedule: "mail@k", job: "mail", tick: at, run: "run_2" },
    "schedule.ticked   mail@k  tick 2030-01-01T00:00:00.000Z  run_2",
  ],
  [
    { id: "1", type: "schedule.skipped", at, schedule: "mail", job: "mail", tick: at, from: at, reason: "missed" },
    "schedule.skipped  mail  tick 2030-01-01T00:00:00.000Z  missed",
  ],
  [{ id: "1", type: "schedule.paused", at, schedule: "mail@k", job: "mail" }, "schedule.paused   mail@k"],
  [{ type: "gap", at, lost: 3 }, "gap               3 events are missing"],
  [
    { type: "gap", at, lost: null, node: "web:1" },
    "gap               events are missing  of web:1, which ended without a word",
  ],
])("%j is a line", (event, line) => {
  expect(eventLine(event, colors({}, {}))).toBe(`2030-01-01T00:00:00.000Z  ${line}`);
});

test("follows, and ends after as many as it was asked for; what is no type, run or id is refused", async () => {
  const database = await freshDatabase();
  const store = postgres({ url: database.url });
  onTestFinished(async () => {
    await store.close();
    await database.drop();
  });
  await store.open();
  const follow = (...flags: readonly string[]) =>
    tasker(["events", ...flags], folder(), { TASKER_DATABASE_URL: database.url });

  const [text, json] = [follow("--job", "mail", "--limit", "2"), follow("--json", "--limit", "2", "--tag", "a")];
  await until(() => store.feed.watched || (addOne(store), false), { what: "it is followed" });
  let over = false;
  const both = Promise.all([text, json]).finally(() => (over = true));
  await until(async () => (await addOne(store, { job: "mail", tags: ["a"] }), over), { what: "both have ended" });
  const [people, programs] = await both;
  const id = (JSON.parse(programs.out.split("\n")[0]!) as { id: string }).id;
  const [next] = [await follow("--since", id, "--limit", "1", "--json")];
  const wrong = await Promise.all(
    [
      ["--type", "run.faild"],
      ["--status", "done"],
      ["--run", "7"],
      ["--limit", "0"],
      ["--since", "x"],
    ].map((flags) => follow(...flags)),
  );

  expect(people).toMatchObject({ code: 0, err: "" });
  expect(people.out).toMatch(/^(\S+Z {2}run\.scheduled {5}run_\w+ {2}mail\n){2}$/);
  expect(programs.out.trim().split("\n")).toHaveLength(2);
  expect(JSON.parse(next.out)).toMatchObject({ type: "run.scheduled", job: "mail" });
  expect((JSON.parse(next.out) as { id: string }).id > id).toBe(true);
  expect(wrong.map(({ code }) => code)).toEqual([2, 2, 2, 2, 2]);
  expect(wrong[0]!.err).toMatch(/--type: "run.faild" is not one of .*did you mean "run\.failed/);
  expect(wrong[4]!.err).toMatch(/"x" is not the id of an event/);
});
