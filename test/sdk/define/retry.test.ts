import fc from "fast-check";
import { expect, test } from "vitest";
import { AbortError, InvalidInput, InvalidPayload } from "../../../sdk/port/error.ts";
import { merge, nextDelayMs, policy, type RetryOptions } from "../../../sdk/define/retry.ts";
import { RetryAfterError, Snooze, snooze } from "../../../sdk/define/signal.ts";

const boom = new Error("boom");
const middle = (): number => 0.5; // no jitter

test("by default there are three attempts, exponential from 1s, capped at 10m, with jitter", () => {
  expect(policy()).toEqual({
    attempts: 3,
    backoff: "exponential",
    delayMs: 1000,
    maxDelayMs: 600_000,
    jitter: true,
    next: null,
  });
});

test("exponential delays double up to the cap", () => {
  const exponential = policy({ attempts: 1000, delay: "1s", maxDelay: "5s", jitter: false });

  const delays = [1, 2, 3, 4, 5, 900].map((spent) => nextDelayMs(exponential, spent, boom));

  expect(delays).toEqual([1000, 2000, 4000, 5000, 5000, 5000]);
});

test("fixed delays stay the same, also those longer than the default cap", () => {
  const fixed = policy({ attempts: 5, backoff: "fixed", delay: "1h" });

  expect([1, 2, 4].map((spent) => nextDelayMs(fixed, spent, boom, middle))).toEqual([3_600_000, 3_600_000, 3_600_000]);
});

test("the last attempt has no next", () => {
  expect(nextDelayMs(policy({ attempts: 3 }), 2, boom, middle)).toBe(2000);
  expect(nextDelayMs(policy({ attempts: 3 }), 3, boom, middle)).toBeNull();
  expect(nextDelayMs(policy({ attempts: 1 }), 1, boom, middle)).toBeNull();
});

test("jitter spreads by at most 20 % and never passes the cap", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30 }), fc.double({ min: 0, max: 0.999, noNaN: true }), (spent, random) => {
      const delayMs = nextDelayMs(policy({ attempts: 100, maxDelay: "1m" }), spent, boom, () => random)!;
      const plainMs = Math.min(1000 * 2 ** (spent - 1), 60_000);

      expect(delayMs).toBeGreaterThanOrEqual(Math.floor(plainMs * 0.8));
      expect(delayMs).toBeLessThanOrEqual(Math.min(Math.ceil(plainMs * 1.2), 60_000));
    }),
  );
});

test("a function decides by attempt and error, and ends with false", () => {
  const byHand = policy((attempt, error) => (error.message === "boom" && attempt < 3 ? `${attempt}m` : false));

  expect([1, 2, 3].map((spent) => nextDelayMs(byHand, spent, boom))).toEqual([60_000, 120_000, null]);
  expect(nextDelayMs(byHand, 1, new Error("other"))).toBeNull();
});

test("a function is given an Error, whatever was thrown", () => {
  const seen: unknown[] = [];

  nextDelayMs(
    policy((_, error) => (seen.push(error), "1s")),
    1,
    undefined,
  );

  expect(seen[0]).toBeInstanceOf(Error);
});

test.each<[string, () => never]>([
  [
    "throws",
    () => {
      throw new Error("bug");
    },
  ],
  ["answers nonsense", () => "soon" as never],
  ["answers nothing", () => undefined as never],
  ["answers more than a year", () => "366d" as never],
])("where a function %s, the default policy decides", (_, broken) => {
  expect([1, 2, 3].map((spent) => nextDelayMs(policy(broken), spent, boom, middle))).toEqual([1000, 2000, null]);
});

test("an AbortError and a refused payload end it at once", () => {
  expect(nextDelayMs(policy({ attempts: 10 }), 1, new AbortError("no"))).toBeNull();
  expect(
    nextDelayMs(
      policy(() => "1s"),
      1,
      new AbortError("no"),
    ),
  ).toBeNull();
  expect(nextDelayMs(policy(), 1, new InvalidPayload("job", [{ path: "a", message: "bad" }]))).toBeNull();
});

test("a RetryAfterError says its own delay, within the attempts", () => {
  const error = new RetryAfterError("7m", "rate limited");

  expect(nextDelayMs(policy({ attempts: 2 }), 1, error)).toBe(420_000);
  expect(nextDelayMs(policy({ attempts: 2 }), 2, error)).toBeNull();
  expect(() => new RetryAfterError("soon" as "1s")).toThrow(InvalidInput);
});

test("snooze throws its delay", () => {
  expect(() => snooze("5m")).toThrow(Snooze);
  expect(new Snooze("5m").delayMs).toBe(300_000);
});

test.each<[string, unknown]>([
  ["retry.attempts", { attempts: 0 }],
  ["retry.attempts", { attempts: 1001 }],
  ["retry.attempts", { attempts: 1.5 }],
  ["retry.attempts", { attempts: "3" }],
  ["retry.delay", { delay: "366d" }],
  ["retry.maxDelay", { maxDelay: "400d" }],
  ["retry.maxDelay", { delay: "2m", maxDelay: "1m" }],
  ["retry.backoff", { backoff: "linear" }],
  ["retry.jitter", { jitter: 0.2 }],
  ["retry", null],
  ["retry", 3],
])("%s out of its range is refused: %j", (path, options) => {
  expect(() => policy(options as RetryOptions)).toThrow(expect.objectContaining({ code: "INVALID_INPUT", path }));
});

test("what a trigger overrides replaces the job's, and nothing else", () => {
  const own = policy({ attempts: 5, delay: "2s" });

  expect(merge(own, undefined)).toBe(own);
  expect(merge(own, { attempts: 9 })).toEqual({ ...own, attempts: 9 });
  expect(merge(own, { backoff: "fixed", delayMs: 3_600_000, jitter: false })).toEqual({
    ...own,
    backoff: "fixed",
    delayMs: 3_600_000,
    maxDelayMs: 3_600_000,
    jitter: false,
  });
});

test("overriding attempts keeps a function; overriding its delay replaces it", () => {
  const byHand = policy(() => "1s");

  expect(merge(byHand, { attempts: 2 })).toEqual({ ...byHand, attempts: 2 });
  expect(merge(byHand, { delayMs: 5000 })).toMatchObject({
    attempts: 3,
    backoff: "exponential",
    delayMs: 5000,
    next: null,
  });
});
