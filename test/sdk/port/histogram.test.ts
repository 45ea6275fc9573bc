import fc from "fast-check";
import { expect, test } from "vitest";
import { count, merge, percentile } from "../../../sdk/port/histogram.ts";

const counted = (spans: readonly number[]): number[] => {
  const histogram: number[] = [];
  for (const ms of spans) count(histogram, ms);
  return histogram;
};
/** The exact one: the smallest of which at least this share is not longer. */
const exact = (spans: readonly number[], share: number): number =>
  spans.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(share * spans.length) - 1)]!;

test("a percentile is at most a class off: 19 %, and a millisecond below that", () => {
  const span = fc.oneof(fc.double({ min: 0, max: 5, noNaN: true }), fc.double({ min: 0, max: 1e12, noNaN: true }));
  fc.assert(
    fc.property(fc.array(span, { minLength: 1 }), fc.constantFrom(0.5, 0.95, 0.99), (spans, share) => {
      const [found, right] = [percentile(counted(spans), share)!, exact(spans, share)];
      expect(found).toBeGreaterThanOrEqual(right < 1 ? 0 : right / 2 ** 0.25 - 1e-9);
      expect(found).toBeLessThanOrEqual(right < 1 ? 1 : right * 2 ** 0.25 * (1 + 1e-9));
    }),
  );
});

test("where durations are spread over a class, the percentile is within it by their share", () => {
  const spans = Array.from({ length: 1000 }, (_, n) => 1000 + n);

  for (const share of [0.5, 0.95, 0.99])
    expect(Math.abs(percentile(counted(spans), share)! / exact(spans, share) - 1)).toBeLessThan(0.09);
});

test("what is merged is as if all had been counted in one", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1e9)), fc.array(fc.nat(1e9)), (a, b) => {
      const both = counted(a);
      merge(both, counted(b));
      expect(both).toEqual(counted([...a, ...b]));
    }),
  );
});

test("of nothing there is no percentile, and no duration is too long or too short", () => {
  expect(percentile([], 0.5)).toBeNull();
  expect(percentile([0, 0], 0.5)).toBeNull();
  expect(percentile(counted([0]), 0.5)).toBeLessThan(1);
  expect(counted([0])).toEqual([1]);
  expect(counted([Number.MAX_SAFE_INTEGER, 1e300])).toHaveLength(165);
});
