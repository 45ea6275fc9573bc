import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { every, StoreClock, systemClock, wait, within } from "../../../runtime/core/clock.ts";
import { fakeClock } from "../../../runtime/testing/clock.ts";
import { turns } from "../kit.ts";

describe("the system's clock", () => {
  beforeEach(
    () =>
      void vi.useFakeTimers({
        toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate", "performance"],
      }),
  );
  afterEach(() => void vi.useRealTimers());

  test("an alarm longer than 2^31-1 ms rings at its instant, not at once", () => {
    const ring = vi.fn();
    const alarm = systemClock.alarm(ring);
    const farMs = 2 ** 31 + 10_000;

    alarm.set(systemClock.ticks() + farMs);
    vi.advanceTimersByTime(farMs - 1);
    const before = ring.mock.calls.length;
    vi.advanceTimersByTime(2);

    expect(before).toBe(0);
    expect(ring).toHaveBeenCalledOnce();
  });

  test("an alarm that is set to an earlier instant rings then, and only then", () => {
    const ring = vi.fn();
    const alarm = systemClock.alarm(ring);

    alarm.set(systemClock.ticks() + 1000);
    alarm.set(systemClock.ticks() + 10);
    vi.advanceTimersByTime(12);
    const early = ring.mock.calls.length;
    vi.advanceTimersByTime(2000);

    expect(early).toBe(1);
    expect(ring).toHaveBeenCalledOnce();
  });

  test("an alarm that is set to a later instant does not ring at the earlier one", () => {
    const ring = vi.fn();
    const alarm = systemClock.alarm(ring);

    alarm.set(systemClock.ticks() + 10);
    alarm.set(systemClock.ticks() + 1000);
    vi.advanceTimersByTime(999);
    const early = ring.mock.calls.length;
    vi.advanceTimersByTime(3);

    expect(early).toBe(0);
    expect(ring).toHaveBeenCalledOnce();
  });

  test("an alarm that was cleared never rings", () => {
    const ring = vi.fn();
    const alarm = systemClock.alarm(ring);

    alarm.set(systemClock.ticks() + 10);
    alarm.clear();
    vi.advanceTimersByTime(1000);

    expect(ring).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});

test("an alarm of the system's clock is never early", async () => {
  const at = systemClock.ticks() + 7.3;

  await new Promise<void>((resolve) => systemClock.alarm(resolve).set(at));

  expect(systemClock.ticks()).toBeGreaterThanOrEqual(at);
});

describe("the store's clock", () => {
  const ticking = (): { clock: ReturnType<typeof fakeClock>; store: StoreClock } => {
    const clock = fakeClock();
    return { clock, store: new StoreClock(clock) };
  };

  test("is a lower bound: the store had reached what it shows when the answer came", () => {
    const { clock, store } = ticking();

    clock.advance(100);
    store.observe(5000, 20, 100);

    expect(store.now()).toBe(5000);
  });

  test("keeps the best of several answers", () => {
    const { clock, store } = ticking();
    clock.advance(100);
    store.observe(5000, 90, 100);

    clock.advance(100);
    store.observe(5050, 100, 200); // a slow answer says less

    expect(store.now()).toBe(5100);
  });

  test("follows a store whose clock was set back", () => {
    const { clock, store } = ticking();
    clock.advance(100);
    store.observe(5000, 100, 100);

    clock.advance(100);
    store.observe(1000, 200, 200);

    expect(store.now()).toBe(1000);
  });

  test("allows for drift since the last answer", () => {
    const clock = { ...fakeClock(), drift: 0.01 };
    const store = new StoreClock(clock);
    store.observe(5000, 0, 0);

    clock.advance(1000);

    expect(store.now()).toBe(5990);
    expect(store.tickAt(5990)).toBeCloseTo(1000, 6);
  });

  test("shows nothing before the first answer; what dates are made of then is this machine's", () => {
    const { store } = ticking();

    expect(store.now()).toBe(-Infinity);
    expect(store.tickAt(5000)).toBe(Infinity);
    expect(Math.abs(store.date().getTime() - Date.now())).toBeLessThan(60_000);
  });

  test("that is no longer trusted shows what it did until the next answer, which then counts alone", () => {
    const { clock, store } = ticking();
    store.observe(5000, 0, 0);

    store.drop();
    clock.advance(100);
    const before = store.now();
    store.observe(5060, 0, 100); // another machine's, and a slow answer: it says less than what was known

    expect(before).toBe(5100);
    expect(store.now()).toBe(5060);
    expect(store.date()).toEqual(new Date(5060));
  });
});

test("waiting ends at its instant, or when the signal aborts", async () => {
  const clock = fakeClock();
  const stop = new AbortController();
  const ended: string[] = [];

  void wait(clock, 1000, stop.signal).then(() => ended.push("instant"));
  void wait(clock, 9000, stop.signal).then(() => ended.push("abort"));
  clock.advance(999);
  await turns();
  const early = [...ended];
  clock.advance(1);
  await turns();
  stop.abort();
  await turns();

  expect(early).toEqual([]);
  expect(ended).toEqual(["instant", "abort"]);
});

test("a loop survives a pass that fails, and ends with its signal", async () => {
  const clock = fakeClock();
  const stop = new AbortController();
  const failures: unknown[] = [];
  let passes = 0;

  const pass = (): Promise<void> => (++passes === 1 ? Promise.reject(new Error("once")) : Promise.resolve());
  const loop = every(clock, 1000, pass, (error) => failures.push(error), stop.signal);
  await turns();
  clock.advance(1000);
  await turns();
  stop.abort();
  await loop;

  expect(passes).toBe(2);
  expect(failures).toHaveLength(1);
});

test("what is waited for no longer than its time is left behind, and leaves no timer", async () => {
  const clock = fakeClock();

  const hangs = within(clock, new Promise(() => undefined), 500);
  clock.advance(500);

  expect(await hangs).toBe(false);
  expect(await within(clock, Promise.reject(new Error("ended")), 900)).toBe(true);
  expect(clock.nextMs()).toBe(Infinity);
});
