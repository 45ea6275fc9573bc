import { describe, expect, test, vi } from "vitest";
import { plan, type Look, type Plan } from "../../../runtime/schedule/plan.ts";
import type { Due } from "../../../runtime/store/port.ts";
import { spreadOf, ticking } from "../../../sdk/define/rule.ts";
import type { Rule } from "../../../sdk/port/target.ts";
import { aRule } from "../../kit/build.ts";

const [second, minute, hour, day] = [1000, 60_000, 3_600_000, 86_400_000];
const aheadMs = 100;
const noon = Date.UTC(2030, 0, 1, 12);

/** Schedule `job`, every minute, whose tick at noon is next. */
function aDue(overrides: Partial<Due> = {}): Due {
  return {
    ...{
      job: "job",
      key: "",
      rule: aRule(),
      rev: 7,
      nextMs: noon,
      fresh: false,
      lastMs: null,
      count: 0,
      live: [],
      servedMs: null,
    },
    ...{ input: { json: "{}", meta: null }, queue: "q", priority: 3, tags: ["a"], ttlMs: 5000 },
    ...overrides,
  };
}

/** A node that has been up for a day. */
function aLook(nowMs: number, sinceMs = nowMs - day): Look {
  return { nowMs, aheadMs, sinceMs };
}

function ticksOf({ tick }: Plan): readonly number[] {
  return tick.runs.map(({ tickMs }) => tickMs);
}

/** The ticks of every minute between two of them, both included. */
function minutes(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.floor((to - from) / minute) + 1 }, (_, i) => from + i * minute);
}

describe("a tick on time", () => {
  test("makes its run, with what the schedule says, and the next tick is due after it", () => {
    const planned = plan(aDue({ key: "k" }), aLook(noon));

    expect(planned).toEqual({
      tick: {
        ...{ job: "job", key: "k", rev: 7, nextMs: noon + minute, lastMs: noon },
        runs: [
          {
            ...{ tickMs: noon, dueMs: noon, queue: "q", priority: 3, tags: ["a"], ttlMs: 5000 },
            options: { schedule: { key: "k", tick: noon, previous: noon - minute, next: noon + minute } },
          },
        ],
      },
      cancel: [],
      skipped: null,
    });
  });

  test.each([
    ["allow", [noon]],
    ["skip", []],
    ["cancel", []],
  ] as const)("is made ahead of its instant only where overlap is allowed: %s", (overlap, made) => {
    const due = aDue({ rule: aRule({ overlap }) });

    const [ahead, early] = [plan(due, aLook(noon - aheadMs)), plan(due, aLook(noon - aheadMs - 1))];

    expect(ticksOf(ahead)).toEqual(made);
    expect(ahead.tick.nextMs).toBe(made.length > 0 ? noon + minute : noon);
    expect([early.tick.runs, early.tick.nextMs, early.tick.lastMs]).toEqual([[], noon, null]);
  });

  test("comes with those that fall due within the time ahead", () => {
    const { tick } = plan(aDue({ rule: aRule({ everyMs: 50 }) }), aLook(noon - 49));

    expect(tick.runs.map(({ tickMs }) => tickMs)).toEqual([noon, noon + 50]);
    expect(tick.nextMs).toBe(noon + 100);
  });

  test("starts its run by the schedule's spread later, and is ahead of that", () => {
    const rule = aRule({ spreadMs: 50 * second });
    const spread = spreadOf({ job: "job", key: "" }, rule);
    const due = aDue({ rule, nextMs: noon + spread });

    const early = plan(due, aLook(noon + spread - aheadMs - 1));
    const { tick } = plan(due, aLook(noon + spread - aheadMs));

    expect(spread).toBeGreaterThan(aheadMs);
    expect(early.tick.runs).toEqual([]);
    expect(tick.runs).toMatchObject([{ tickMs: noon, dueMs: noon + spread }]);
    expect([tick.lastMs, tick.nextMs]).toEqual([noon, noon + minute + spread]);
  });
});

describe("a fresh schedule", () => {
  test.each<[string, Rule, number]>([
    ["every", aRule(), noon + minute],
    ["cron", { ...aRule(), everyMs: undefined, cron: "0 9 * * *", timezone: "UTC" }, noon + 21 * hour],
  ])("of %s takes its first tick after the instant that it counts from", (_, rule, first) => {
    const { tick, skipped } = plan(aDue({ rule, fresh: true }), aLook(noon));

    expect([tick.runs, tick.nextMs, tick.lastMs, skipped]).toEqual([[], first, null, null]);
  });

  test("never repeats the tick that was last before a change", () => {
    const due = aDue({ fresh: true, nextMs: noon - 5, lastMs: noon });

    const { tick } = plan(due, aLook(noon));

    expect([tick.runs, tick.nextMs]).toEqual([[], noon + minute]);
  });

  test("makes what fell due since it was stored", () => {
    const planned = plan(aDue({ fresh: true, nextMs: noon - 2 * minute - 1 }), aLook(noon + 1));

    expect(ticksOf(planned)).toEqual([noon - 2 * minute, noon - minute, noon]);
  });

  test("that has no tick has ended", () => {
    const { tick } = plan(aDue({ fresh: true, rule: aRule({ endsMs: noon }) }), aLook(noon));

    expect([tick.runs, tick.nextMs]).toEqual([[], null]);
  });
});

describe("a one-shot", () => {
  const once = (atMs: number, overrides: Partial<Rule> = {}): Rule => {
    const { everyMs: _everyMs, ...rule } = aRule({ atMs, catchUp: { max: 1, withinMs: null }, ...overrides });
    return rule;
  };

  test("to come waits for its instant", () => {
    const { tick } = plan(aDue({ rule: once(noon + hour), fresh: true }), aLook(noon));

    expect([tick.runs, tick.nextMs, tick.lastMs]).toEqual([[], noon + hour, null]);
  });

  test.each([
    ["a second", second],
    ["400 days", 400 * day],
  ])("of the past runs now, %s after its instant, whoever was up then", (_, agoMs) => {
    const due = aDue({ rule: once(noon - agoMs), fresh: true });

    const plans = [plan(due, aLook(noon, noon)), plan(due, aLook(noon, 0))];

    for (const planned of plans) {
      expect(ticksOf(planned)).toEqual([noon - agoMs]);
      expect([planned.tick.nextMs, planned.tick.lastMs]).toEqual([null, noon - agoMs]);
    }
  });

  test("never ticks twice, also if it counts anew", () => {
    const { tick, skipped } = plan(aDue({ rule: once(noon), fresh: true, lastMs: noon }), aLook(noon + 1));

    expect([tick.runs, tick.nextMs, skipped]).toEqual([[], null, null]);
  });

  test("missed under catchUp none is over, and said to be missed", () => {
    const rule = once(noon - hour, { catchUp: { max: 0, withinMs: 0 } });

    const { tick, skipped } = plan(aDue({ rule, nextMs: noon - hour }), aLook(noon, noon - 1));

    expect([tick.runs, tick.nextMs]).toEqual([[], null]);
    expect(skipped).toMatchObject({ tick: noon - hour, reason: "missed" });
  });
});

describe("after a stop", () => {
  const stopped = (agoMs: number, catchUp: Rule["catchUp"], everyMs = second): Plan =>
    plan(aDue({ rule: aRule({ everyMs, catchUp }), nextMs: noon - agoMs }), aLook(noon, noon));
  const spans = [
    ["1 s", second],
    ["1 h", hour],
    ["400 d", 400 * day],
  ] as const;

  test.each(spans)("of %s, none makes only what is due from then on", (_, agoMs) => {
    const planned = stopped(agoMs, { max: 0, withinMs: 0 });

    expect(ticksOf(planned)).toEqual([noon]);
    expect(planned.skipped).toMatchObject({ tick: noon - second, reason: "missed" });
    expect(planned.tick.nextMs).toBe(noon + second);
  });

  test.each(spans)("of %s, last makes the last missed one too", (_, agoMs) => {
    const planned = stopped(agoMs, { max: 1, withinMs: day });

    expect(ticksOf(planned)).toEqual([noon - second, noon]);
    expect(planned.skipped).toEqual(
      agoMs === second ? null : { from: noon - agoMs, tick: noon - 2 * second, reason: "missed" },
    );
  });

  test("last leaves one that is older than a day", () => {
    const late = stopped(400 * day, { max: 1, withinMs: day }, 7 * day);

    expect(noon % (7 * day)).toBeGreaterThan(day);
    expect(late.tick.runs).toEqual([]);
    expect(late.skipped).toMatchObject({ tick: noon - (noon % (7 * day)), reason: "missed" });
    expect(late.tick.nextMs).toBe(noon - (noon % (7 * day)) + 7 * day);
  });

  test.each([
    ["1 s", second, 1],
    ["1 h", hour, 3],
    ["400 d", 400 * day, 3],
  ] as const)("of %s, { max, within } makes the latest, oldest first", (_, agoMs, count) => {
    const planned = stopped(agoMs, { max: 3, withinMs: hour });

    expect(ticksOf(planned)).toEqual([3, 2, 1, 0].slice(3 - count).map((n) => noon - n * second));
  });

  test("within counts from now to the run's instant, its end included", () => {
    const planned = stopped(hour, { max: 1000, withinMs: 2 * minute }, minute);

    expect(ticksOf(planned)).toEqual(minutes(noon - 2 * minute, noon));
    expect(planned.skipped).toMatchObject({ tick: noon - 3 * minute, reason: "missed" });
  });

  test("within leaves out the spread", () => {
    const rule = aRule({ spreadMs: hour, catchUp: { max: 1000, withinMs: 2 * minute } });
    const spread = spreadOf({ job: "job", key: "" }, rule);
    const nowMs = noon + spread;

    const planned = plan(aDue({ rule, nextMs: nowMs - hour }), aLook(nowMs, nowMs));

    expect(spread).toBeGreaterThan(3 * minute);
    expect(ticksOf(planned)).toEqual(minutes(noon - 2 * minute, noon));
  });

  test.each<[string, Rule["catchUp"], number]>([
    ["none", { max: 0, withinMs: 0 }, 10],
    ["last", { max: 1, withinMs: day }, 15],
    ["{ max: 1000 }", { max: 1000, withinMs: 1000 * day }, 4010],
  ])("of 400 days, %s asks for few of a second's ticks", (_, catchUp, most) => {
    const rhythm = ticking(aRule({ everyMs: second }));
    const asked = [vi.spyOn(rhythm, "next"), vi.spyOn(rhythm, "prev")];

    const planned = stopped(400 * day, catchUp);
    const calls = asked.reduce((sum, { mock }) => sum + mock.calls.length, 0);
    vi.restoreAllMocks();

    expect(planned.tick.runs.length).toBeGreaterThanOrEqual(catchUp.max);
    expect(calls).toBeGreaterThan(0);
    expect(calls).toBeLessThanOrEqual(most);
  });

  test("1000 caught up leave what is due now to the next step, and lose nothing", () => {
    const first = stopped(hour, { max: 1000, withinMs: day });
    const { nextMs, lastMs } = first.tick;
    const rest = plan(aDue({ rule: aRule({ everyMs: second }), nextMs: nextMs!, lastMs }), aLook(noon, noon));

    expect([first.tick.runs.length, lastMs, nextMs]).toEqual([1000, noon - second, noon]);
    expect(ticksOf(rest)).toEqual([noon]);
  });
});

describe("without a stop", () => {
  test.each<[string, Rule["catchUp"]]>([
    ["none", { max: 0, withinMs: 0 }],
    ["last", { max: 1, withinMs: day }],
  ])("all ticks are made, however late they are: catchUp %s", (_, catchUp) => {
    const due = aDue({ rule: aRule({ catchUp }), nextMs: noon - 30 * minute });

    const planned = plan(due, aLook(noon, noon - hour));

    expect(ticksOf(planned)).toEqual(minutes(noon - 30 * minute, noon));
    expect(planned.skipped).toBeNull();
  });

  test("a tick at the very instant that the node came up is not missed", () => {
    const rule = aRule({ catchUp: { max: 0, withinMs: 0 } });

    const [at, after] = [noon, noon + 1].map((since) => plan(aDue({ rule }), aLook(noon + 5, since)));

    expect(ticksOf(at!)).toEqual([noon]);
    expect(after).toMatchObject({ tick: { runs: [] }, skipped: { tick: noon, reason: "missed" } });
  });

  test("a thousand are made in a step, and the rest is due at once", () => {
    const due = aDue({ rule: aRule({ everyMs: second }), nextMs: noon - hour });

    const { tick } = plan(due, aLook(noon));

    expect([tick.runs.length, tick.lastMs, tick.nextMs]).toEqual([
      1000,
      noon - hour + 999 * second,
      noon - hour + 1000 * second,
    ]);
  });
});

describe("the end", () => {
  test.each([
    ["reached", 9, 1, noon + 3 * minute], // the store ends it, once the runs were made
    ["reached by several", 8, 2, noon + 3 * minute],
    ["not reached", 6, 3, noon + 3 * minute],
    ["lowered below what was made", 12, 0, null],
  ])("by limit: %s", (_, count, made, nextMs) => {
    const { tick, skipped } = plan(aDue({ rule: aRule({ limit: 10 }), count }), aLook(noon + 2 * minute));

    expect(tick.runs.map(({ tickMs }) => tickMs)).toEqual(minutes(noon, noon + 2 * minute).slice(0, made));
    expect([tick.nextMs, tick.lastMs]).toEqual([nextMs, made ? noon + (made - 1) * minute : null]);
    expect(skipped).toBeNull();
  });

  test("by limit counts runs, not ticks that were skipped", () => {
    const due = aDue({ rule: aRule({ limit: 10, overlap: "skip" }), count: 9, live: [5] });

    expect(plan(due, aLook(noon)).tick.nextMs).toBe(noon + minute);
  });

  test.each(["skip", "cancel"] as const)("by limit: nothing is made beyond it where overlap is %s", (overlap) => {
    const { tick, skipped } = plan(aDue({ rule: aRule({ limit: 10, overlap }), count: 10 }), aLook(noon));

    expect([tick.runs, tick.nextMs, tick.lastMs, skipped]).toEqual([[], null, null, null]);
  });

  test("by endsAt comes with the last tick before it, or at it", () => {
    const rule = aRule({ endsMs: noon + minute });

    const [before, at] = [noon, noon + minute].map((nextMs) => plan(aDue({ rule, nextMs }), aLook(nextMs)));

    expect([before!.tick.nextMs, at!.tick.nextMs]).toEqual([noon + minute, null]);
    expect(at!.tick.runs[0]!.options.schedule).toMatchObject({ previous: noon, next: null });
  });

  test("by endsAt during a stop leaves what catchUp wants", () => {
    const rule = aRule({ endsMs: noon - 30 * minute });

    const planned = plan(aDue({ rule, nextMs: noon - hour }), aLook(noon, noon));

    expect(ticksOf(planned)).toEqual([noon - 30 * minute]);
    expect(planned.tick.nextMs).toBeNull();
  });
});

describe("overlap", () => {
  const three = noon + 2 * minute;

  test.each([
    ["skip, none live", "skip", [], [three], [], three - minute],
    ["skip, one live", "skip", [5], [], [], three],
    ["cancel, none live", "cancel", [], [three], [], three - minute],
    ["cancel, two live", "cancel", [5, 6], [three], [5, 6], three - minute],
  ] as const)("of several that are due, %s", (_, overlap, live, made, cancel, skipped) => {
    const planned = plan(aDue({ rule: aRule({ overlap }), live }), aLook(three));

    expect([ticksOf(planned), planned.cancel]).toEqual([made, cancel]);
    expect(planned.skipped).toMatchObject({ tick: skipped, reason: "overlap" });
    expect([planned.tick.lastMs, planned.tick.nextMs]).toEqual([three, three + minute]);
  });

  test("cancel cancels nothing while nothing is due", () => {
    expect(plan(aDue({ rule: aRule({ overlap: "cancel" }), live: [5] }), aLook(noon - 1)).cancel).toEqual([]);
  });

  test("allow makes each, whatever is live", () => {
    const planned = plan(aDue({ live: [5] }), aLook(three));

    expect([ticksOf(planned), planned.cancel, planned.skipped]).toEqual([minutes(noon, three), [], null]);
  });
});

test("a rule of a kind that this version does not know is left alone", () => {
  const { everyMs: _everyMs, ...unknown } = aRule();

  expect(() => plan(aDue({ rule: unknown, fresh: true }), aLook(noon))).toThrow("a newer version of tasker");
});
