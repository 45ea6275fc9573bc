import { expect, test } from "vitest";
import type { Entry, EntryKind } from "../../sdk/port/flow.ts";
import { colors } from "../../cli/view/color.ts";
import { timelineText } from "../../cli/view/timeline.ts";
import { timelineOf, type Children } from "../../sdk/client/timeline.ts";

const paint = colors({}, {});
const at = (seconds: number): Date => new Date(1_893_456_000_000 + seconds * 1000);

/** An entry that was written this many seconds after the run began. */
function anEntry(
  kind: EntryKind,
  key: string,
  seconds: number,
  parts: Partial<Omit<Entry, "data">> & { data?: object } = {},
): Entry {
  const { data, ...rest } = parts;
  return {
    ...{ n: seconds, kind, key, atMs: at(seconds).getTime(), value: null, runs: null },
    ...rest,
    data: data ? JSON.stringify(data) : null,
  };
}
const wire = (value: unknown): Entry["value"] => ({ json: JSON.stringify(value), meta: null });
const ms = (seconds: number): number => at(seconds).getTime();

function linesOf(
  entries: readonly Entry[],
  parts: { over?: number; now?: number; live?: Children } = {},
): readonly string[] {
  const { over, now = 1000, live } = parts;
  const run = {
    status: over === undefined ? ("waiting" as const) : ("canceled" as const),
    finishedAt: over === undefined ? null : at(over),
  };
  const text = timelineText(timelineOf(run, entries, live, at(now)), paint);
  return text
    .split("\n")
    .slice(1)
    .map((line) => line.replace(/ {2,}/g, " | "));
}

test("a step shows its tries, when it began, how long its last try took, and what it came to", () => {
  const lines = linesOf([
    anEntry("retry", "charge", 2, {
      data: { began: ms(1), tries: 1, took: 900, until: ms(5), error: { name: "Error", message: "no", stack: null } },
    }),
    anEntry("step", "charge", 6, { value: wire({ id: 7 }), data: { began: ms(5), tries: 1, took: 1000 } }),
    anEntry("failed", "mail", 9, {
      value: wire({}),
      data: { tries: 3, took: 5, error: { name: "RangeError", message: "full", stack: null } },
    }),
  ]);

  expect(lines).toEqual([
    'charge | completed | 2 | 2030-01-01T00:00:01.000Z | 1s | {"id":7}',
    "mail | failed | 3 | 2030-01-01T00:00:09.000Z | 5ms | RangeError: full",
  ]);
});

test("what waits shows until when; of a run that is over, that it came to nothing", () => {
  const entries = [
    anEntry("retry", "charge", 1, {
      data: { tries: 1, until: ms(60), error: { name: "Error", message: "no", stack: null } },
    }),
    anEntry("sleep", "sleep", 2, { data: { until: ms(3600) } }),
    anEntry("sleep", "nap", 3, { data: { until: ms(10) } }),
    anEntry("wait", "paid", 4, { data: { until: null, for: "paid" } }),
  ];

  expect(linesOf(entries, { now: 20 })).toEqual([
    "charge | retrying | 1 | 2030-01-01T00:00:01.000Z | until 2030-01-01T00:01:00.000Z | Error: no",
    "sleep | waiting | 2030-01-01T00:00:02.000Z | until 2030-01-01T01:00:00.000Z",
    "sleep nap | completed | 2030-01-01T00:00:03.000Z | 7s",
    "wait paid | waiting | 2030-01-01T00:00:04.000Z",
  ]);
  expect(linesOf(entries, { over: 20 }).map((line) => line.split(" | ").slice(0, 2))).toEqual([
    ["charge", "abandoned"],
    ["sleep", "abandoned"],
    ["sleep nap", "completed"],
    ["wait paid", "abandoned"],
  ]);
});

test("signals show who sent them, and go to the waits in order; one that came too late is not taken", () => {
  const lines = linesOf([
    anEntry("mail", "paid", 1, { value: wire(1), data: { by: "ada@shop" } }),
    anEntry("wait", "paid", 3, { data: { for: "paid", until: null } }),
    anEntry("wait", "paid#2", 4, { data: { for: "paid", until: ms(10) } }),
    anEntry("mail", "paid", 12, { value: wire(2) }),
    anEntry("wait", "paid#3", 14, { data: { for: "paid", until: null } }),
  ]);

  expect(lines).toEqual([
    "signal paid | received | 2030-01-01T00:00:01.000Z | from ada@shop | 1",
    "wait paid | completed | 2030-01-01T00:00:03.000Z | 0ms",
    "wait paid#2 | timed out | 2030-01-01T00:00:04.000Z | 6s",
    "signal paid | received | 2030-01-01T00:00:12.000Z | 2",
    "wait paid#3 | completed | 2030-01-01T00:00:14.000Z | 0ms",
  ]);
});

test("a call of other jobs shows its runs: those that ended, those that live, and those that were not looked at", () => {
  const lines = linesOf(
    [
      anEntry("child", "resize", 1, { runs: [5, 6, 7] }),
      anEntry("mail", "resize", 4, { data: { run: 5, status: "failed", reason: "timeout" } }),
      anEntry("child", "mail", 5, { runs: [8] }),
      anEntry("mail", "mail", 7, { data: { run: 8, status: "completed", reason: null } }),
      anEntry("child", "many", 8, { runs: Array.from({ length: 25 }, (_, i) => 100 + i) }),
    ],
    { live: new Map([[6, { status: "running", reason: null }]]) },
  );

  expect(lines.slice(0, 7)).toEqual([
    "child resize | waiting | 2030-01-01T00:00:01.000Z | 1 of 3 ended",
    " | run_5 | failed (timeout)",
    " | run_6 | running",
    " | run_7 | not looked at",
    "child mail | completed | 2030-01-01T00:00:05.000Z | 2s | 1 of 1 ended",
    " | run_8 | completed",
    "child many | waiting | 2030-01-01T00:00:08.000Z | 0 of 25 ended",
  ]);
  expect(lines).toHaveLength(6 + 1 + 20 + 1);
  expect(lines.at(-1)).toBe(" | 5 more");
});

test("stages stand in the order in which they began, not in which they ended", () => {
  const stages = timelineOf({ status: "running", finishedAt: null }, [
    anEntry("step", "short", 3, { data: { began: ms(2) } }),
    anEntry("step", "long", 9, { data: { began: ms(1) } }),
  ]);

  expect(stages.map(({ name }) => name)).toEqual(["long", "short"]);
});
