import { describe, expect, test, vi } from "vitest";
import { queuesOf, runsOf } from "../../sdk/client/runs.ts";
import { add } from "../../sdk/client/act.ts";
import { formatId } from "../../sdk/port/id.ts";
import { WrongState } from "../../sdk/port/error.ts";
import type { Runs } from "../../runtime/store/port.ts";
import { aKey, aRun, wire } from "../kit/build.ts";
import { aBench, aJob, deferred, turns, withRuns, type Bench } from "./kit.ts";

const runs = (bench: Bench) => runsOf(async () => bench.store);

describe("an act on a run that is leased ahead", () => {
  test("cancel answers once the run is canceled, and it does not start", async () => {
    const handler = vi.fn();
    const bench = await aBench({ jobs: [aJob(handler)] });
    const id = await bench.add({ delayMs: 1500 });

    const answer = await runs(bench).cancel(formatId(id));
    const { status } = await bench.get(id);
    await bench.pass(3000);

    expect({ answer, status }).toEqual({ answer: "done", status: "canceled" });
    expect(handler).not.toHaveBeenCalled();
  });

  test("cancel of a running one answers that its node was asked", async () => {
    const end = deferred();
    const bench = await aBench({ jobs: [aJob(() => end.promise)] });
    const id = await bench.add();

    const answer = await runs(bench).cancel(formatId(id));

    expect(answer).toBe("asked");
    expect((await bench.get(id)).status).toBe("canceled");
    end.resolve();
  });

  test("edit changes it: it starts once, with what is new, at its instant", async () => {
    const payloads: unknown[] = [];
    const bench = await aBench({ jobs: [aJob((payload) => void payloads.push(payload))] });
    const id = await bench.add({ delayMs: 1500, input: wire("old") });
    const before = await bench.get(id);

    await runs(bench).edit(formatId(id), { payload: "new" });
    await bench.pass(1000);
    const early = payloads.length;
    await bench.pass(1000);

    expect(before.status).toBe("leased");
    expect(early).toBe(0);
    expect(payloads).toEqual(["new"]);
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 1, crashes: 0 });
  });

  test("edit of one that has started says so, and lets it go on", async () => {
    const end = deferred<string>();
    const bench = await aBench({ jobs: [aJob(() => end.promise)] });
    const id = await bench.add();

    const refusal = await runs(bench)
      .edit(formatId(id), { payload: "new" })
      .catch((error: unknown) => error);
    end.resolve("done");
    await turns();

    expect(refusal).toBeInstanceOf(WrongState);
    expect((refusal as Error).message).toContain("it has started");
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 1 });
  });

  test("a trigger that replaces gives it the newer payload", async () => {
    const payloads: unknown[] = [];
    const bench = await aBench({ jobs: [aJob((payload) => void payloads.push(payload))] });
    const run = (payload: string) =>
      aRun({ delayMs: 1500, input: wire(payload), key: aKey("k", { onConflict: "replace", hash: payload }) });
    await add(bench.store, [run("old")]);
    await turns();

    const answers = await add(bench.store, [run("new")]);
    await bench.pass(3000);

    expect(answers).toEqual([{ id: 1, created: false, conflict: false }]);
    expect(payloads).toEqual(["new"]);
  });

  test("a trigger that replaces one that has started tells of the conflict", async () => {
    const end = deferred();
    const bench = await aBench({ jobs: [aJob(() => end.promise)] });
    const run = (payload: string) =>
      aRun({ input: wire(payload), key: aKey("k", { onConflict: "replace", hash: payload }) });
    await add(bench.store, [run("old")]);
    await turns();

    const answers = await add(bench.store, [run("new")]);

    expect(answers).toEqual([{ id: 1, created: false, conflict: true }]);
    end.resolve();
  });

  test("is taken back by its node when the act comes while its claim is not answered", async () => {
    const payloads: unknown[] = [];
    const answer = deferred();
    const slow = ({ lease }: Runs): Partial<Runs> => ({
      lease: async (claim) => {
        const claimed = await lease(claim);
        if (claimed.leases.length > 0) await answer.promise;
        return claimed;
      },
    });
    const bench = await aBench({ jobs: [aJob((payload) => void payloads.push(payload))] }, (store) =>
      withRuns(store, slow),
    );
    const id = await bench.add({ delayMs: 1500, input: wire("old") });

    const editing = runs(bench).edit(formatId(id), { payload: "new" });
    await turns();
    answer.resolve();
    await editing;
    await bench.pass(3000);

    expect(payloads).toEqual(["new"]);
  });

  test("is heard within a quarter of a poll by a node that is told of nothing", async () => {
    const handler = vi.fn();
    const bench = await aBench({ jobs: [aJob(handler)] }, (store) =>
      withRuns(store, () => ({ listen: () => Promise.reject(new Error("no notifications here")) })),
    );
    await bench.pass(1000);
    const id = await bench.add({ delayMs: 1900 });
    await bench.pass(1000);
    expect((await bench.get(id)).status).toBe("leased");

    const canceling = runs(bench).cancel(formatId(id));
    await turns();
    await bench.pass(300);

    expect(await canceling).toBe("done");
    await bench.pass(3000);
    expect(handler).not.toHaveBeenCalled();
  });

  test("pausing its queue holds it, and lets what has started go on", async () => {
    const end = deferred();
    const started: unknown[] = [];
    const handler = (payload: unknown): Promise<void> => (started.push(payload), end.promise);
    const bench = await aBench({ jobs: [aJob(handler)] });
    const first = await bench.add({ input: wire("runs"), queue: "q" });
    const [ahead, other] = [
      await bench.add({ input: wire("ahead"), delayMs: 1500, queue: "q" }),
      await bench.add({ input: wire("other"), delayMs: 1500 }),
    ];
    const before = (await bench.get(ahead)).status;

    await queuesOf(async () => bench.store).pause("q");
    const [status, running] = [(await bench.get(ahead)).status, (await bench.get(first)).status];
    await bench.pass(3000);
    end.resolve();
    await turns();

    expect({ before, status, running }).toEqual({ before: "leased", status: "pending", running: "running" });
    expect(started).toEqual(["runs", "other"]);
    expect((await bench.get(other)).status).toBe("completed");
    expect((await bench.get(first)).status).toBe("completed");

    await queuesOf(async () => bench.store).resume("q");
    await bench.pass(1000);
    expect(started).toEqual(["runs", "other", "ahead"]);
  });
});
