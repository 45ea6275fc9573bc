import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { changes, checkZone, cron, type Dst } from "../../../sdk/cron/cron.ts";

/** A case of the conformance data; see `meta` in the file. */
interface Row {
  readonly id: number;
  readonly expr: string;
  readonly tz: string;
  readonly from: string;
  readonly expected: readonly string[];
  readonly never?: boolean;
  readonly not_at?: readonly string[];
  readonly dialect?: readonly string[];
  readonly dst_policies?: readonly string[];
  readonly tasker_expected?: readonly string[];
}

const { cases, invalid } = JSON.parse(readFileSync(new URL("cron-cases.json", import.meta.url), "utf8")) as {
  cases: readonly Row[];
  invalid: readonly { readonly expr: string }[];
};

/** Policies of the data that the `dst` option can say. */
const sayable: readonly (readonly [policy: string, dst: Dst])[] = [
  ["skip/first", { gap: "skip", overlap: "first" }],
  ["skip/both", { gap: "skip", overlap: "both" }],
  ["jump-all/first", { gap: "next", overlap: "first" }],
  ["jump-all/both", { gap: "next", overlap: "both" }],
];

/** Why a row says nothing about us; null if it does. */
function foreign({ expr, dialect = [] }: Row): string | null {
  if (dialect.includes("year")) return "years";
  if (dialect.includes("dom-dow-VIXIE-STAR")) return "*/2 restricts no day";
  if (dialect.includes("wrap-range") && !/sat-tue/.test(expr)) return "ranges that run backwards, but for weekdays";
  if (/^@every_/i.test(expr)) return "macros of Cronos alone";
  if (expr.startsWith("?")) return "? outside the day fields";
  return null;
}

/** The row's text in our dialect: what other projects combine with AND, we spell with a plus. */
function ours({ expr, dialect = [] }: Row): string {
  if (!dialect.includes("dom-dow-AND")) return expr;
  const fields = expr.split(" ");
  return [...fields.slice(0, -1), `+${fields.at(-1)}`].join(" ");
}

const instants = (texts: readonly string[]) => texts.map((text) => Date.parse(text));

/** The first `count` ticks after the row's start, then back again from the last. */
function walk(row: Row, count: number, dst?: Dst): { forth: number[]; back: number[] } {
  const { next, prev } = cron(ours(row), { timezone: row.tz, dst });
  const forth: number[] = [];
  for (let at = Date.parse(row.from); forth.length < count; forth.push(at)) at = next(at)!;
  const back: number[] = [];
  for (let at = forth.at(-1)! + 1; back.length < count; back.push(at)) at = prev(at)!;
  return { forth, back };
}

function expectTicks(row: Row, expected: readonly string[], dst?: Dst): void {
  const { forth, back } = walk(row, expected.length, dst);

  expect(forth).toEqual(instants(expected));
  expect(back).toEqual(instants(expected).reverse());
}

const known = cases.filter((row) => foreign(row) === null);
const byDefault = "jump-wallclock/wallclock";
const agreed = known.filter(({ dst_policies }) => dst_policies?.includes(byDefault) !== false);
const differing = known.filter(({ dst_policies }) => dst_policies?.includes(byDefault) === false);
const named = ({ id, expr, tz }: Row) => [`${id}: ${expr} in ${tz}`] as const;
const rows = (list: readonly Row[]) => list.map((row) => [...named(row), row] as const);

test("no row of the data is left out, but for what we do not have", () => {
  const left: Record<string, number> = {};
  for (const row of cases) left[foreign(row) ?? "ours"] = (left[foreign(row) ?? "ours"] ?? 0) + 1;

  expect(left).toEqual({
    ours: 500,
    years: 1,
    "*/2 restricts no day": 1,
    "ranges that run backwards, but for weekdays": 14,
    "macros of Cronos alone": 3,
    "? outside the day fields": 1,
  });
  expect([agreed.length, differing.length]).toEqual([467, 33]);
});

test.each(rows(agreed))("row %s fires as its source expects", (_, row) => {
  if (row.never) expect(() => cron(ours(row), { timezone: row.tz })).toThrow("never fires");
  else if (row.not_at)
    expect(instants(row.not_at)).not.toContain(cron(ours(row), { timezone: row.tz }).next(Date.parse(row.from)));
  else expectTicks(row, row.expected);
});

test.each(rows(differing))("row %s fires as our rule for clock changes says", (_, row) => {
  expect(row.tasker_expected).toBeDefined();
  expectTicks(row, row.tasker_expected!);
});

test("rows that name another policy fire as expected where `dst` can say it", () => {
  const counts: Record<string, number> = {};
  const unsaid: number[] = [];
  for (const row of known.filter(({ dst_policies }) => dst_policies)) {
    const fitting = sayable.filter(([policy]) => row.dst_policies!.includes(policy));
    if (!fitting.length) unsaid.push(row.id);
    for (const [policy, dst] of fitting) {
      expectTicks(row, row.expected, dst);
      counts[policy] = (counts[policy] ?? 0) + 1;
    }
  }

  expect(counts).toEqual({ "jump-all/both": 54, "jump-all/first": 44, "skip/both": 36, "skip/first": 26 });
  expect(unsaid).toEqual([735, 746, 748, 752, 757]); // they shift by the gap, or their source calls itself wrong
});

/** What other projects refuse and we take. */
const accepted: Readonly<Record<string, string>> = {
  "* * 1,2W * *": "a list with a W",
  "* * 1,2w * *": "a list with a W",
  "* * * * 1,3#5": "a list with a #",
  "10/10 * * * *": "a step from a value",
};

test("every text that others refuse is refused with the field's name, but for what we declare", () => {
  const fields = /: (second|minute|hour|day-of-month|month|day-of-week|macro) "|: has \d+ fields? where/;
  const taken: string[] = [];
  for (const { expr } of invalid) {
    const error = thrownBy(() => cron(expr));
    if (error === null) taken.push(expr);
    else expect(error).toMatchObject({ code: "INVALID_INPUT", path: "cron", message: expect.stringMatching(fields) });
  }

  expect(invalid.length).toBe(131);
  expect(taken).toEqual(Object.keys(accepted));
});

function thrownBy(act: () => unknown): unknown {
  try {
    act();
    return null;
  } catch (error) {
    return error;
  }
}

test.each([
  ["61 * * * *", 'minute "61" is not within 0-59'],
  ["0 24 * * *", 'hour "24" is not within 0-23; midnight is 0'],
  ["0 9 0 * *", 'day-of-month "0" is not within 1-31'],
  ["0 30 9 * *", 'hour "30" is not within 0-23; the order is minute hour day-of-month month day-of-week'],
  ["0 9 * * 8", 'day-of-week "8" is not within 0-7; the order is minute hour day-of-month month day-of-week'],
  [
    "* * * *",
    'has 4 fields where 5, or 6 with seconds first, are taken; write minute hour day-of-month month day-of-week, like "30 9 * * MON-FRI"',
  ],
  [
    "0 15 10 * * ? 2005",
    "has 7 fields where 5, or 6 with seconds first, are taken; years are not supported: leave the seventh out",
  ],
  ["TZ=UTC 0 9 * * *", 'starts with a zone; give it apart, as `timezone: "Europe/Paris"`'],
  ["0 9 * * SUT", 'day-of-week "SUT" is not a name; did you mean "SAT" or "SUN"?'],
  ["0 9 * sept *", 'month "sept" is not a name; did you mean "SEP"?'],
  ["0 9 MON * *", 'day-of-month "MON" is a day-of-week; the order is minute hour day-of-month month day-of-week'],
  ["0 22-5 * * *", 'hour "22-5" runs backwards; write "22-23,0-5"'],
  ["*/60 * * * *", 'minute "/60" is no step within 1-59'],
  ["7- * * * *", 'minute "7-" is not understood; write "5", "1-5", "*/5" or a list like "1,5"'],
  ["H * * * *", 'minute "H" is not understood; write "5", "1-5", "*/5" or a list like "1,5"'],
  ["H(1-5)/2 * * * *", 'minute "H(1-5)/2" is not understood; write "5", "1-5", "*/5" or a list like "1,5"'],
  ["0 9 * JANFEB *", 'month "JANFEB" is not a name; did you mean "JAN"?'],
  ["0 9 * * MONTUE", 'day-of-week "MONTUE" is not a name; did you mean "MON"?'],
  [
    "0 9 * * 0SUN",
    'day-of-week "0SUN" is not understood; write "1", "MON-FRI", "MON#2", "5L" or a list like "MON,WED"',
  ],
  ["? * * * *", 'minute "?" stands for any day, in the day fields only; write "*"'],
  ["0 9 L-31 * *", 'day-of-month "L-31" is before the month; the days before the last are L-1 to L-30'],
  ["0 9 * * L", 'day-of-week "L" needs a day; write "5L" for the last Friday of the month'],
  ["0 9 * * MON#6", 'day-of-week "MON#6" names no week within 1-5 after its #'],
  ["0 0 30 2 *", 'never fires: month "2" never has a day-of-month "30"; write days that exist'],
  ["0 0 31 2,4,6,9,11 *", 'never fires: month "2,4,6,9,11" never has a day-of-month "31"; write days that exist'],
  [
    "0 0 7 * +SUN#2",
    'never fires: no month has a day-of-month "7" that is also day-of-week "+SUN#2"; write days that exist',
  ],
  ["@dail", 'macro "@dail" does not exist; did you mean "@daily"?'],
  ["@reboot", 'macro "@reboot" has no instant; trigger the job when your process starts'],
  ["@every", 'macro "@every" needs a duration; write it like "@every 90s" or "@every 1h30m"'],
  ["@every 500ms", 'macro "@every" takes 1s to 36525d; "500ms" is too short'],
  ["@every 5", 'duration "5" is not whole numbers with units; write it like "500ms", "30s" or "1h30m"'],
])("%s says what is wrong and what to write", (text, said) => {
  expect(thrownBy(() => cron(text))).toMatchObject({
    code: "INVALID_INPUT",
    path: "cron",
    message: `cron "${text}": ${said}`,
  });
});

test.each([
  [undefined, "cron must be text, not undefined"],
  [5, "cron must be text, not number"],
  ["* ".repeat(200), "cron of 399 characters is too long; at most 256 are taken"],
])("%j is no cron text", (text, message) => {
  expect(thrownBy(() => cron(text as string))).toMatchObject({ path: "cron", message });
});

test.each([
  [{ gap: "shift" }, 'dst.gap "shift" is not one of next, skip'],
  [{ overlap: "second" }, 'dst.overlap "second" is not one of first, last, both'],
  [{ gaps: "next" }, 'dst has no "gaps"; it takes gap and overlap'],
  ["skip", "dst must be an object, not skip"],
  [["skip"], "dst must be an object, not [ 'skip' ]"],
  [{ gap: null }, 'dst.gap "null" is not one of next, skip'],
])("dst %j is refused", (dst, message) => {
  expect(thrownBy(() => cron("* * * * *", { dst: dst as Dst }))).toMatchObject({ path: "dst", message });
});

test.each([
  ["europe/paris", "Europe/Paris"],
  ["utc", "UTC"],
  ["Etc/GMT", "UTC"],
  ["Asia/Kolkata", "Asia/Kolkata"],
  ["Europe/Kyiv", "Europe/Kyiv"],
  ["us/eastern", "America/New_York"],
])("zone %s is taken as %s", (given, name) => {
  expect(checkZone(given)).toBe(name);
  expect(cron("@daily", { timezone: given }).timezone).toBe(name);
});

test.each([
  ["Europe/Parris", 'timezone "Europe/Parris" is not a zone that this Node knows; did you mean "Europe/Paris"'],
  ["New York", 'did you mean "America/New_York"?'],
  ["Pariss", 'did you mean "Europe/Paris"'],
  ["Tokio", 'did you mean "Asia/Tokyo"'],
  ["America/Paris", 'did you mean "Europe/Paris"'],
  [null, 'timezone must be a name like "Europe/Paris", not null'],
  ["+02:00", 'timezone "+02:00" is a fixed offset, which knows no clock changes; name a place like "Europe/Paris"'],
  ["UTC+2", 'timezone "UTC+2" is a fixed offset'],
  ["BST", 'timezone "BST" means different zones in different places; name a place like "America/New_York"'],
  ["qqqqqq", 'is not a zone that this Node knows; name a place like "Europe/Paris", or UTC'],
  ["", 'timezone must be a name like "Europe/Paris", not empty'],
  [7, 'timezone must be a name like "Europe/Paris", not number'],
  ["x".repeat(100_000), `timezone "${"x".repeat(64)}" is not a zone`],
])("zone %j is refused with what to write", (given, said) => {
  const error = thrownBy(() => checkZone(given));

  expect(error).toMatchObject({ code: "INVALID_INPUT", path: "timezone", message: expect.stringContaining(said) });
});

const iso = (at: number | null) => at && new Date(at).toISOString();

test("clock changes come with the minutes before and after, both ends included", () => {
  const from = Date.parse("2026-03-29T01:00:00Z");
  const to = Date.parse("2026-10-25T01:00:00Z");

  expect(changes("Europe/Dublin", from, to)).toEqual([
    { at: from, before: 0, after: 60 },
    { at: to, before: 60, after: 0 },
  ]);
  expect(changes("Europe/Dublin", from + 1, to - 1)).toEqual([]);
  expect(changes("Africa/Monrovia", 0, Date.UTC(1973, 0))).toEqual([
    { at: Date.parse("1972-01-07T00:44:30Z"), before: -44.5, after: 0 },
  ]);
  expect(changes("Europe/Paris", 0, Infinity).length).toBeLessThan(250);
});

test("a week between two changes of a zone is seen", () => {
  const found = changes("Asia/Gaza", Date.UTC(2040, 9, 1), Date.UTC(2040, 10, 1));

  expect(found.map(({ at }) => iso(at))).toEqual(["2040-10-20T00:00:00.000Z", "2040-10-26T23:00:00.000Z"]);
});

test("`last` fires in the second pass only", () => {
  const { next } = cron("30 1 * * *", { timezone: "America/New_York", dst: { overlap: "last" } });

  const first = next(Date.parse("2026-10-31T12:00:00Z"))!;

  expect([iso(first), iso(next(first))]).toEqual(["2026-11-01T06:30:00.000Z", "2026-11-02T06:30:00.000Z"]);
});

test("a day that its zone skipped is dropped, unless `next` asks for what it swallowed", () => {
  const after = Date.parse("2011-12-30T00:00:00Z");
  const noon = { timezone: "Pacific/Apia" };

  expect(iso(cron("0 12 * * *", noon).next(after))).toBe("2011-12-30T22:00:00.000Z");
  expect(iso(cron("0 12 * * *", { ...noon, dst: { gap: "next" } }).next(after))).toBe("2011-12-30T10:00:00.000Z");
});

test("what falls into a skipped gap every year is over", () => {
  const { next, prev } = cron("30 2 * 3 SUN#2", { timezone: "America/New_York", dst: { gap: "skip" } });

  expect(next(Date.UTC(2026, 0))).toBeNull();
  expect(iso(prev(Date.UTC(2026, 0)))).toBe("2006-03-12T07:30:00.000Z");
});

test("@every counts from 1970, whatever the zone", () => {
  const { next, prev, text } = cron("  @EVERY 1h30m ", { timezone: "Asia/Kathmandu" });

  expect(text).toBe("@EVERY 1h30m");
  expect([next(0), next(5_400_000), next(5_399_999), next(-1)]).toEqual([5_400_000, 10_800_000, 5_400_000, 0]);
  expect([prev(5_400_000), prev(5_400_001), prev(0)]).toEqual([0, 5_400_000, null]);
});

test.each([
  ["@yearly", "0 0 1 1 *"],
  ["@annually", "0 0 1 1 *"],
  ["@monthly", "0 0 1 * *"],
  ["@weekly", "0 0 * * 0"],
  ["@daily", "0 0 * * *"],
  ["@Midnight", "0 0 * * *"],
  ["@hourly", "0 * * * *"],
])("%s is %s", (macro, text) => {
  const after = Date.parse("2026-11-20T12:34:56Z");

  expect(cron(macro).next(after)).toBe(cron(text).next(after));
});

test.each([
  ["7", "0"],
  ["7-2", "0-2"],
  ["7/3", "0,3,6"],
  ["sun/3", "0,3,6"],
  ["MON/2", "1,3,5"],
  ["1/3", "1,4"],
  ["4-7", "0,4,5,6"],
  ["SAT-SUN", "0,6"],
  ["FRI-MON/2", "0,5"],
  ["*/3", "0,3,6"],
  ["7L,7#2", "0L,0#2"],
])("day-of-week %s is %s", (text, numbers) => {
  const [a, b] = [cron(`0 0 * * ${text}`), cron(`0 0 * * ${numbers}`)];
  const from = Date.parse("2026-11-20T00:00:00Z");

  for (let at = from, i = 0; i < 20; at = b.next(at)!, i++) expect(a.next(at)).toBe(b.next(at));
});

test("values that a list names twice count once", () => {
  const doubled = cron("*/15,0,10-20,15 9,9 1,1 * MON-FRI,1-5");

  const after = Date.parse("2026-11-20T09:11:30Z");

  expect(iso(doubled.next(after))).toBe("2026-11-20T09:12:00.000Z");
  expect(iso(cron("*,*,0-59,0-58,0-57,0-56 * * * *").next(after))).toBe("2026-11-20T09:12:00.000Z");
});

test("there is nothing before 1970 to go back to, nor after the end of Date", () => {
  const { next, prev } = cron("0 0 29 2 *", { timezone: "Asia/Tokyo" });

  expect([prev(0), prev(-1), prev(Date.UTC(1972, 1, 28))]).toEqual([null, null, null]);
  expect(iso(prev(Date.UTC(1972, 1, 29)))).toBe("1972-02-28T15:00:00.000Z");
  expect([next(8.64e15), next(8.64e15 - 1), next(Infinity), prev(-Infinity)]).toEqual([null, null, null, null]);
  expect(iso(prev(Infinity))).toBe("+275760-02-28T15:00:00.000Z");
  expect(iso(next(-Infinity))).toBe("-271820-02-28T14:41:01.000Z");
  expect(() => next(NaN)).toThrow('instant "NaN" is not a number of milliseconds');
});

test("no schedule takes long to answer, however far its next tick is", () => {
  const far: readonly (readonly [string, Dst?])[] = [
    ["0 0 29 2 *"],
    ["0 0 0 29 2 +MON"],
    ["59 59 23 L-28 2 +SUN"],
    ["30 2 * 3 SUN#2", { gap: "skip" }],
    ["30 2 * 3 7L", { gap: "skip" }],
  ];
  const zones = Intl.supportedValuesOf("timeZone").filter((_, i) => i % 10 === 0);
  const schedules = far.flatMap(([text, dst]) => zones.map((timezone) => cron(text, { timezone, dst })));
  const startMs = performance.now();

  for (const { next, prev } of schedules) {
    next(Date.UTC(2096, 1, 29));
    prev(Date.UTC(2096, 1, 29));
  }

  expect((performance.now() - startMs) / schedules.length / 2).toBeLessThan(50);
});
