import { describe, expect, test, vi } from "vitest";
import { InvalidInput, StoreUnavailable, StoreUnusable, Stopping } from "../../sdk/port/error.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { aBench, aJob, deferred, idleBench, moving, turns, withRuns } from "./kit.ts";

const never = new Promise<never>(() => undefined);

describe("stop", () => {
  test("lets running handlers end, and settles them", async () => {
    const end = deferred<string>();
    const bench = await aBench({ jobs: [aJob(() => end.promise)] });
    const id = await bench.add();

    const stopping = bench.runtime.stop();
    await turns();
    const during = bench.runtime.state;
    end.resolve("done");
    await stopping;

    expect([during, bench.runtime.state]).toEqual(["stopping", "stopped"]);
    expect(await bench.get(id)).toMatchObject({ status: "completed" });
  });

  test("gives back what never started, unspent, at once", async () => {
    const end = deferred();
    const bench = await aBench({ jobs: [aJob(() => end.promise)] });
    await bench.add();
    const waiting = await bench.add({ delayMs: 1500 });

    const stopping = bench.runtime.stop();
    await turns();
    const given = await bench.get(waiting);
    end.resolve();
    await stopping;

    expect(given).toMatchObject({ status: "pending", attempt: 0, crashes: 0 });
  });

  test("tells handlers that outlast the grace, and those that then end start elsewhere, unspent", async () => {
    const reasons: unknown[] = [];
    const bench = await aBench({
      jobs: [
        aJob(
          (_payload, ctx) =>
            new Promise((_, no) => ctx.signal.addEventListener("abort", () => no(reasons.push(ctx.signal.reason)))),
        ),
      ],
    });
    const id = await bench.add();

    await moving(bench.clock, bench.runtime.stop({ grace: "50ms" }));

    expect(reasons).toEqual([expect.any(Stopping)]);
    expect(await bench.get(id)).toMatchObject({ status: "pending", attempt: 1, crashes: 0 });
  });

  test("keeps the result of a handler that ends well after it was told", async () => {
    const bench = await aBench({
      jobs: [
        aJob((_payload, ctx) => new Promise((resolve) => ctx.signal.addEventListener("abort", () => resolve("saved")))),
      ],
    });
    const id = await bench.add();

    await moving(bench.clock, bench.runtime.stop({ grace: "50ms" }));

    expect((await bench.get(id)).status).toBe("completed");
  });

  test.each<[string, (store: Guarded) => Guarded]>([
    ["a deaf handler", (store) => store],
    ["a store that hangs while it settles", (store) => withRuns(store, () => ({ settle: () => never }))],
    ["a store that hangs while it leases", (store) => withRuns(store, () => ({ lease: () => never }))],
    ["a store that does not close", (store) => ({ ...store, close: () => never })],
    [
      "a store that does not let the node leave",
      (store) => ({ ...store, nodes: { ...store.nodes, beat: () => never, leave: () => never } }),
    ],
    [
      "a store that is away",
      (store) =>
        withRuns(store, () => ({
          settle: () => Promise.reject(new StoreUnavailable("db", "gone")),
          release: () => Promise.reject(new StoreUnavailable("db", "gone")),
        })),
    ],
  ])("ends within the grace and a second with %s", async (_name, wrap) => {
    const bench = await aBench({ jobs: [aJob(() => never)] }, wrap);
    await bench.add();
    const from = bench.clock.nowMs();

    await moving(bench.clock, bench.runtime.stop({ grace: "2s" }), 10);

    expect(bench.runtime.state).toBe("stopped");
    expect(bench.clock.nowMs() - from).toBeLessThanOrEqual(3000);
  });

  test("ignores what a handler that was left behind answers", async () => {
    const end = deferred<string>();
    const bench = await aBench({ jobs: [aJob(() => end.promise)] });
    await bench.add();
    const settle = vi.spyOn(bench.store.runs, "settle");
    await moving(bench.clock, bench.runtime.stop({ grace: "0ms" }), 10);

    end.resolve("late");
    await turns();

    expect(settle).not.toHaveBeenCalled();
  });

  test("leaves no timer behind", async () => {
    const bench = await aBench({ jobs: [aJob((_payload, ctx) => ctx.log.info("hi"))] });
    await bench.add();
    await bench.add({ delayMs: 1000 });

    await moving(bench.clock, bench.runtime.stop());

    expect(bench.clock.nextMs()).toBe(Infinity);
  });

  test("may be called before, during and after all else, and more than once", async () => {
    const bench = await aBench({});

    await Promise.all([bench.runtime.stop(), bench.runtime.stop(), bench.runtime.stop({ grace: "1s" })]);
    await bench.runtime.stop();

    expect(bench.runtime.state).toBe("stopped");
  });

  test("during a start that waits for its store ends that start", async () => {
    const opened = vi.fn();
    const bench = idleBench({}, (store) => ({
      ...store,
      open: (signal) => new Promise((_, no) => signal?.addEventListener("abort", () => no(new Error("given up")))),
      nodes: { ...store.nodes, join: opened },
    }));
    const starting = bench.runtime.start();

    await moving(bench.clock, bench.runtime.stop());
    await starting;

    expect(opened).not.toHaveBeenCalled();
    expect(bench.runtime.state).toBe("stopped");
  });

  test("takes no run that a claim brings too late", async () => {
    const answer = deferred();
    const handler = vi.fn();
    const bench = await aBench({ jobs: [aJob(handler)] }, (store) =>
      withRuns(store, ({ lease }) => ({ lease: async (claim) => (await answer.promise, lease(claim)) })),
    );
    const id = await bench.add();

    const stopping = moving(bench.clock, bench.runtime.stop({ grace: "5s" }));
    answer.resolve();
    await stopping;

    expect(handler).not.toHaveBeenCalled();
    expect(await bench.get(id)).toMatchObject({ status: "pending", crashes: 0 });
  });
});

describe("start", () => {
  test("says what it does", async () => {
    const bench = await aBench({ jobs: [aJob(() => undefined)], name: "web:1" });

    expect(bench.lines).toMatchObject([
      { level: "info", message: "Job registered", fields: { job: "job" } },
      { level: "info", message: "Runtime started", fields: { jobs: 1, node: "web:1" } },
    ]);
  });

  test("waits for a store that is away, says so once, and goes on by itself", async () => {
    let tries = 0;
    const bench = idleBench({ jobs: [aJob(() => undefined)] }, (store) => ({
      ...store,
      nodes: {
        ...store.nodes,
        join: (info, ttlMs) =>
          ++tries < 20 ? Promise.reject(new StoreUnavailable("db", "refused")) : store.nodes.join(info, ttlMs),
      },
    }));

    await moving(bench.clock, bench.runtime.start(), 100);

    expect(bench.runtime.state).toBe("running");
    expect(bench.lines.filter(({ level }) => level === "warn").map(({ message }) => message)).toEqual([
      "Store away; trying again",
      "Waiting for the store",
    ]);
  });

  test("fails if the store can't be used, and closes it", async () => {
    const close = vi.fn(() => Promise.resolve());
    const bench = idleBench({}, (store) => ({
      ...store,
      open: () => Promise.reject(new StoreUnusable("schema is newer")),
      close,
    }));

    await expect(bench.runtime.start()).rejects.toThrow(StoreUnusable);

    expect(bench.runtime.state).toBe("stopped");
    expect(close).toHaveBeenCalled();
  });

  test("is refused after stop", async () => {
    const bench = await aBench({});
    await bench.runtime.stop();

    await expect(bench.runtime.start()).rejects.toThrow(InvalidInput);
  });

  test("refuses options that can't be right", () => {
    expect(() => idleBench({ slots: -1 })).toThrow(/slots "-1"/);
    expect(() => idleBench({ poll: "5s" })).toThrow(/poll "5s" is not less than a quarter of lease "15s"/);
    expect(() => idleBench({ queues: { mail: { concurrency: 0 } } })).toThrow(/queues.mail.concurrency 0/);
  });
});
