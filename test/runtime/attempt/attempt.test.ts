import { describe, expect, test, vi } from "vitest";
import { AbortError, AttemptTimeout, InvalidPayload, Stopping } from "../../../sdk/port/error.ts";
import { policy } from "../../../sdk/define/retry.ts";
import { RetryAfterError, Skip, Snooze } from "../../../sdk/define/signal.ts";
import { next } from "../../../runtime/attempt/attempt.ts";

const unreadable = {
  get code(): string {
    throw new Error("no");
  },
};
const { proxy: revoked, revoke } = Proxy.revocable({}, {});
revoke();
const thrice = policy({ attempts: 3, delay: "1s", jitter: false });

describe("what becomes of a run", () => {
  test("a result completes it", () => {
    const result = { json: "1", meta: null };

    expect(next({ how: "returned", result }, 1, thrice)).toEqual({ to: "completed", result, reason: null, note: null });
  });

  test("an error is followed by another attempt, later each time", () => {
    const boom = { how: "threw", error: new Error("boom") } as const;

    expect(next(boom, 1, thrice)).toMatchObject({ to: "pending", delayMs: 1000, spent: true, outcome: "error" });
    expect(next(boom, 2, thrice)).toMatchObject({ to: "pending", delayMs: 2000, spent: true });
    expect(next(boom, 3, thrice)).toMatchObject({ to: "failed", reason: "error", error: { message: "boom" } });
  });

  test("a timeout is tried again like an error, and named in the end", () => {
    const late = { how: "timeout", error: new AttemptTimeout("run_1", 50) } as const;

    expect(next(late, 1, thrice)).toMatchObject({ to: "pending", outcome: "timeout" });
    expect(next(late, 3, thrice)).toMatchObject({ to: "failed", reason: "timeout" });
  });

  test("AbortError ends it at once", () => {
    expect(next({ how: "threw", error: new AbortError("no use") }, 1, thrice)).toMatchObject({
      to: "failed",
      reason: "error",
    });
  });

  test("RetryAfterError says the delay", () => {
    expect(next({ how: "threw", error: new RetryAfterError("90s") }, 1, thrice)).toMatchObject({
      to: "pending",
      delayMs: 90_000,
      spent: true,
    });
    expect(next({ how: "threw", error: new RetryAfterError("90s") }, 3, thrice)).toMatchObject({ to: "failed" });
  });

  test("a snooze spends no attempt, even after the last one", () => {
    expect(next({ how: "threw", error: new Snooze("5m") }, 3, thrice)).toMatchObject({
      to: "pending",
      delayMs: 300_000,
      spent: false,
      outcome: "snoozed",
    });
  });

  test("one that its process stopped is told apart from a snooze, and spends no attempt either", () => {
    const error = new Error("stopping");

    expect(next({ how: "stopped", error }, 3, thrice)).toMatchObject({
      to: "pending",
      spent: false,
      outcome: "released",
    });
  });

  test("a skip completes it, with a note", () => {
    expect(next({ how: "threw", error: new Skip("paid already") }, 1, thrice)).toMatchObject({
      to: "completed",
      reason: "skipped",
      note: "paid already",
    });
  });

  test("what the schema refuses is never tried again", () => {
    const error = new InvalidPayload("job", [{ path: "a", message: "wrong" }]);

    expect(next({ how: "refused", error }, 1, thrice)).toMatchObject({ to: "failed", reason: "error" });
  });

  test("an attempt that a shutdown stopped is given back unspent", () => {
    expect(next({ how: "stopped", error: new Stopping("30s") }, 3, thrice)).toMatchObject({
      to: "pending",
      delayMs: 0,
      spent: false,
    });
  });

  test.each([
    ["an object whose code can't be read", unreadable],
    ["a revoked proxy", revoked],
    ["an object that looks like a skip", { code: "SKIP", reason: Object.create(null) as unknown }],
    ["an object that asks for an endless delay", { code: "RETRY_AFTER", delayMs: Infinity }],
  ])("%s can be thrown, and is an error like any other", (_what, error) => {
    expect(next({ how: "threw", error }, 1, thrice)).toMatchObject({ to: "pending", delayMs: 1000, outcome: "error" });
    expect(next({ how: "threw", error }, 3, thrice)).toMatchObject({ to: "failed", error: { name: "NonError" } });
  });

  test.each(["ABORT", "INVALID_PAYLOAD", "SKIP", "SNOOZE", "RETRY_AFTER"])(
    "an error of somebody else's with the code %s is tried again as any other",
    (code) => {
      const error = Object.assign(new Error("aborted"), { code, delayMs: 5 });

      expect(next({ how: "threw", error }, 1, thrice)).toMatchObject({ to: "pending", delayMs: 1000, spent: true });
    },
  );

  test("a signal of a second copy of this module counts, too", async () => {
    vi.resetModules();
    const copy = await import("../../../sdk/define/signal.ts");

    expect(copy.Skip).not.toBe(Skip);
    expect(next({ how: "threw", error: new copy.Skip("done") }, 1, thrice)).toMatchObject({ reason: "skipped" });
  });

  test("a signal whose fields were tampered with does no harm", () => {
    const skip = Object.assign(new Skip("why"), { reason: Object.create(null) as unknown });
    const later = Object.assign(new RetryAfterError("5s"), { delayMs: Infinity });
    const snooze = Object.assign(new Snooze("5s"), { delayMs: Number.NaN });

    expect(next({ how: "threw", error: skip }, 1, thrice)).toMatchObject({ reason: "skipped", note: null });
    expect(next({ how: "threw", error: later }, 1, thrice)).toMatchObject({ delayMs: 1000 });
    expect(next({ how: "threw", error: snooze }, 1, thrice)).toMatchObject({ delayMs: 0, spent: false });
  });

  test("undefined can be thrown", () => {
    expect(next({ how: "threw", error: undefined }, 3, thrice)).toMatchObject({
      to: "failed",
      error: { message: "undefined was thrown" },
    });
  });
});
