import { describe, expect, test } from "vitest";
import { z } from "zod";
import { WaitTimeout } from "../../sdk/port/error.ts";
import { defineJob } from "../../sdk/job.ts";
import { slot } from "../../sdk/client/scope.ts";
import { fakeClock, testRuntime } from "../../runtime/testing/index.ts";

describe("the fake clock", () => {
  test("rings what falls due on its way, in order, each at its instant", () => {
    const clock = fakeClock("2030-01-01T00:00:00Z");
    const rung: string[] = [];
    const ring = (name: string, at: number): void => clock.alarm(() => rung.push(`${name} ${clock.ticks()}`)).set(at);

    ring("b", 2000);
    ring("a", 1000);
    ring("c", 9000);
    clock.advance("5s");

    expect(rung).toEqual(["a 1000", "b 2000"]);
    expect(clock.now()).toEqual(new Date("2030-01-01T00:00:05Z"));
  });

  test("refuses to start at what is no date", async () => {
    expect(() => fakeClock("tomorrow")).toThrow('"tomorrow" is no date; write it like "2030-01-01T00:00:00Z"');
    await expect(testRuntime({ now: new Date(Number.NaN), jobs: [] })).rejects.toThrow("is no date");
  });
});

describe("testRuntime", () => {
  test("runs what is triggered, and a month passes at once", async () => {
    const started: Date[] = [];
    await using runtime = await testRuntime({ jobs: [] });
    const job = defineJob({
      id: "job",
      schema: z.number(),
      handler: (n) => (started.push(runtime.clock.now()), n + 1),
    });
    runtime.register(job);

    const run = await job.trigger(1, { delay: "30d" });
    await runtime.advance("29d");
    const early = started.length;
    await runtime.advance("2d");

    expect(early).toBe(0);
    expect(started).toEqual([new Date("2030-01-31T00:00:00Z")]);
    expect(await run.result()).toBe(2);
  });

  test("retries and timeouts follow the clock", async () => {
    let attempts = 0;
    const job = defineJob({
      id: "job",
      schema: z.void(),
      timeout: "10m",
      retry: { attempts: 2, delay: "1h" },
      handler: (_payload, { signal }) =>
        ++attempts === 1 ? new Promise((_, no) => signal.addEventListener("abort", no)) : "second",
    });
    await using runtime = await testRuntime({ jobs: [job] });

    const run = await job.trigger();
    await runtime.advance("2h");

    expect(attempts).toBe(2);
    expect(await run.result()).toBe("second");
  });

  test("idle waits for handlers that wait for something real, and for what they trigger", async () => {
    const ended: string[] = [];
    const child = defineJob({ id: "child", schema: z.void(), handler: () => void ended.push("child") });
    const parent = defineJob({
      id: "parent",
      schema: z.void(),
      handler: async () => {
        await new Promise((resolve) => setTimeout(resolve, 5)); // real time: no clock of the test moves it
        await child.trigger();
        ended.push("parent");
      },
    });
    await using runtime = await testRuntime({ jobs: [parent, child] });

    await parent.trigger();
    await runtime.idle();

    expect(ended.sort()).toEqual(["child", "parent"]);
  });

  test("what waits for a paused queue or another job's code does not keep it from being idle", async () => {
    const job = defineJob({ id: "job", schema: z.void(), handler: () => undefined });
    const other = defineJob({ id: "other", schema: z.void(), handler: () => undefined });
    await using runtime = await testRuntime({ jobs: [job] });
    await runtime.store.desk.pause("default", true);

    await job.trigger();
    await other.trigger();

    await expect(runtime.idle()).resolves.not.toThrow(WaitTimeout);
  });

  test("takes the triggers of this process until it stops", async () => {
    const runtime = await testRuntime({ jobs: [] });
    const during = slot().configured;

    await runtime.stop();

    expect(during).toMatchObject({ kind: "store" });
    expect(slot().configured).toBeNull();
    expect(runtime.state).toBe("stopped");
  });
});
