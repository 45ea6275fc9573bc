import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { plan, type Look } from "../../../runtime/schedule/plan.ts";
import type { Due } from "../../../runtime/store/port.ts";
import { spreadOf, ticking } from "../../../sdk/define/rule.ts";
import type { Rule } from "../../../sdk/port/target.ts";
import { aSchedule } from "../../kit/build.ts";

const [minute, hour, day] = [60_000, 3_600_000, 86_400_000];
const aheadMs = 100;
const noon = Date.UTC(2030, 0, 1, 12);

/** A stored schedule, and what a node made of it. */
interface Course {
  due: Due | null;
  /** `lateMs`: by how much it was due before the node came up. */
  readonly made: { readonly tickMs: number; readonly lateMs: number }[];
}

/** Looks at a schedule until nothing of it is due any more, as a node does. */
function look(course: Course, at: Look): void {
  for (let steps = 0; course.due && isDue(course.due, at); steps++) {
    const { due } = course;
    const { tick, skipped } = plan(due, at);
    const { runs, nextMs } = tick;
    const lastMs = tick.lastMs ?? due.lastMs;

    expect(steps).toBeLessThan(50);
    for (const { tickMs, dueMs } of runs) {
      expect(dueMs - at.nowMs).toBeLessThanOrEqual(due.rule.overlap === "allow" ? aheadMs : 0);
      course.made.push({ tickMs, lateMs: at.sinceMs - dueMs });
    }
    for (const done of [...runs.map(({ tickMs }) => tickMs), lastMs, skipped?.tick])
      expect(nextMs ?? Infinity).toBeGreaterThan(done ?? -Infinity);
    course.due =
      nextMs === null
        ? null
        : { ...due, nextMs, lastMs, count: due.count + runs.length, fresh: false, rev: due.rev + 1 };
  }
}

function isDue({ fresh, nextMs, rule }: Due, { nowMs }: Look): boolean {
  return fresh || nextMs <= nowMs + (rule.overlap === "allow" ? aheadMs : 0);
}

const rules: fc.Arbitrary<Rule> = fc
  .record({
    kind: fc.oneof(
      fc.record({ everyMs: fc.integer({ min: 2000, max: 3 * hour }), anchorMs: fc.integer({ min: 0, max: day }) }),
      fc.record({
        cron: fc.constantFrom("*/7 * * * * *", "*/5 * * * *", "30 * * * *", "15 1,2,3 * * *", "0 0 12 * * *"),
        timezone: fc.constantFrom("UTC", "Europe/Paris", "Australia/Lord_Howe"),
      }),
      fc.record({ atMs: fc.integer({ min: noon - hour, max: noon + hour }) }),
    ),
    spread: fc.option(fc.record({ spreadMs: fc.integer({ min: 1, max: hour }) })),
    ends: fc.option(fc.record({ endsMs: fc.integer({ min: noon - hour, max: noon + day }) })),
    overlap: fc.constantFrom("allow" as const, "skip" as const, "cancel" as const),
    catchUp: fc.record({
      max: fc.constantFrom(0, 1, 3),
      withinMs: fc.constantFrom(0, minute, day),
    }),
  })
  .map(({ kind, spread, ends, ...rest }) => ({ ...kind, ...spread, ...ends, ...rest }));

/** Steps of time: mostly short, so that most looks come between two ticks. */
const steps = fc.array(fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 30 * minute })), {
  minLength: 1,
  maxLength: 30,
});

/** A schedule that was stored at noon. */
function aCourse(rule: Rule): Course {
  const given = { ...aSchedule({ rule }), queue: "default", priority: 0 };
  const due = {
    ...given,
    rev: 0,
    nextMs: noon,
    fresh: true,
    lastMs: null,
    count: 0,
    live: [],
    ttlMs: null,
    servedMs: null,
  };
  return { due, made: [] };
}

/** The first tick that a schedule that was stored at noon has to make. */
function firstOf(rule: Rule): number | null {
  return ticking(rule).next(rule.atMs === undefined ? noon - spreadOf(aSchedule(), rule) : -Infinity);
}

/** All ticks whose runs are due up to an instant. */
function allUntil(rule: Rule, untilMs: number): readonly number[] {
  const ticks: number[] = [];
  const { next } = ticking(rule);
  const last = untilMs - spreadOf(aSchedule(), rule);
  for (let tick = firstOf(rule); tick !== null && tick <= last; tick = next(tick)) ticks.push(tick);
  return ticks;
}

describe("any rule, looked at whenever", () => {
  test("by a node without a break makes each tick once, in order, none early", () => {
    fc.assert(
      fc.property(rules, steps, (given, looks) => {
        const rule: Rule = { ...given, overlap: "allow" };
        const course = aCourse(rule);
        let nowMs = noon;

        for (const step of [0, ...looks]) look(course, { nowMs: (nowMs += step), aheadMs, sinceMs: noon - 2 * hour });

        expect(course.made.map(({ tickMs }) => tickMs)).toEqual(allUntil(rule, nowMs + aheadMs));
      }),
      { numRuns: 300 },
    );
  });

  test("where overlap is not allowed, makes one of those that are due at once: the last", () => {
    fc.assert(
      fc.property(
        rules.filter(({ overlap }) => overlap !== "allow"),
        steps,
        (rule, looks) => {
          const course = aCourse(rule);
          const expected: number[] = [];
          let nowMs = noon;
          let seen = -1;

          for (const step of [0, ...looks]) {
            look(course, { nowMs: (nowMs += step), aheadMs, sinceMs: noon - 2 * hour });
            const all = allUntil(rule, nowMs);
            if (all.length - 1 > seen) expected.push(all.at(-1)!);
            seen = all.length - 1;
          }

          expect(course.made.map(({ tickMs }) => tickMs)).toEqual(expected);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("by a node with breaks makes none twice, in order, and catches up on what is wanted alone", () => {
    const up = fc.tuple(fc.integer({ min: 1, max: 5 * minute }), fc.constant(false));
    const down = fc.tuple(fc.integer({ min: 1, max: 3 * hour }), fc.constant(true));
    const breaks = fc.array(fc.oneof(up, down), { minLength: 1, maxLength: 30 });

    fc.assert(
      fc.property(rules, breaks, (rule, looks) => {
        const course = aCourse(rule);
        const { max, withinMs } = rule.catchUp;
        let [nowMs, sinceMs] = [noon, noon];

        for (const [step, wasDown] of looks) {
          nowMs += step;
          if (wasDown) sinceMs = nowMs;
          const before = course.made.length;
          look(course, { nowMs, aheadMs, sinceMs });
          const late = course.made.slice(before).filter(({ lateMs }) => lateMs > 0);
          expect(late.length).toBeLessThanOrEqual(max);
          if (wasDown) for (const { lateMs } of late) expect(lateMs).toBeLessThanOrEqual(withinMs ?? Infinity);
        }

        const ticks = course.made.map(({ tickMs }) => tickMs);
        expect(ticks).toEqual([...new Set(ticks)].sort((a, b) => a - b));
        const known = new Set(allUntil(rule, nowMs + aheadMs));
        expect(ticks.every((tick) => known.has(tick))).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
