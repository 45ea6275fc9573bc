import { describe, expect, test, vi, type Mock } from "vitest";
import { z } from "zod";
import { AbortError } from "../../../sdk/port/error.ts";
import { wire } from "../../kit/build.ts";
import { aBench, aJob, deferred, turns } from "../kit.ts";

type Hook = (...args: unknown[]) => unknown;
type Kind = "onStart" | "onSuccess" | "onFailure" | "onCancel";
const hooks = (): Record<Kind, Mock<Hook>> => ({
  onStart: vi.fn(),
  onSuccess: vi.fn(),
  onFailure: vi.fn(),
  onCancel: vi.fn(),
});
const ended = (overrides: object): unknown =>
  expect.objectContaining({ run: "run_1", job: "job", ...overrides }) as unknown;

describe("hooks", () => {
  test("onStart is called before the handler of each attempt, and its failure is the attempt's", async () => {
    const order: string[] = [];
    const given = {
      ...hooks(),
      onStart: vi.fn(() => {
        if (order.push("start") === 1) throw new Error("not yet");
      }),
    };
    const bench = await aBench({ jobs: [aJob(() => order.push("handler"), { hooks: given })] });

    await bench.add();
    await bench.pass(1000);

    expect(order).toEqual(["start", "start", "handler"]);
  });

  test("an onStart that takes its time is waited for, and what it rejects with is the attempt's", async () => {
    const order: string[] = [];
    const given = {
      ...hooks(),
      onStart: vi.fn(async () => {
        await Promise.resolve();
        if (order.push("start") === 1) throw new Error("not yet");
      }),
    };
    const bench = await aBench({ jobs: [aJob(() => order.push("handler"), { hooks: given })] });

    await bench.add();
    await bench.pass(1000);

    expect(order).toEqual(["start", "start", "handler"]);
  });

  test("onSuccess hears of the result, once", async () => {
    const given = hooks();
    const bench = await aBench({ jobs: [aJob(() => ({ at: new Date(7) }), { hooks: given })] });

    await bench.add({ input: wire({ a: 1 }) });
    await bench.pass(1000);

    expect(given.onSuccess).toHaveBeenCalledExactlyOnceWith(
      { a: 1 },
      ended({ result: { at: new Date(7) }, error: null }),
      expect.anything(),
    );
    expect(given.onFailure).not.toHaveBeenCalled();
  });

  test("onFailure hears of the error, after the last attempt only", async () => {
    const given = hooks();
    const bench = await aBench({ jobs: [aJob(() => Promise.reject(new Error("boom")), { hooks: given })] });

    await bench.add();
    await bench.pass(2000);
    const early = given.onFailure.mock.calls.length;
    await bench.pass(3000);

    expect(early).toBe(0);
    expect(given.onFailure).toHaveBeenCalledExactlyOnceWith(
      {},
      ended({ reason: "error", error: expect.objectContaining({ message: "boom" }) as object }),
      expect.anything(),
    );
  });

  test("onFailure is called for a payload that the schema refused, with what was triggered", async () => {
    const given = hooks();
    const bench = await aBench({ jobs: [aJob(() => undefined, { schema: z.string(), hooks: given })] });

    await bench.add({ input: wire({ not: "a string" }) });
    await bench.pass(1000);

    expect(given.onFailure).toHaveBeenCalledExactlyOnceWith(
      { not: "a string" },
      ended({ reason: "error" }),
      expect.anything(),
    );
  });

  test("onFailure is called for a run that expired before it started", async () => {
    const given = hooks();
    const block = deferred();
    const bench = await aBench({
      slots: 1,
      jobs: [aJob(() => block.promise, { id: "block" }), aJob(() => undefined, { hooks: given })],
    });
    await bench.add({ job: "block" });
    await bench.add({ ttlMs: 500 });

    await bench.pass(10_000);
    block.resolve();
    await bench.pass(2000);

    expect(given.onFailure).toHaveBeenCalledExactlyOnceWith(
      {},
      ended({ run: "run_2", reason: "expired" }),
      expect.anything(),
    );
  });

  test("onCancel is called for a run that was canceled while it waited, and for one that was running", async () => {
    const given = hooks();
    const bench = await aBench({
      jobs: [
        aJob((_payload, ctx) => new Promise((_, no) => ctx.signal.addEventListener("abort", no)), { hooks: given }),
      ],
    });
    const waiting = await bench.add({ delayMs: 3_600_000 });
    const running = await bench.add();

    await bench.store.desk.cancel([waiting, running]);
    await bench.pass(2000);

    expect(given.onCancel.mock.calls.map(([, it]) => (it as { run: string }).run).sort()).toEqual(["run_1", "run_2"]);
  });

  test("one that fails is tried three times, and the run that ended stays as it was", async () => {
    const given = { ...hooks(), onSuccess: vi.fn(() => Promise.reject(new Error("mail is down"))) };
    const bench = await aBench({ jobs: [aJob(() => undefined, { hooks: given, retry: { attempts: 1 } })] });

    const id = await bench.add();
    await bench.pass(60_000);

    expect(given.onSuccess).toHaveBeenCalledTimes(3);
    expect((await bench.get(id)).status).toBe("completed");
    expect(given.onFailure).not.toHaveBeenCalled(); // hooks have no hooks
  });

  test("one that the code no longer has is skipped", async () => {
    const bench = await aBench({
      jobs: [
        aJob(
          () => {
            throw new AbortError("no");
          },
          { hooks: hooks() },
        ),
      ],
    });
    await bench.store.desk.pause("$hooks", true);
    await bench.add();

    bench.runtime.unregister("job");
    bench.runtime.register(aJob(() => undefined));
    await bench.store.desk.pause("$hooks", false);
    await turns();

    expect(await bench.get(2)).toMatchObject({ status: "completed", reason: "skipped" });
  });
});
