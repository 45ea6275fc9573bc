import { describe, expect, test, vi } from "vitest";
import { RunCanceled } from "../../sdk/port/error.ts";
import { toMs } from "../../sdk/port/duration.ts";
import { parseId } from "../../sdk/port/id.ts";
import type { Fence, Guarded } from "../../runtime/store/port.ts";
import { aBench, aJob, deferred, turns, withRuns } from "./kit.ts";

/** A store whose every beat answers the same commands. */
function repeating(fences: readonly Fence[]): (store: Guarded) => Guarded {
  return (store) => ({
    ...store,
    nodes: {
      ...store.nodes,
      beat: async (...args) => ({
        ...(await store.nodes.beat(...args)),
        asks: fences.map((fence) => ({ ...fence, kind: "cancel" }) as const),
      }),
    },
  });
}

describe("cancel", () => {
  test("of a run that waits in this process ends it without a start", async () => {
    const handler = vi.fn();
    const bench = await aBench({ jobs: [aJob(handler)] });
    const id = await bench.add({ delayMs: 1500 });

    const [act] = await bench.store.desk.cancel([id]);
    await turns();
    const { status, attempt } = await bench.get(id);
    await bench.pass(3000);

    expect(act).toMatchObject({ done: "asked" });
    expect({ status, attempt }).toEqual({ status: "canceled", attempt: 0 });
    expect(handler).not.toHaveBeenCalled();
    expect(bench.runtime.stats().heap).toBe(0);
  });

  test("of a running one aborts its signal, and its result is refused", async () => {
    const end = deferred<string>();
    const signals: AbortSignal[] = [];
    const bench = await aBench({
      jobs: [
        aJob((_payload, ctx) => {
          signals.push(ctx.signal);
          return end.promise;
        }),
      ],
    });
    const id = await bench.add();

    await bench.store.desk.cancel([id]);
    await turns();
    const { status, reason } = await bench.get(id);
    end.resolve("late");
    await turns();

    expect({ status, reason }).toEqual({ status: "canceled", reason: "user" });
    expect(signals[0]?.reason).toBeInstanceOf(RunCanceled);
    expect(await bench.get(id)).toMatchObject({ status: "canceled", result: null });
  });

  test("is heard by a signal that the handler asks for only afterwards", async () => {
    const go = deferred();
    const aborted: boolean[] = [];
    const bench = await aBench({
      jobs: [
        aJob(async (_payload, ctx) => {
          await go.promise;
          aborted.push(ctx.signal.aborted);
        }),
      ],
    });
    const id = await bench.add();

    await bench.store.desk.cancel([id]);
    await turns();
    go.resolve();
    await turns();

    expect(aborted).toEqual([true]);
  });

  test("of a running one keeps the slot until the handler ends", async () => {
    const end = deferred();
    const handler = vi.fn(() => end.promise);
    const bench = await aBench({ slots: 1, jobs: [aJob(handler)] });
    const [first] = [await bench.add(), await bench.add()];

    await bench.store.desk.cancel([first]);
    await bench.pass(1000);
    const during = handler.mock.calls.length;
    end.resolve();
    await bench.pass(1000);

    expect(during).toBe(1);
    expect(handler).toHaveBeenCalledTimes(2);
  });

  test("reaches a node that hears no commands by its beat", async () => {
    const aborted = vi.fn();
    const bench = await aBench(
      {
        jobs: [
          aJob(
            (_payload, ctx) => new Promise((resolve) => ctx.signal.addEventListener("abort", () => resolve(aborted()))),
          ),
        ],
      },
      (store) => ({
        ...store,
        runs: { ...store.runs, listen: () => Promise.reject(new Error("no notifications here")) },
      }),
    );
    const id = await bench.add();
    await bench.pass(1000);

    await bench.store.desk.cancel([id]);
    await bench.pass(6000);

    expect(aborted).toHaveBeenCalledOnce();
    expect((await bench.get(id)).status).toBe("canceled");
  });

  test("that comes while a beat is under way is heard at once by another", async () => {
    const [aborted, answer] = [vi.fn(), deferred()];
    let slow = false;
    const bench = await aBench(
      {
        jobs: [
          aJob(
            (_payload, ctx) => new Promise((resolve) => ctx.signal.addEventListener("abort", () => resolve(aborted()))),
          ),
        ],
      },
      (store) => ({
        ...store,
        nodes: {
          ...store.nodes,
          beat: async (...args) => {
            const beat = await store.nodes.beat(...args);
            if (slow) await answer.promise;
            return beat;
          },
        },
      }),
    );
    const id = await bench.add();
    slow = true;
    await bench.pass(6000);

    await bench.store.desk.cancel([id]);
    await turns();
    slow = false;
    answer.resolve();
    await turns();

    expect(aborted).toHaveBeenCalledOnce();
  });

  test("that the store repeats until the lease ends counts once", async () => {
    const [end, answer] = [deferred(), deferred()];
    const settle = vi.fn();
    const heard = vi.fn();
    const fences: Fence[] = [];
    const bench = await aBench(
      {
        jobs: [
          aJob((_payload, ctx) => {
            ctx.signal.addEventListener("abort", heard);
            fences.push({ id: parseId(ctx.run.id), token: ctx.fencingToken });
            return end.promise;
          }),
        ],
      },
      (store) =>
        repeating(fences)(
          withRuns(store, (runs) => ({
            settle: async (batch) => (settle(), await answer.promise, runs.settle(batch)),
          })),
        ),
    );
    await bench.add();

    await bench.pass(30_000);
    answer.resolve();
    await bench.pass(6000);
    end.resolve();
    await bench.pass(6000);

    expect(heard).toHaveBeenCalledOnce();
    expect(settle).toHaveBeenCalledOnce();
    expect(bench.runtime.stats().busy).toBe(0);
  });

  test.each(["0ms", "1500ms"] as const)(
    "of a run whose claim is not answered yet takes effect when the answer comes: due in %s",
    async (delay) => {
      const answer = deferred();
      const handler = vi.fn();
      const fences: Fence[] = [];
      const bench = await aBench({ jobs: [aJob(handler)] }, (store) =>
        repeating(fences)(
          withRuns(store, ({ lease }) => ({
            lease: async (claim) => {
              const claimed = await lease(claim);
              if (claimed.leases.length > 0) await answer.promise;
              return claimed;
            },
          })),
        ),
      );
      const id = await bench.add({ delayMs: toMs(delay) });

      fences.push({ id, token: 1 });
      await bench.pass(6000); // a beat brings the command
      answer.resolve();
      await turns();

      expect(handler).not.toHaveBeenCalled();
      expect((await bench.get(id)).status).toBe("canceled");
      expect(bench.runtime.stats()).toMatchObject({ busy: 0, heap: 0 });
    },
  );

  test("can be undone: a resumed run starts", async () => {
    const handler = vi.fn();
    const bench = await aBench({ jobs: [aJob(handler)] });
    const id = await bench.add({ delayMs: 60_000 });
    await bench.store.desk.cancel([id]);

    await bench.store.desk.revive([id], "canceled");
    await bench.pass(60_000);

    expect(handler).toHaveBeenCalledOnce();
    expect((await bench.get(id)).status).toBe("completed");
  });
});
