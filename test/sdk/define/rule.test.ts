import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InvalidInput } from "../../../sdk/port/error.ts";
import { authored, around, ruleOf, spreadOf, ticking, type TickPolicy, type When } from "../../../sdk/define/rule.ts";
import type { Rule } from "../../../sdk/port/target.ts";

const day = 86_400_000;
const once = { max: 1, withinMs: day };
const base: Rule = { overlap: "allow", catchUp: once };

/** As JavaScript would call it. */
function loose(given: object): Rule {
  return ruleOf(given as When & TickPolicy);
}

function at(text: string): number {
  return new Date(text).getTime();
}

/** The first ticks after an instant. */
function ticksOf(rule: Rule, after: number, count: number): readonly string[] {
  const { next } = ticking(rule);
  const ticks: string[] = [];
  for (let tick = next(after); tick !== null && ticks.length < count; tick = next(tick))
    ticks.push(new Date(tick).toISOString());
  return ticks;
}

describe("a rule", () => {
  test.each<[string, When & TickPolicy, Rule]>([
    ["cron, in UTC by default", { cron: " 0 9 * * * " }, { ...base, cron: "0 9 * * *", timezone: "UTC" }],
    [
      "cron with its zone in the zone's own spelling",
      { cron: "@daily", timezone: "europe/paris" },
      { ...base, cron: "@daily", timezone: "Europe/Paris" },
    ],
    [
      "cron and what clock changes do",
      { cron: "@daily", dst: { gap: "skip", overlap: undefined } },
      { ...base, cron: "@daily", timezone: "UTC", dst: { gap: "skip" } },
    ],
    ["a span", { every: "1h30m" }, { ...base, everyMs: 5_400_000 }],
    ["a span and its anchor", { every: "1h", anchor: new Date(7) }, { ...base, everyMs: 3_600_000, anchorMs: 7 }],
    ["a span below a second, allowed", { every: "250ms", subSecond: true }, { ...base, everyMs: 250 }],
    [
      "an instant, caught up on at any age",
      { runAt: new Date(7) },
      { ...base, atMs: 7, catchUp: { max: 1, withinMs: null } },
    ],
    [
      "every policy",
      {
        every: "1m",
        overlap: "cancel",
        catchUp: { max: 5, within: "2h" },
        spread: "30s",
        startsAt: new Date(1),
        endsAt: new Date(day),
        limit: 3,
      },
      {
        everyMs: 60_000,
        overlap: "cancel",
        catchUp: { max: 5, withinMs: 7_200_000 },
        spreadMs: 30_000,
        startsMs: 1,
        endsMs: day,
        limit: 3,
      },
    ],
  ])("is %s", (_, given, rule) => {
    expect(ruleOf(given)).toEqual(rule);
  });

  test.each<[TickPolicy["catchUp"], Rule["catchUp"]]>([
    [undefined, once],
    ["last", once],
    ["none", { max: 0, withinMs: 0 }],
    [
      { max: 1000, within: "1d" },
      { max: 1000, withinMs: day },
    ],
  ])("catchUp %j is %j", (catchUp, stored) => {
    expect(ruleOf({ every: "1m", catchUp }).catchUp).toEqual(stored);
  });

  test("asks functions each time, and takes the zone that it is given where it names none", () => {
    let hour = 0;
    const given = { cron: () => `0 ${++hour} * * *`, timezone: () => "Asia/Tokyo" };

    const rules = [ruleOf(given), ruleOf(given), ruleOf({ cron: "@daily" }, "Asia/Tokyo")];

    expect(rules.map((rule) => [rule.cron, rule.timezone])).toEqual([
      ["0 1 * * *", "Asia/Tokyo"],
      ["0 2 * * *", "Asia/Tokyo"],
      ["@daily", "Asia/Tokyo"],
    ]);
  });

  test("survives JSON", () => {
    const rule = ruleOf({ cron: "@daily", dst: { gap: "next" }, startsAt: new Date(1), limit: 1, spread: "1s" });

    expect(JSON.parse(JSON.stringify(rule))).toEqual(rule);
  });
});

const never = "the schedule never ticks: none of its instants is between startsAt and endsAt";

describe("what is refused, and how it is said", () => {
  test.each<[string, object, string, string]>([
    ["no rule", {}, "cron", 'a schedule says when: give it cron: "0 30 2 * * *", every: "90s" or runAt: new Date(…)'],
    [
      "two kinds",
      { cron: "@daily", every: "1m" },
      "every",
      "a schedule has one of cron, every and runAt, not cron and every; make two schedules",
    ],
    [
      "three kinds",
      { cron: "@daily", every: "1m", runAt: new Date() },
      "every",
      "a schedule has one of cron, every and runAt, not cron and every and runAt; make two schedules",
    ],
    [
      "a zone beside every",
      { every: "1m", timezone: "UTC" },
      "timezone",
      "timezone belongs to cron, and this schedule has every; leave timezone out",
    ],
    [
      "dst beside runAt",
      { runAt: new Date(), dst: {} },
      "dst",
      "dst belongs to cron, and this schedule has runAt; leave dst out",
    ],
    [
      "an anchor beside cron",
      { cron: "@daily", anchor: new Date() },
      "anchor",
      "anchor belongs to every, and this schedule has cron; leave anchor out",
    ],
    [
      "subSecond beside cron",
      { cron: "@daily", subSecond: true },
      "subSecond",
      "subSecond belongs to every, and this schedule has cron; leave subSecond out",
    ],
    [
      "more than one tick a second",
      { every: "999ms" },
      "every",
      'every "999ms" is more than one tick a second; write "1s" or longer, or allow it with subSecond: true',
    ],
    ["a span of zero", { every: "0s", subSecond: true }, "every", 'every "0s" is zero'],
    [
      "a span that is none",
      { every: "1 minute" },
      "every",
      'every: duration "1 minute" is not whole numbers with units',
    ],
    ["no cron", { cron: "61 * * * *" }, "cron", 'cron "61 * * * *": '],
    ["days that never come", { cron: "0 0 30 2 *" }, "cron", 'cron "0 0 30 2 *": '],
    [
      "a misspelt zone",
      { cron: "@daily", timezone: "Europe/Pariss" },
      "timezone",
      'timezone "Europe/Pariss" is not a zone that this Node knows; did you mean "Europe/Paris"',
    ],
    ["an unknown dst", { cron: "@daily", dst: { gap: "both" } }, "dst", 'dst.gap "both" is not one of next, skip'],
    ["a cron of null", { cron: null }, "cron", 'cron is not a text: it is "null"'],
    [
      "a function that answers no text",
      { cron: () => 5 },
      "cron",
      'cron is not a text: the function given for it answered "5"',
    ],
    [
      "a function that answers late",
      { cron: "@daily", timezone: async () => "UTC" },
      "timezone",
      'timezone is not a text: the function given for it answered "Promise {',
    ],
    [
      "a function that throws",
      {
        cron: () => {
          throw new Error("no settings");
        },
      },
      "cron",
      "cron can't be read: the function given for it threw: no settings",
    ],
    ["an anchor that is none", { every: "1m", anchor: "noon" }, "anchor", 'anchor "noon" is not a valid Date'],
    ["a runAt as text", { runAt: "2030-01-01" }, "runAt", 'runAt "2030-01-01" is not a valid Date'],
    [
      "an unknown overlap",
      { every: "1m", overlap: "queue" },
      "overlap",
      'overlap "queue" is none of allow, skip, cancel',
    ],
    [
      "an unknown catchUp",
      { every: "1m", catchUp: "all" },
      "catchUp",
      'catchUp "all" is none of "none", "last" and { max, within }; write catchUp: { max: 10, within: "6h" }',
    ],
    ["a catchUp of null", { every: "1m", catchUp: null }, "catchUp", 'catchUp "null" is none of'],
    [
      "a catchUp without max",
      { every: "1m", catchUp: { within: "1h" } },
      "catchUp.max",
      'catchUp.max "undefined" is not a whole number from 1 to 1000',
    ],
    [
      "a catchUp of too many",
      { every: "1m", catchUp: { max: 1001, within: "1h" } },
      "catchUp.max",
      'catchUp.max "1001" is not a whole number from 1 to 1000',
    ],
    ["a catchUp without within", { every: "1m", catchUp: { max: 1 } }, "catchUp.within", "catchUp.within: duration"],
    [
      "a catchUp with another field",
      { every: "1m", catchUp: { max: 1, witin: "1h" } },
      "witin",
      'catchUp has no option "witin"; did you mean "within"?',
    ],
    ["a spread of zero", { every: "1m", spread: "0s" }, "spread", 'spread "0s" is zero'],
    ["a limit of zero", { every: "1m", limit: 0 }, "limit", 'limit "0" is not a whole number from 1 on'],
    [
      "an end before the start",
      { every: "1m", startsAt: new Date(2), endsAt: new Date(1) },
      "endsAt",
      "endsAt is before startsAt; exchange them",
    ],
    [
      "bounds without a tick",
      { cron: "0 9 * * *", startsAt: new Date("2030-01-01T10:00Z"), endsAt: new Date("2030-01-02T08:00Z") },
      "endsAt",
      never,
    ],
    [
      "a cron whose every time the clock skips",
      { cron: "30 2 * 3 0L", timezone: "Europe/Paris", dst: { gap: "skip" } },
      "cron",
      'cron "30 2 * 3 0L" never ticks: in Europe/Paris the clock skips each of its times; choose another time, or dst: { gap: "next" }',
    ],
    [
      "such a cron with an end",
      { cron: "30 2 * 3 0L", timezone: "Europe/Paris", dst: { gap: "skip" }, endsAt: new Date("2100-01-01") },
      "cron",
      "the clock skips each of its times",
    ],
    ["an overlap of null", { every: "1m", overlap: null }, "overlap", 'overlap "null" is none of allow, skip, cancel'],
    ["a zone of null", { cron: "@daily", timezone: null }, "timezone", 'timezone is not a text: it is "null"'],
    ["subSecond as text", { every: "1m", subSecond: "no" }, "subSecond", 'subSecond "no" is neither true nor false'],
    ["subSecond of null", { every: "1ms", subSecond: null }, "subSecond", 'subSecond "null" is neither true nor false'],
    ["a catchUp as a list", { every: "1m", catchUp: [] }, "catchUp", 'catchUp "[]" is none of'],
    ["a policy of dst as a list", { cron: "@daily", dst: { gap: ["skip"] } }, "dst", "is not one of next, skip"],
    ["an instant after its end", { runAt: new Date(2), endsAt: new Date(1) }, "endsAt", never],
    ["an instant before its start", { runAt: new Date(1), startsAt: new Date(2) }, "endsAt", never],
  ])("%s", (_, given, path, message) => {
    const refused = (): Rule => loose(given);

    expect(refused).toThrow(InvalidInput);
    expect(refused).toThrow(message);
    expect(refused).toThrow(expect.objectContaining({ path }));
  });

  test.each([["", "empty"], [0], [Number.NaN], [null], [[]], [new Date(0)], [true]])("dst %j", (dst, text = "") => {
    const refused = (): Rule => loose({ cron: "@daily", dst });

    expect(refused).toThrow(InvalidInput);
    expect(refused).toThrow(`dst must be an object, not ${text}`);
    expect(refused).toThrow(expect.objectContaining({ path: "dst" }));
  });

  const { proxy: revoked, revoke } = Proxy.revocable({}, {});
  revoke();
  const odd: readonly unknown[] = [5n, Symbol("s"), Object.create(null), revoked, () => 1, { toString: null }];
  test.each([
    ...["cron", "timezone", "every", "anchor", "subSecond", "runAt", "overlap"],
    ...["catchUp.max", "catchUp.within", "spread", "startsAt", "endsAt", "limit"],
  ])("%s of what has no text", (path) => {
    const rule = path === "runAt" ? {} : path === "timezone" ? { cron: "@daily" } : { every: "1m" };
    const given = (value: unknown): object => {
      if (path === "cron") return { cron: value };
      if (path.startsWith("catchUp.")) return { ...rule, catchUp: { max: 1, within: "1h", [path.slice(8)]: value } };
      return { ...rule, [path]: value };
    };

    for (const value of odd) {
      expect(() => loose(given(value))).toThrow(InvalidInput);
      expect(() => loose(given(value))).toThrow(expect.objectContaining({ path }));
    }
  });

  test.each(["dst", "catchUp"])("%s of what can't be read", (path) => {
    for (const value of [5n, Symbol("s"), revoked, () => 1])
      expect(() => loose({ cron: "@daily", [path]: value })).toThrow(
        expect.objectContaining({ code: "INVALID_INPUT", path }),
      );
  });

  test("a rule that clock changes leave alone may skip gaps", () => {
    expect(ruleOf({ cron: "30 2 * * *", timezone: "Europe/Paris", dst: { gap: "skip" } }).dst).toEqual({ gap: "skip" });
  });

  test("what a function threw is the cause", () => {
    const cause = new Error("no settings");
    const timezone = (): string => {
      throw cause;
    };

    expect(() => ruleOf({ cron: "@daily", timezone })).toThrow(expect.objectContaining({ cause }));
  });
});

describe("ticks", () => {
  test("a span counts from its anchor, before it too", () => {
    const hourly = ruleOf({ every: "1h", anchor: new Date("2030-01-01T00:20Z") });
    const plain = ruleOf({ every: "1h" });

    expect(ticksOf(hourly, at("2029-12-31T22:20Z"), 3)).toEqual([
      "2029-12-31T23:20:00.000Z",
      "2030-01-01T00:20:00.000Z",
      "2030-01-01T01:20:00.000Z",
    ]);
    expect(ticksOf(plain, at("2030-01-01T00:59:59.999Z"), 1)).toEqual(["2030-01-01T01:00:00.000Z"]);
    expect(ticking(hourly).prev(at("2030-01-01T00:20Z"))).toBe(at("2029-12-31T23:20Z"));
    expect(ticking(hourly).prev(at("2040-01-01T00:20:00.001Z"))).toBe(at("2040-01-01T00:20Z"));
    expect(ticking(hourly).next(at("1960-01-01T00:00Z"))).toBe(at("1960-01-01T00:20Z"));
  });

  test("cron counts by the wall clock of its zone", () => {
    const rule = ruleOf({ cron: "0 9 * * MON-FRI", timezone: "Europe/Paris" });

    // Friday in winter, Monday in summer
    expect(ticksOf(rule, at("2030-03-28T12:00Z"), 2)).toEqual(["2030-03-29T08:00:00.000Z", "2030-04-01T07:00:00.000Z"]);
    expect(ticking(rule).prev(at("2030-04-01T07:00Z"))).toBe(at("2030-03-29T08:00Z"));
  });

  test("an instant is one tick", () => {
    const { next, prev } = ticking(ruleOf({ runAt: new Date(1000) }));

    expect([next(-Infinity), next(999), next(1000), next(5000)]).toEqual([1000, 1000, null, null]);
    expect([prev(Infinity), prev(1001), prev(1000), prev(5)]).toEqual([1000, 1000, null, null]);
  });

  test.each([
    ["every", { every: "1h" }],
    ["cron", { cron: "0 * * * *" }],
  ] as const)("of %s lie in [startsAt, endsAt], both included", (_, when) => {
    const [startsAt, endsAt] = [new Date("2030-01-01T01:00Z"), new Date("2030-01-01T03:00Z")];
    const rule = ruleOf({ ...when, startsAt, endsAt });
    const { next, prev } = ticking(rule);

    expect(ticksOf(rule, at("2020-01-01"), 9)).toHaveLength(3);
    expect([next(-Infinity), next(endsAt.getTime() - 1), next(endsAt.getTime())]).toEqual([
      startsAt.getTime(),
      endsAt.getTime(),
      null,
    ]);
    expect([prev(at("2040-01-01")), prev(startsAt.getTime() + 1), prev(startsAt.getTime())]).toEqual([
      endsAt.getTime(),
      startsAt.getTime(),
      null,
    ]);
  });

  test("around a tick are its neighbours; null beyond the bounds", () => {
    const rule = ruleOf({ every: "1m", startsAt: new Date(60_000), endsAt: new Date(180_000) });

    expect(around(rule, 120_000)).toEqual({ previous: 60_000, next: 180_000 });
    expect(around(rule, 60_000)).toEqual({ previous: null, next: 120_000 });
    expect(around(rule, 180_000)).toEqual({ previous: 120_000, next: null });
  });

  test("next and prev of any span and anchor are inverse, and leave nothing between", () => {
    const ms = fc.integer({ min: at("1900-01-01"), max: at("2200-01-01") });
    const spans = fc.integer({ min: 1, max: 400 * day });

    fc.assert(
      fc.property(ms, spans, ms, (anchorMs, everyMs, after) => {
        const { next, prev } = ticking({ ...base, anchorMs, everyMs });
        const tick = next(after)!;

        expect(tick).toBeGreaterThan(after);
        expect(tick - after).toBeLessThanOrEqual(everyMs);
        expect(Math.abs(tick - anchorMs) % everyMs).toBe(0);
        expect(prev(tick)).toBe(tick - everyMs);
        expect(next(tick - 1)).toBe(tick);
      }),
    );
  });

  test("rules that differ in one option only are told apart, in whatever order they are asked", () => {
    const [starts, ends] = [at("2031-01-01T00:00Z"), at("2030-03-30T00:00Z")];
    const paris: Rule = { ...base, cron: "30 2 * * *", timezone: "Europe/Paris" };
    const rules: readonly Rule[] = [
      paris,
      { ...paris, dst: { gap: "skip" } },
      { ...paris, cron: "30 3 * * *" },
      { ...paris, timezone: "Europe/London" },
      { ...paris, startsMs: starts },
      { ...paris, endsMs: ends },
      { ...base, everyMs: 7 * day },
      { ...base, everyMs: 7 * day, anchorMs: 1 },
      { ...base, atMs: starts },
    ];
    const after = at("2030-03-30T12:00Z"); // the night before the clock of Paris goes forward
    const ask = (list: readonly Rule[]) => list.map((rule) => ticking(rule).next(after));

    const answers = ask(rules);

    expect(answers.map((tick) => tick && new Date(tick).toISOString())).toEqual([
      "2030-03-31T01:00:00.000Z",
      "2030-04-01T00:30:00.000Z",
      "2030-03-31T01:30:00.000Z",
      "2030-03-31T01:30:00.000Z",
      "2031-01-01T01:30:00.000Z",
      null,
      "2030-04-04T00:00:00.000Z",
      "2030-04-04T00:00:00.001Z",
      "2031-01-01T00:00:00.000Z",
    ]);
    expect(ask([...rules].reverse()).reverse()).toEqual(answers);
  });

  test("repeated hours are told apart by dst.overlap", () => {
    const rule: Rule = { ...base, cron: "30 2 * * *", timezone: "Europe/Paris" };
    const after = at("2030-10-26T12:00Z");

    const [first, last] = (["first", "last"] as const).map((overlap) =>
      ticking({ ...rule, dst: { overlap } }).next(after),
    );

    expect([first, last]).toEqual([at("2030-10-27T00:30Z"), at("2030-10-27T01:30Z")]);
  });

  test("of a rule that is of no known kind can't be told", () => {
    expect(() => ticking({ ...base })).toThrow(InvalidInput);
  });
});

describe("the spread", () => {
  const rule = ruleOf({ cron: "@daily", spread: "1h" });

  test("is the same for a schedule always, and none without the option", () => {
    const name = { job: "remind", key: "user:7" };

    expect(spreadOf(name, rule)).toBe(spreadOf({ ...name }, { ...rule }));
    expect(spreadOf(name, ruleOf({ cron: "@hourly", spread: "1h" }))).toBe(spreadOf(name, rule));
    expect(spreadOf(name, rule)).toBe(1_286_117); // another version of tasker must say the same
    expect(spreadOf(name, ruleOf({ cron: "@daily" }))).toBe(0);
  });

  test("tells job and key apart", () => {
    const names = [
      { job: "a", key: "bc" },
      { job: "ab", key: "c" },
      { job: "abc", key: "" },
    ];

    expect(new Set(names.map((name) => spreadOf(name, rule))).size).toBe(3);
  });

  test("of 1000 keys is even over the span, and within it", () => {
    const spreads = Array.from({ length: 1000 }, (_, i) => spreadOf({ job: "remind", key: `user:${i}` }, rule));
    const tenths = Array.from({ length: 10 }, (_, i) => spreads.filter((ms) => Math.floor(ms / 360_000) === i).length);

    expect(spreads.every((ms) => Number.isInteger(ms) && ms >= 0 && ms < 3_600_000)).toBe(true);
    // 100 each: five standard deviations are 47
    expect(Math.min(...tenths)).toBeGreaterThan(53);
    expect(Math.max(...tenths)).toBeLessThan(147);
  });

  test("of a millisecond is none", () => {
    expect(spreadOf({ job: "a", key: "b" }, { ...rule, spreadMs: 1 })).toBe(0);
  });
});

test.each([
  { cron: "0 9 * * MON-FRI", timezone: "Europe/Paris", dst: { gap: "skip", overlap: "both" }, overlap: "skip" },
  { cron: "@daily", catchUp: "none", spread: "10m", limit: 3 },
  { every: "90s", anchor: new Date("2030-01-01T00:00:00Z"), startsAt: new Date("2030-01-01T00:00:00Z") },
  { every: "100ms", subSecond: true, catchUp: { max: 7, within: "6h" }, endsAt: new Date("2031-01-01T00:00:00Z") },
  { runAt: new Date("2030-01-01T00:00:00Z") },
  { runAt: new Date("2030-01-01T00:00:00Z"), catchUp: "last", overlap: "cancel" },
] as const)("a stored rule is written as an author would: %j", (given) => {
  const rule = ruleOf(given);

  expect(ruleOf(authored(rule))).toEqual(rule);
});

test("a stored rule that no author can write is refused", () => {
  const rule = { everyMs: 1000, overlap: "allow", catchUp: { max: 2, withinMs: null } } as const;

  expect(() => authored(rule)).toThrow("catchUp has no limit of age");
});
