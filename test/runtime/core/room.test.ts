import { describe, expect, test } from "vitest";
import { prefetch, room } from "../../../runtime/core/room.ts";

const free = { slots: 50, busy: 0, ready: 0, future: 0, runMs: Number.NaN };

describe("how much is leased", () => {
  test.each([
    ["nothing is known of the handlers", Number.NaN, 0],
    ["handlers take 10 s", 10_000, 0],
    ["handlers take 100 ms", 100, 50],
    ["handlers take 10 ms", 10, 500],
    ["handlers take no time", 0, 1000],
  ])("beyond the free slots: %s", (_when, runMs, expected) => {
    expect(prefetch(50, runMs)).toBe(expected);
  });

  test("only what has a slot, while nothing is known", () => {
    expect(room({ ...free, busy: 20 })).toMatchObject({ limit: 30, want: true });
  });

  test("nothing while slow handlers have all slots", () => {
    expect(room({ ...free, busy: 50, runMs: 60_000 })).toMatchObject({ limit: 0, want: false });
  });

  test("the next batch before the last one is used up, but not sooner than half of it is", () => {
    const fast = { ...free, busy: 50, runMs: 1 };

    expect(room({ ...fast, ready: 501 }).want).toBe(false);
    expect(room({ ...fast, ready: 500 })).toMatchObject({ limit: 500, want: true });
  });

  test("nothing that falls due later, once as much of it is here as can start", () => {
    expect(room({ ...free, future: 99 }).future).toBe(true);
    expect(room({ ...free, future: 100 }).future).toBe(false);
  });
});
