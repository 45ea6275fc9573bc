import fc from "fast-check";
import { expect, test } from "vitest";
import { duration, humanMs, longestMs, toMs, type DurationText } from "../../../sdk/port/duration.ts";
import { InvalidInput } from "../../../sdk/port/error.ts";

test.each<[DurationText, number]>([
  ["500ms", 500],
  ["30s", 30_000],
  ["10m", 600_000],
  ["1h30m", 5_400_000],
  ["2d", 172_800_000],
  ["0s", 0],
  ["1m1s1ms", 61_001],
])("%s is %d ms", (text, ms) => {
  expect(toMs(text)).toBe(ms);
});

test.each([
  "",
  "5",
  "s",
  "-5s",
  "1.5s",
  "5 s",
  " 5s",
  "5s ",
  "5S",
  "5 minutes",
  "1e3s",
  "5s\n",
  "٣s",
  "1h-5m",
  "1s1s1s1s1s1s",
  `${"9".repeat(60)}d`,
])("%j is refused", (text) => {
  expect(() => duration(text as DurationText)).toThrow(InvalidInput);
});

test.each([undefined, null, 5, {}, ["5s"], 5n, Symbol("s")])("what is no text is refused", (value) => {
  expect(() => duration(value as never)).toThrow(InvalidInput);
});

test("a hundred years are taken, and not a day more", () => {
  expect(toMs("36525d")).toBe(longestMs);
  expect(() => toMs("36526d")).toThrow("longer than 100 years");
});

test("100 KB of digits are refused within 50 ms", () => {
  const texts = ["1".repeat(100_000), `${"1".repeat(100_000)}s`, "1s".repeat(50_000)];
  const startMs = performance.now();

  for (const text of texts) expect(() => duration(text as DurationText)).toThrow(InvalidInput);

  expect(performance.now() - startMs).toBeLessThan(50);
});

test("parts add up, in any order", () => {
  const unit = fc.constantFrom(["ms", 1], ["s", 1000], ["m", 60_000], ["h", 3_600_000], ["d", 86_400_000] as const);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(999), unit), { minLength: 1, maxLength: 5 }), (parts) => {
      const text = parts.map(([count, [name]]) => `${count}${name}`).join("") as DurationText;

      expect(toMs(text)).toBe(parts.reduce((sum, [count, [, ms]]) => sum + count * Number(ms), 0));
    }),
  );
});

test.each([
  [900, "900ms"],
  [2100, "2.1s"],
  [2000, "2s"],
  [200_000, "3m 20s"],
  [7_500_000, "2h 5m"],
  [273_600_000, "3d 4h"],
])("%d ms reads %s", (ms, text) => {
  expect(humanMs(ms)).toBe(text);
});
