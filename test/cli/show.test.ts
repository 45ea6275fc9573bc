import { expect, test } from "vitest";
import { formatId } from "../../sdk/port/id.ts";
import { runDocument } from "../../sdk/client/document.ts";
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
