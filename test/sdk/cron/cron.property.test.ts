import { Cron as Croner } from "croner";
import fc from "fast-check";
import { expect, test } from "vitest";
import { cron, type Cron, type Dst } from "../../../sdk/cron/cron.ts";
import { expressions, plainExpressions, type Expression } from "./cron.arbitrary.ts";
import { tape, ticksOf, type Tape } from "./cron.oracle.ts";

const seed = 20_261_120;
const dayMs = 86_400_000;

/** Clock changes that have caught others: half hours, midnights, two hours, whole days, odd seconds. */
const turns: readonly (readonly [zone: string, at: string])[] = [
  ["America/New_York", "2026-03-08T07:00:00Z"],
  ["America/New_York", "2026-11-01T06:00:00Z"],
  ["Australia/Lord_Howe", "2026-04-04T15:00:00Z"],
  ["Australia/Lord_Howe", "2026-10-03T15:30:00Z"],
  ["America/Havana", "2026-03-08T05:00:00Z"],
  ["America/Havana", "2026-11-01T05:00:00Z"],
  ["Asia/Amman", "2018-03-29T22:00:00Z"],
  ["Asia/Amman", "2018-10-25T22:00:00Z"],
  ["America/Sao_Paulo", "2018-11-04T03:00:00Z"],
  ["America/Sao_Paulo", "2018-02-18T02:00:00Z"],
  ["America/Santiago", "2026-09-06T04:00:00Z"],
  ["America/Santiago", "2026-04-05T03:00:00Z"],
  ["Africa/Casablanca", "2026-02-15T02:00:00Z"],
  ["Africa/Casablanca", "2026-03-22T02:00:00Z"],
  ["Antarctica/Troll", "2026-03-29T01:00:00Z"],
  ["Antarctica/Troll", "2026-10-25T01:00:00Z"],
  ["Europe/Dublin", "2026-03-29T01:00:00Z"],
  ["Europe/Dublin", "2026-10-25T01:00:00Z"],
  ["Pacific/Chatham", "2026-04-04T14:00:00Z"],
  ["Asia/Pyongyang", "2015-08-14T15:00:00Z"],
  ["Africa/Monrovia", "1972-01-07T00:44:30Z"],
  ["Europe/Paris", "1911-03-10T23:50:39Z"],
];
const longTurns: readonly (readonly [zone: string, at: string])[] = [
  ["Pacific/Apia", "2011-12-30T10:00:00Z"],
  ["Pacific/Kwajalein", "1993-08-21T12:00:00Z"],
  ["America/New_York", "2026-11-01T06:00:00Z"],
  ["Australia/Lord_Howe", "2026-10-03T15:30:00Z"],
  ["Asia/Gaza", "2040-10-20T00:00:00Z"],
  ["Europe/London", "1968-10-26T23:00:00Z"],
];

const dsts: fc.Arbitrary<Dst> = fc.record({
  gap: fc.constantFrom(undefined, "next", "skip"),
  overlap: fc.constantFrom(undefined, "first", "last", "both"),
});

/** The schedule, or null if its days never come. */
function tryCron(text: string, timezone: string, dst?: Dst): Cron | null {
  try {
    return cron(text, { timezone, dst });
  } catch (error) {
    expect(String(error)).toContain("never fires");
    return null;
  }
}

function* ticksAfter({ next }: Cron, from: number, to: number): Generator<number> {
  for (let at = next(from); at !== null && at <= to; at = next(at)) yield at;
}

function* ticksBefore({ prev }: Cron, from: number, to: number): Generator<number> {
  for (let at = prev(to); at !== null && at > from; at = prev(at)) yield at;
}

/** Compares schedule and tape; how many ticks there were. */
function compare(film: Tape, margin: number, { text, matches, elapsed }: Expression, dst: Dst): number {
  const schedule = tryCron(text, film.zone, dst);
  const [from, to] = [film.from + margin, film.to - margin];

  const expected = ticksOf(film, matches, elapsed, dst).filter((at) => at > from && at <= to);

  expect([...ticksAfter(schedule ?? never, from, to)]).toEqual(expected);
  if (to > 60 * dayMs) expect([...ticksBefore(schedule ?? never, from, to + 1)]).toEqual(expected.reverse());
  return expected.length;
}

const never: Cron = { text: "", timezone: "UTC", next: () => null, prev: () => null };

test("around a clock change every second fires that should, and no other", () => {
  let ticks = 0;
  const spanMs = 2.5 * 3_600_000;
  const films = turns.map(([zone, at]) => tape(zone, Date.parse(at) - spanMs, Date.parse(at) + spanMs, 1));
  fc.assert(
    fc.property(fc.constantFrom(...films), expressions({ dense: true }), dsts, (film, expression, dst) => {
      ticks += compare(film, 1.5 * 3_600_000, expression, dst);
    }),
    { seed, numRuns: 500 },
  );

  expect(ticks).toBeGreaterThan(100_000);
});

test("around a clock change of a day, or in a week with one, every minute fires that should, and no other", () => {
  let ticks = 0;
  const films = longTurns.map(([zone, at]) => tape(zone, Date.parse(at) - 3 * dayMs, Date.parse(at) + 3 * dayMs, 60));
  fc.assert(
    fc.property(
      fc.constantFrom(...films),
      expressions({ dense: false, seconds: false }),
      dsts,
      (film, expression, dst) => {
        ticks += compare(film, 1.5 * dayMs, expression, dst);
      },
    ),
    { seed, numRuns: 300 },
  );

  expect(ticks).toBeGreaterThan(10_000);
});

const instants = fc.integer({ min: 0, max: Date.UTC(2110, 0) });

test("the next tick is on the first day and at the first time that match, years ahead too", () => {
  const horizonDays = 2000;
  fc.assert(
    fc.property(expressions({ dense: false }), instants, (expression, after) => {
      const { text, dayMatches } = expression;
      const times = expression.times;
      const schedule = tryCron(text, "UTC");
      const today = Math.floor(after / dayMs);
      const isOn = (day: number, time: number) => day * dayMs + time * 1000 > after;

      let day = today;
      while (day < today + horizonDays && !(dayMatches(day) && isOn(day, times.at(-1)!))) day++;
      const expected = day * dayMs + times.find((time) => isOn(day, time))! * 1000;

      const found = schedule?.next(after) ?? Infinity;
      if (day < today + horizonDays) expect(found).toBe(expected);
      else expect(found).toBeGreaterThanOrEqual(day * dayMs);
    }),
    { seed, numRuns: 400 },
  );
});

test("next and prev agree, move on, and keep their order, in any zone", () => {
  const zones = fc.constantFrom(...Intl.supportedValuesOf("timeZone"));
  fc.assert(
    fc.property(
      zones,
      expressions({ dense: false }),
      dsts,
      instants,
      fc.nat(40 * dayMs),
      (zone, { text }, dst, t, more) => {
        const schedule = tryCron(text, zone, dst);
        const next = schedule?.next(t);
        if (!schedule || next == null) return;

        expect(next).toBeGreaterThan(t);
        const before = schedule.prev(next);
        expect(before ?? -1).toBeLessThanOrEqual(t);
        if (before !== null) expect(schedule.next(before)).toBe(next);
        expect(schedule.prev(next + 1)).toBe(next);
        expect(schedule.next(t + more) ?? Infinity).toBeGreaterThanOrEqual(next);
      },
    ),
    { seed, numRuns: 1000 },
  );
});

test("croner agrees wherever no clock changes", () => {
  const winters = fc.constantFrom(["UTC", Date.UTC(2026, 5)], ["America/New_York", Date.UTC(2027, 0, 2)] as const);
  fc.assert(
    fc.property(winters, plainExpressions, fc.nat(20 * dayMs), ([zone, start], { text }, more) => {
      const timezone = String(zone);
      const after = Number(start) + more;
      const theirs = new Croner(text, { timezone, sloppyRanges: true, paused: true }).nextRuns(5, new Date(after));
      const expected = theirs.map((date) => date.getTime());

      const schedule = cron(text, { timezone });

      const found: number[] = [];
      for (let at = schedule.next(after); found.length < expected.length; at = schedule.next(at!)) found.push(at!);
      const until = Number(start) + 40 * dayMs;
      expect(found.filter((at) => at < until)).toEqual(expected.filter((at) => at < until));
    }),
    { seed, numRuns: 600 },
  );
});

test("any text is parsed or refused with a path, within reason", () => {
  const pieces = fc.constantFrom(..."0123456789*/-,LW#?+@ ".split(""), "MON", "JAN", "59", "31", " * ", "*/", "L-");
  const texts = fc.array(pieces, { maxLength: 200 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.oneof(texts, fc.string({ unit: "binary", maxLength: 300 })), (text) => {
      try {
        cron(text);
      } catch (error) {
        expect(error).toMatchObject({ code: "INVALID_INPUT", path: "cron" });
      }
    }),
    { seed, numRuns: 2000 },
  );
});
