import { describe, expect, test, vi } from "vitest";
import { encode } from "../../../sdk/port/codec.ts";
import { RunFailed, RunNotFound, WaitTimeout, WrongState } from "../../../sdk/port/error.ts";
import { toHandle, type RunHandle } from "../../../sdk/client/handle.ts";
import type { RunRecord } from "../../../sdk/port/target.ts";
import { aRecord, recorder, type Answers } from "./recorder.ts";

const added = { id: 1, created: true, conflict: false };

/** A handle on run 1 of a store that answers so. */
function handleOn(answers: Answers): RunHandle {
  return toHandle(recorder(answers), added);
}

/** A handle on a run that has ended. */
function ended(overrides: Partial<RunRecord>): RunHandle {
  return handleOn({ find: { awaited: async () => aRecord(overrides) } });
}

describe("result", () => {
  test("is what the handler returned, decoded", async () => {
    const handle = ended({ status: "completed", result: encode({ at: new Date(5), n: 1n }, "result") });

    expect(await handle.result()).toEqual({ at: new Date(5), n: 1n });
  });

  test("is undefined for nothing returned, and for a skipped run", async () => {
    expect(await ended({ status: "completed", result: encode(undefined, "result") }).result()).toBeUndefined();
    expect(await ended({ status: "completed", reason: "skipped", result: null }).result()).toBeUndefined();
  });

  test("of a failed run throws, with the handler's error as cause", async () => {
    const handle = ended({
      status: "failed",
      reason: "error",
      error: { name: "TypeError", message: "boom", stack: "TypeError: boom\n at x" },
    });

    const error = await handle.result().catch((thrown: unknown) => thrown);

    expect(error).toBeInstanceOf(RunFailed);
    expect(error).toMatchObject({
      run: "run_1",
      status: "failed",
      reason: "error",
      message: 'run "run_1" failed (error): boom',
    });
    expect((error as RunFailed).cause).toMatchObject({
      name: "TypeError",
      message: "boom",
      stack: "TypeError: boom\n at x",
    });
  });

  test("of a canceled run throws", async () => {
    await expect(ended({ status: "canceled", reason: "user" }).result()).rejects.toMatchObject({
      code: "RUN_FAILED",
      status: "canceled",
      reason: "user",
    });
  });

  test("asks again while the store's wait ends without an answer", async () => {
    const awaited = vi.fn(async () => (awaited.mock.calls.length < 3 ? null : aRecord({ status: "completed" })));
    const handle = handleOn({ find: { awaited, get: async () => aRecord() } });

    await handle.result();

    expect(awaited).toHaveBeenCalledTimes(3);
  });

  test("gives up after its timeout, and asks the store to wait no longer than that", async () => {
    const waits: number[] = [];
    const handle = handleOn({
      find: { awaited: async (_, waitMs) => (waits.push(waitMs), null), get: async () => aRecord() },
    });

    await expect(handle.result({ timeout: "30ms" })).rejects.toThrow(WaitTimeout);

    expect(Math.max(...waits)).toBeLessThanOrEqual(30);
  });

  test("of a run that is not there is an error, not a wait", async () => {
    await expect(handleOn({}).result()).rejects.toThrow(RunNotFound);
  });

  test("refuses a timeout that is none", async () => {
    await expect(handleOn({}).result({ timeout: 5 as never })).rejects.toMatchObject({ code: "INVALID_INPUT" });
  });
});

describe("cancel", () => {
  test.each(["done", "asked"] as const)("answers %s as the store does", async (done) => {
    expect(await handleOn({ act: { id: 1, done, status: "canceled" } }).cancel()).toBe(done);
  });

  test("twice is as once", async () => {
    expect(await handleOn({ act: { id: 1, done: "refused", status: "canceled" } }).cancel()).toBe("done");
  });

  test("of a completed run is refused, and of none unknown", async () => {
    await expect(handleOn({ act: { id: 1, done: "refused", status: "completed" } }).cancel()).rejects.toThrow(
      WrongState,
    );
    await expect(handleOn({ act: { id: 1, done: "missing", status: null } }).cancel()).rejects.toThrow(RunNotFound);
  });
});

test("get answers the run, or null once it is purged", async () => {
  const handle = handleOn({ find: { get: async () => aRecord({ status: "completed", result: encode(5, "result") }) } });

  expect(await handle.get()).toMatchObject({ id: "run_1", status: "completed", result: 5 });
  expect(await handleOn({}).get()).toBeNull();
});
