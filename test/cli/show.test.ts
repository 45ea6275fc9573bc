import { describe, expect, test } from "vitest";
import { formatId } from "../../sdk/port/id.ts";
import { runDocument } from "../../sdk/client/document.ts";
import { timelineOf } from "../../sdk/client/timeline.ts";
import type { Attempt, LogLine } from "../../sdk/client/runs.ts";
import type { RunRecord } from "../../sdk/port/target.ts";
import { colors } from "../../cli/view/color.ts";
import { runTable, runText } from "../../cli/view/show.ts";

const paint = colors({}, {});
const at = new Date("2030-01-01T00:00:00Z");

function aRecord(parts: Partial<RunRecord> = {}): RunRecord {
  return {
    ...{ id: 7, job: "remind", queue: "mail", priority: 0, status: "completed", reason: null, canceling: false },
    ...{ dueAt: at, createdAt: at, expiresAt: null, startedAt: at, finishedAt: at, node: "h:1", attempt: 1 },
    ...{ crashes: 0, token: 1, tags: [], key: null, input: { json: "{}", meta: null }, result: null, error: null },
    ...{ progress: null, options: null, replayOf: null, note: null, version: null },
    ...parts,
  };
}

const anAttempt: Attempt = {
  ...{ run: "run_7", token: 1, n: 1, job: "remind", node: null, startedAt: at, endedAt: at, retryAt: null },
  ...{ outcome: "error", error: null },
};

test("a skipped run shows the reason that its handler gave", () => {
  const run = aRecord({ reason: "skipped", note: "the order was paid" });

  expect(runText(run, { timeline: [], attempts: [], logs: [], colors: paint, now: at })).toMatch(
    /^note +the order was paid$/m,
  );
  expect(runTable([run], paint, at)).toMatch(/completed \(skipped\) .* the order was paid$/);
});

test("a run that executes a hook says of which run it is", () => {
  const run = aRecord({ queue: "$hooks", options: { hook: { kind: "success", of: 6 } } });
  const said = `remind (hook success of ${formatId(6)})`;

  expect(runTable([run], paint, at)).toContain(`  ${said}  `);
  expect(runText(run, { timeline: [], attempts: [], logs: [], colors: paint, now: at }).split("\n")[0]).toContain(
    `  ${said}  `,
  );
  expect(runDocument(run)).toMatchObject({ hook: { kind: "success", of: formatId(6) } });
  expect(runDocument(aRecord())).toMatchObject({ hook: null });
});

test("a run that a schedule made says which, and for which tick", () => {
  const tick = new Date("2029-12-31T23:00:00Z");
  const schedule = { key: "user:7", tick: tick.getTime(), previous: null, next: null };
  const run = aRecord({ options: { schedule, timeoutMs: 5 } });

  const text = runText(run, { timeline: [], attempts: [], logs: [], colors: paint, now: at });

  expect(text).toMatch(/^schedule +remind@user:7, tick 2029-12-31T23:00:00.000Z$/m);
  expect(text).toMatch(/^options +\{"timeoutMs":5\}$/m);
  expect(runDocument(run)).toMatchObject({ schedule: { id: "remind@user:7", tick } });
  expect(runDocument(aRecord())).toMatchObject({ schedule: null });
});

describe("a workflow", () => {
  const minutes = (count: number): Date => new Date(at.getTime() + 60_000 * count);
  const steps = (...starts: readonly Date[]) =>
    timelineOf(
      aRecord(),
      starts.map((start, i) => ({
        ...{ n: i + 1, kind: "step" as const, key: `s${i}`, atMs: start.getTime(), value: null, runs: null },
        data: JSON.stringify({ began: start.getTime() }),
      })),
    );
  const textOf = (run: RunRecord, timeline = steps(at, minutes(5)), attempts: readonly Attempt[] = []): string =>
    runText(run, { timeline, attempts, logs: [], colors: paint, now: minutes(10) });

  test("shows its first start and how long it took in all, then its latest attempt", () => {
    const run = aRecord({ startedAt: minutes(5), finishedAt: minutes(6) });

    const text = textOf(run);

    expect(text).toMatch(/^started +2030-01-01T00:00:00\.000Z {2}10m ago$/m);
    expect(text).toMatch(/^took +6m$/m);
    expect(text).toMatch(/^last attempt +2030-01-01T00:05:00\.000Z {2}5m ago, took 1m$/m);
  });

  test("that lives shows since when, also while it waits", () => {
    const live = { status: "waiting", reason: "sleep", startedAt: null, finishedAt: null } as const;

    expect(textOf(aRecord(live))).toMatch(/^took +10m so far$/m);
    expect(textOf(aRecord(live))).not.toContain("last attempt");
  });

  test("that was run again from a step began with itself; one whose attempt failed, with that", () => {
    const run = aRecord({ createdAt: minutes(4), startedAt: minutes(4), finishedAt: minutes(6) });
    const failed = { ...anAttempt, startedAt: minutes(1), endedAt: minutes(2) };

    expect(textOf(run)).toMatch(/^took +2m$/m);
    expect(textOf(run, steps(at))).toMatch(/^took +2m$/m);
    expect(textOf(aRecord({ startedAt: minutes(3), finishedAt: minutes(6) }), steps(minutes(3)), [failed])).toMatch(
      /^took +5m$/m,
    );
  });
});

test("no text of a run steers the terminal", () => {
  const bad = "\u001b[2J\u009b1A";
  const error = { name: bad, message: bad, stack: null };
  const run = aRecord({
    ...{ job: bad, queue: bad, node: bad, key: bad, tags: [bad], note: bad, error },
    ...{ input: { json: JSON.stringify(bad), meta: null }, progress: { value: 1, detail: bad } },
  });
  const log: LogLine = { run: "run_7", attempt: 1, at, level: "info", message: bad, data: { x: bad } };
  const attempt = {
    ...{
      run: "run_7",
      token: 1,
      n: 1,
      job: bad,
      node: bad,
      startedAt: at,
      endedAt: at,
      outcome: "error" as const,
      error,
    },
    retryAt: null,
  } satisfies Attempt;

  const text = runText(run, { timeline: [], attempts: [attempt], logs: [log], colors: paint, now: at });

  expect(text + runTable([run], paint, at)).not.toMatch(/[\u001b\u009b]/);
});

test("what a handler logged is shown with its data", () => {
  const log: LogLine = { run: "run_7", attempt: 1, at, level: "info", message: "sent", data: { to: "Ada" } };

  const text = runText(aRecord(), { timeline: [], attempts: [], logs: [log], colors: paint, now: at });

  expect(text).toMatch(/info +sent {2}to=Ada$/m);
});

test("progress is shown to two places, and the list says when a run ended", () => {
  const run = aRecord({ progress: { value: 0.19166666666666668, detail: "of all" } });
  const later = new Date(at.getTime() + 90_000);

  expect(runText(run, { timeline: [], attempts: [], logs: [], colors: paint, now: at })).toMatch(
    /^progress +0\.19 of all$/m,
  );
  expect(runTable([run], paint, later)).toMatch(/ FINISHED .*\n.* 1m 30s ago +0ms/);
});
