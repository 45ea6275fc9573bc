import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { colors } from "../../cli/view/color.ts";
import { ruleText, spanText } from "../../cli/view/rule.ts";
import { scheduleTable } from "../../cli/view/schedule.ts";
import { wallIso, wallText } from "../../cli/view/wall.ts";
import { close } from "../../sdk/client/config.ts";
import { defineJob } from "../../sdk/job.ts";
import type { Schedule } from "../../sdk/client/schedules.ts";
import { createRuntime, type Runtime } from "../../runtime/runtime.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { aRule, aSchedule, only } from "../kit/build.ts";
import { freshDatabase, type Database } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { folder } from "./folder.ts";
import { tasker as run, type Answer } from "./line.ts";

const report = defineJob({
  id: "report",
  schema: z.unknown(),
  handler: () => null,
  schedule: { cron: "0 9 1 1 *", timezone: "Europe/Paris" },
});
const remind = defineJob({ id: "remind", schema: z.object({ user: z.number() }), handler: () => null });
const yearly = ["--cron", "0 9 1 1 *"];

let database: Database;
let runtime: Runtime;
beforeAll(async () => {
  database = await freshDatabase();
  runtime = createRuntime({ store: postgres({ url: database.url }), jobs: [report, remind] });
  await runtime.start();
});
afterAll(async () => {
  await close();
  await runtime.stop();
  await database.drop();
});

/** What `tasker <argv>` prints and answers on the tests' database. */
const tasker = (argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Answer> =>
  run(argv, folder(), { TASKER_DATABASE_URL: database.url, ...env });

async function json<T = Readonly<Record<string, unknown>>>(...argv: readonly string[]): Promise<T> {
  return JSON.parse((await tasker([...argv, "--json"])).out) as T;
}
interface Items {
  readonly items: readonly (Readonly<Record<string, unknown>> & { readonly id: string })[];
  readonly next: string | null;
}

/** Makes a yearly schedule of `remind`, for user 7. */
async function made(key: string, ...more: readonly string[]): Promise<string> {
  const id = `remind@${key}`;
  const { code, err } = await tasker(["schedules", "upsert", id, ...yearly, "--payload", `{"user":7}`, ...more]);
  expect([code, err]).toEqual([0, ""]);
  return id;
}

test.each([
  [{ cron: "0 9 13 * +FRI", timezone: "Europe/Paris" }, "0 9 13 * +FRI  Europe/Paris"],
  [{ everyMs: 90_000 }, "every 90s"],
  [{ everyMs: 90_000, anchorMs: Date.UTC(2030, 0) }, "every 90s from 2030-01-01T00:00:00.000Z"],
  [{ atMs: Date.UTC(2030, 0) }, "once"],
])("the rule %j is shown as %s", (rule, text) => {
  expect(ruleText({ overlap: "allow", catchUp: { max: 1, withinMs: null }, ...rule })).toBe(text);
});

test("spans are exact, in one unit", () => {
  expect([90_000, 5_400_000, 86_400_000, 1500].map(spanText)).toEqual(["90s", "90m", "1d", "1500ms"]);
});

test("an instant is shown by the clock of a zone, with old offsets to the second", () => {
  const at = new Date("2026-10-25T00:30:00Z");

  expect(wallText(at, "Europe/Paris")).toBe("Sun 2026-10-25 02:30:00 +02:00");
  expect(wallIso(at, "America/St_Johns")).toBe("2026-10-24T22:00:00-02:30");
  expect(wallIso(new Date("1900-01-01T00:00:00.250Z"), "Europe/Paris")).toBe("1900-01-01T00:09:21.250+00:09:21");
});

test("a preview marks the clock going back between the ticks, and the second pass of a time", async () => {
  const from = ["--timezone", "Europe/Paris", "--from", "2026-10-25T00:00:00Z", "--count", "4"];

  const { code, out } = await tasker(["schedules", "preview", "*/30 * * * *", ...from]);

  expect([code, out]).toEqual([
    0,
    [
      "*/30 * * * *  Europe/Paris",
      "",
      "Sun 2026-10-25 02:30:00 +02:00  2026-10-25T00:30:00Z",
      "── clocks go back 1h at 2026-10-25 03:00 (+02:00 → +01:00) ──",
      "Sun 2026-10-25 02:00:00 +01:00  2026-10-25T01:00:00Z  second pass",
      "Sun 2026-10-25 02:30:00 +01:00  2026-10-25T01:30:00Z  second pass",
      "Sun 2026-10-25 03:00:00 +01:00  2026-10-25T02:00:00Z",
      "",
    ].join("\n"),
  ]);
});

test("a preview marks the clock going forward, and the tick that it moved but not one that was there anyway", async () => {
  const from = ["--timezone", "Europe/Paris", "--from", "2027-03-27T12:00:00Z", "--count", "2"];

  const moved = await tasker(["schedules", "preview", "0 30 2 * * *", ...from]);
  const own = await tasker(["schedules", "preview", "0 3 * * *", ...from]);
  const skipped = await tasker(["schedules", "preview", "0 30 2 * * *", ...from, "--dst-gap", "skip"]);

  expect(moved.out.split("\n").slice(2)).toEqual([
    "── clocks go forward 1h at 2027-03-28 02:00 (+01:00 → +02:00) ──",
    "Sun 2027-03-28 03:00:00 +02:00  2027-03-28T01:00:00Z  moved: the clock skips 02:30",
    "Mon 2027-03-29 02:30:00 +02:00  2027-03-29T00:30:00Z",
    "",
  ]);
  expect(own.out).toContain("Sun 2027-03-28 03:00:00 +02:00  2027-03-28T01:00:00Z\n");
  expect(skipped.out).not.toContain("2027-03-28 03:00");
});

test("a preview for programs has each tick with its local time and the clock changes before it", async () => {
  const rule = ["0 30 2 * * *", "--timezone", "Europe/Paris", "--from", "2026-10-25T12:00:00+02:00", "--count", "1"];
  const before = ["0 30 2 * * *", "--timezone", "Europe/Paris", "--from", "2026-10-25T00:30:00Z", "--count", "1"];

  const tick = {
    tick: "2026-10-26T01:30:00.000Z",
    local: "2026-10-26T02:30:00+01:00",
    dueAt: "2026-10-26T01:30:00.000Z",
  };
  const change = { at: "2026-10-25T01:00:00.000Z", before: 120, after: 60 };
  const about = { rule: "0 30 2 * * *  Europe/Paris", cron: "0 30 2 * * *", timezone: "Europe/Paris" };

  expect(await json("schedules", "preview", ...rule)).toEqual({ ...about, ticks: [{ ...tick, changes: [] }] });
  expect(await json("schedules", "preview", ...before)).toEqual({ ...about, ticks: [{ ...tick, changes: [change] }] });
});

test("a preview of a rule needs no database; its zone is the configured one, else UTC", async () => {
  const from = ["--from", "2030-01-01T00:00:00Z", "--count", "1"];
  const nowhere = { TASKER_DATABASE_URL: "postgres://127.0.0.1:1/none", TASKER_TIMEZONE: "Asia/Tokyo" };

  const cron = await tasker(["schedules", "preview", "@daily", ...from], nowhere);
  const every = await tasker(["schedules", "preview", "--every", "90s", "--anchor", "2030-01-01T00:00:10Z", ...from]);

  expect(cron.out).toMatch(/^@daily {2}Asia\/Tokyo\n\nWed 2030-01-02 00:00:00 \+09:00/);
  expect(every.out).toMatch(/^every 90s from 2030-01-01T00:00:10.000Z {2}UTC\n\nTue 2030-01-01 00:00:10 \+00:00/);
});

test.each([
  [["preview"], /^error: which rule\?/],
  [["preview", "61 * * * *"], /^error: cron "61 \* \* \* \*": minute "61" is not within 0-59/],
  [["preview", "*/5"], /"\*\/5" is neither a cron text nor the id of a schedule/],
  [["preview", "* * * * *", "--timezone", "Europe/Pariss"], /did you mean "Europe\/Paris"/],
  [["preview", "* * * * *", "--count", "0"], /--count: "0" is not a whole number from 1 to 1000/],
  [["preview", "* * * * *", "--every", "5s"], /a schedule has one rule, not a cron text and --every/],
  [["preview", "* * * * *", "--from", "now"], /--from: "now" is not an ISO time/],
  [["preview", "report", "--timezone", "UTC"], /--timezone is for a rule, and schedule "report" has its own/],
  [["get", "@x"], /"@x" is not the id of a schedule/],
  [["upsert", "remind", ...yearly], /"remind" has no key, .* write it like remind@daily/],
  [["upsert", "remind@x"], /when\? give --cron "0 9/],
  [["preview", "--every", "500ms"], /^error: --every "500ms" is more than .* or allow it with --sub-second$/],
  [["preview", "0 * * * *", "--dst-gap", "last"], /^error: --dst-gap "last" is not one of next, skip/],
  [["preview", "--every", "1h", "--dst-gap", "skip"], /--dst-gap belongs to a cron text, and this rule is --every/],
  [["preview", "30 2 * 3 0L", "--timezone", "Europe/Paris", "--dst-gap", "skip"], /never ticks: .* or --dst-gap next$/],
  [["upsert", "remind@x", "--cron", "nope"], /^error: --cron "nope": has 1 field/],
  [["upsert", "remind@x", "--every", "1 minute"], /^error: --every: duration "1 minute" is not whole numbers/],
  [["upsert", "remind@x", "--at", "2999-01-01T00:00:00Z"], /^error: --at "2999-01-01.* is more than 100 years ahead/],
  [["upsert", "remind@x", "--every", "1h", "--anchor", "2999-01-01"], /^error: --anchor "2999-01-01/],
  [["upsert", "remind@x", "--at", "2030-01-01", "--sub-second"], /--sub-second belongs to --every, and .* is --at/],
  [
    ["upsert", "remind@x", ...yearly, "--starts", "2031-01-02T00:00:00Z", "--ends", "2031-02-01T00:00:00Z"],
    /^error: --ends: the schedule never ticks: .* between --starts and --ends$/,
  ],
  [["upsert", "remind@x", ...yearly, "--catch-up", "5000/6h"], /^error: --catch-up "5000" is not a whole number/],
  [["upsert", "remind@x", ...yearly, "--spread", "0s"], /^error: --spread "0s" is zero/],
  [["upsert", "remind@x", ...yearly, "--catch-up", "all"], /--catch-up: "all" is none of none, last/],
  [["upsert", "remind@x", ...yearly, "--overlap", "queue"], /overlap "queue" is none of allow, skip, cancel/],
  [["upsert", "remind@x", ...yearly, "--payload", "{"], /is not JSON/],
  [["backfill", "report"], /--from is missing/],
])("schedules %j is refused as bad usage", async (argv, message) => {
  const { code, err } = await tasker(["schedules", ...argv]);

  expect(err).toMatch(message);
  expect(code).toBe(2);
});

test("a schedule is made, shown, listed and changed", async () => {
  const more = ["--timezone", "America/New_York", "--tag", "user:7", "--priority", "9", "--queue", "mail"];
  const policy = ["--overlap", "skip", "--catch-up", "10/6h", "--spread", "10m", "--limit", "3"];

  const id = await made("life", ...more, ...policy);
  const shown = await json("schedules", "get", id);
  const text = await tasker(["schedules", "get", id]);
  await made("life", "--catch-up", "none");
  const changed = await json("schedules", "get", id);
  const list = await json<Items>("schedules", "--job", "remind,none");

  expect(shown).toMatchObject({
    ...{ id, job: "remind", key: "life", payload: { user: 7 }, declared: false, paused: false, served: true, count: 0 },
    ...{ queue: "mail", priority: 9, tags: ["user:7"] },
    rule: {
      ...{ cron: "0 9 1 1 *", timezone: "America/New_York", overlap: "skip", spreadMs: 600_000, limit: 3 },
      catchUp: { max: 10, withinMs: 21_600_000 },
    },
  });
  expect(shown["ticks"]).toHaveLength(3);
  expect(text.out).toMatch(/^remind@life {2}0 9 1 1 \* {2}America\/New_York {2}active\n/);
  expect(text.out).toMatch(/^catch up +the last 10 missed ticks, no older than 6h$/m);
  expect(text.out).toMatch(/^runs made +0 of 3$/m);
  expect(text.out).toMatch(
    /^Coming ticks\n {2}\w+ \d{4}-01-01 09:00:00 -05:00 {2}\d{4}-01-01T14:00:00Z {2}starts .* later$/m,
  );
  expect(changed).toMatchObject({ rule: { timezone: "UTC", catchUp: { max: 0 } }, queue: null, tags: [] });
  expect(list.items.map((each) => each.id)).toContain(id);
});

test("a rule of any kind is stored, and its payload read from a file", async () => {
  const file = `${folder({ "payload.json": `{"user":8}` })}/payload.json`;
  const bounds = ["--starts", "2031-01-01T00:00:00Z", "--ends", "2032-01-01T00:00:00Z"];

  await tasker(["schedules", "upsert", "remind@every", "--every", "90s", ...bounds, "--file", file]);
  await tasker(["schedules", "upsert", "remind@once", "--at", "2031-01-01T00:00:00Z", "--payload", `{"user":9}`]);

  expect(await json("schedules", "get", "remind@every")).toMatchObject({
    payload: { user: 8 },
    rule: { everyMs: 90_000, startsMs: Date.UTC(2031, 0), endsMs: Date.UTC(2032, 0) },
    ticks: [0, 90, 180].map((s) => ({ tick: new Date(Date.UTC(2031, 0, 1, 0, 0, s)).toISOString() })),
  });
  expect(await json("schedules", "get", "remind@once")).toMatchObject({
    nextAt: "2031-01-01T00:00:00.000Z",
    ticks: [{ tick: "2031-01-01T00:00:00.000Z" }],
  });
});

test("a payload that the published job refuses, and a job that nobody has, make no schedule", async () => {
  const wrong = await tasker(["schedules", "upsert", "remind@wrong", ...yearly, "--payload", `{"user":"x"}`]);
  const unknown = await tasker(["schedules", "upsert", "remnid@x", ...yearly]);
  const nobody = await tasker(["schedules", "upsert", "nobody-at-all@x", ...yearly]);
  const { items } = await json<Items>("schedules");

  expect([wrong.code, wrong.out]).toEqual([1, expect.stringContaining("INVALID_PAYLOAD")]);
  expect([unknown.code, unknown.err]).toEqual([1, 'error: no node has published job "remnid"; did you mean "remind"?']);
  expect(nobody.err).toMatch(/^error: no node has published job "nobody-at-all"; start a process that has it, /);
  expect(items.map(({ id }) => id)).not.toContain("remind@wrong");
});

test("a one-shot whose run was made is said to be so, and one that ended without a run", async () => {
  const once = ["schedules", "upsert", "remind@now", "--at", "2020-01-01T00:00:00Z", "--payload", `{"user":7}`];
  await tasker(once);
  await until(async () => (await json("schedules", "get", "remind@now"))["count"] === 1, { what: "its run" });

  const again = await tasker(once);
  const ended = await tasker([
    ...["schedules", "upsert", "remind@ended", ...yearly, "--payload", `{"user":7}`],
    ...["--ends", "2020-06-01T00:00:00Z"],
  ]);

  expect(again.out).toMatch(/^remind@now {2}stored; its run was made; look at it with: tasker run run_\w+\n$/);
  expect(ended.out).toBe("remind@ended  stored; it is ended, so it makes no run now\n");
});

test("ticks of more than one a second are made on demand", async () => {
  const { out } = await tasker(["schedules", "preview", "--every", "500ms", "--sub-second", "--count", "1"]);

  expect(out).toMatch(/^every 500ms  UTC\n/);
});

test("a triggered run that no node can take is said to wait", async () => {
  const store = postgres({ url: database.url, schema: "alone" });
  await store.open();
  await store.schedules.put([aSchedule({ job: "gone", key: "k" })]);

  const { code, out, err } = await tasker(["schedules", "trigger", "gone@k", "--schema", "alone"]);
  await store.close();

  expect([code, out]).toEqual([0, expect.stringMatching(/^gone@k {2}triggered; /)]);
  expect(err).toMatch(/^no live node has job "gone"; run_\w+ waits for one\n$/);
});

test("several schedules are paused, resumed, triggered and removed at once", async () => {
  const ids = [await made("a"), await made("it's b")];

  const paused = await tasker(["schedules", "pause", ...ids]);
  const listed = await json<Items>("schedules", "--job", "remind", "--paused");
  const resumed = await json<Items>("schedules", "resume", ...ids);
  const triggered = await json<Items>("schedules", "trigger", ...ids, ids[0]!);
  const removed = await tasker(["schedules", "remove", ...ids]);

  expect([paused.code, paused.out]).toEqual([
    0,
    "remind@a  paused; let it go on with: tasker schedules resume remind@a\n" +
      "remind@it's b  paused; let it go on with: tasker schedules resume 'remind@it'\\''s b'\n",
  ]);
  expect(listed.items).toMatchObject(ids.map((id) => ({ id, paused: true, nextAt: null })));
  expect(resumed.items).toMatchObject(ids.map((id) => ({ id, done: "done", nextAt: expect.any(String) as string })));
  expect(triggered.items).toMatchObject(
    ids.map((id) => ({ id, done: "done", run: expect.stringMatching(/^run_/) as string })),
  );
  const run = triggered.items[0]!["run"] as string;
  expect(await json("run", run)).toMatchObject({ payload: { user: 7 }, schedule: { id: ids[0] } });
  expect([removed.code, removed.out]).toEqual([
    0,
    "remind@a  removed; its runs stay\nremind@it's b  removed; its runs stay\n",
  ]);
});

test("an act on a schedule that is not there says which look like it, and does the others", async () => {
  const id = await made("user:71");

  const acts = await json<Items>("schedules", "pause", "remind@user:7l", id);
  const { code, err } = await tasker(["schedules", "pause", "remind@user:7l"]);
  const got = await tasker(["schedules", "get", "remind@user:7l"]);
  const previewed = await tasker(["schedules", "preview", "remind@user:7l"]);

  expect(acts.items).toMatchObject([
    { id: "remind@user:7l", done: "missing", message: 'does not exist; did you mean "remind@user:71"?' },
    { id, done: "done" },
  ]);
  expect([code, err]).toEqual([1, ""]);
  for (const answer of [got, previewed]) {
    expect([answer.code, answer.out]).toEqual([1, expect.stringContaining("SCHEDULE_NOT_FOUND")]);
    expect(answer.err).toMatch(/schedule "remind@user:7l" does not exist; .* did you mean "remind@user:71"\?$/);
  }
});

test("a schedule in code is not removed while a node has its job", async () => {
  const { code, out } = await tasker(["schedules", "remove", "report"]);

  expect([code, out]).toEqual([1, expect.stringMatching(/^report {2}refused: /)]);
  expect((await json<Items>("schedules", "--declared")).items).toMatchObject([{ id: "report", declared: true }]);
});

test("a backfill adds runs once, and says so", async () => {
  const id = await made("fill");
  const range = ["--from", "2020-06-01T00:00:00Z", "--to", "2022-06-01T00:00:00Z"];

  const first = await json<{ ticks: number; runs: readonly string[] }>("schedules", "backfill", id, ...range);
  const again = await tasker(["schedules", "backfill", id, ...range]);
  const none = await tasker([
    "schedules",
    "backfill",
    id,
    "--from",
    "2020-06-01T00:00:00Z",
    "--to",
    "2020-06-02T00:00:00Z",
  ]);
  const coming = await tasker(["schedules", "backfill", id, "--from", "1h", "--to", "2099-01-01T00:00:00Z"]);
  const open = await json<{ ticks: number }>("schedules", "backfill", id, "--from", "2024-06-01T00:00:00Z");

  expect(first).toMatchObject({ id, ticks: 2, runs: [expect.any(String), expect.any(String)] });
  expect([again.code, again.out]).toEqual([0, "2 ticks, each of which had its run already; none was added\n"]);
  expect([none.code, none.out]).toEqual([1, "the range has no tick, so no run was added\n"]);
  expect([coming.code, coming.err]).toEqual([2, expect.stringMatching(/^error: --to "2099-01-01.*" is not over; /)]);
  expect(open.ticks).toBe(new Date().getUTCFullYear() - 2024);
  await until(async () => (await json<{ status: string }>("run", first.runs[0]!)).status === "completed", {
    what: "the run of the backfill to complete",
  });
});

test("a list goes on at its cursor, and an empty one says what to do", async () => {
  const store = postgres({ url: database.url, schema: "empty" });
  await store.open();
  const empty = ["--schema", "empty"];
  const none = await tasker(["schedules", ...empty]);
  await store.schedules.put(["x", "it's"].map((key) => aSchedule({ job: "gone", key })));

  const first = await tasker(["schedules", "--limit", "1", ...empty]);
  const cursor = (await json<Items>("schedules", "--limit", "1", ...empty)).next!;
  const second = await json<Items>("schedules", "--cursor", cursor, ...empty);
  const filtered = await tasker(["schedules", "--job", "other", ...empty]);
  await store.close();

  expect([none.code, none.out]).toEqual([0, expect.stringMatching(/^no schedules yet; .* tasker schedules upsert /)]);
  expect([first.code, first.err]).toEqual([0, `more: add --cursor '["gone","it'\\''s"]'\n`]);
  expect(first.out).toMatch(/^SCHEDULE .*\ngone@it's +every 1m .* no node has the job\n$/);
  expect(only(second.items)).toMatchObject({ id: "gone@x", served: false });
  expect([filtered.code, filtered.out]).toEqual([1, expect.stringMatching(/^no schedules match/)]);
});

const now = new Date("2026-10-24T23:10:00Z");

function aShown(parts: Partial<Schedule> = {}): Schedule {
  return {
    ...{ id: "remind@a", job: "remind", key: "a", payload: null, queue: null, priority: null, tags: [], count: 0 },
    ...{ declared: false, paused: false, served: true, lastTick: null, last: null, createdAt: now, updatedAt: now },
    rule: aRule({ cron: "0 30 2 * * *", timezone: "Europe/Paris" }),
    nextAt: new Date("2026-10-25T00:30:00Z"),
    ...parts,
  };
}

test("the table shows the next run by the schedule's clock, and by one's own where that differs", () => {
  const paint = colors({}, {});
  const list = [aShown(), aShown({ id: "remind@b", rule: aRule() })];

  const away = scheduleTable(list, paint, { zone: "America/New_York", now }).split("\n");
  const home = scheduleTable(list, paint, { zone: "Europe/Paris", now });

  expect(away[0]).toContain("  IN America/New_York");
  expect(away[1]).toMatch(/in 1h 20m {2}Sun 2026-10-25 02:30:00 \+02:00 {2}Sat 2026-10-24 20:30:00 -04:00 {2}/);
  expect(away[2]).toMatch(/every 1m .* in 1h 20m {2}Sat 2026-10-24 20:30:00 -04:00 {3}/);
  expect(home).not.toContain("IN Europe/Paris");
  expect(home).toContain("0 30 2 * * *  Europe/Paris");
});

test("the table shows what became of the last run, and the state", () => {
  const last = { run: "run_1", status: "failed", reason: "timeout" } as const;
  const list = [
    aShown({ last, lastTick: new Date("2026-10-24T23:05:00Z") }),
    aShown({ paused: true, nextAt: null }),
    aShown({ nextAt: null }),
    aShown({ served: false }),
  ];

  const lines = scheduleTable(list, colors({}, {}), { zone: "UTC", now }).split("\n");

  expect(lines[1]).toMatch(/ {2}failed \(timeout\) {2}5m ago +active$/);
  expect(lines.slice(2).map((line) => /(paused|ended|no node has the job)$/.exec(line)?.[0])).toEqual([
    "paused",
    "ended",
    "no node has the job",
  ]);
});
