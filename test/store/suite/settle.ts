import { expect, test } from "vitest";
import type { Outcome } from "../../../runtime/store/port.ts";
import {
  addMany,
  addOne,
  again,
  anError,
  completed,
  failed,
  lease,
  leased,
  only,
  settled,
  snoozed,
  wire,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

const canceled: Outcome = { to: "canceled", reason: "user", error: null };

export function settling(setup: () => Promise<Setup>): void {
  test("a completed run keeps its result, its instants and its node", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node, { tags: ["a"], input: wire(1) });
    const startedMs = taken.dueMs;
    await clock.advance("10s");

    const answers = await store.runs.settle([
      settled(taken, { ...completed, result: { json: '"done"', meta: '{"a":1}' } } as Outcome, { startedMs }),
    ]);

    expect(answers).toEqual(["settled"]);
    const run = (await store.find.get(taken.id))!;
    expect(run).toMatchObject({
      status: "completed",
      reason: null,
      node: "host:1",
      token: 1,
      attempt: 1,
      crashes: 0,
      error: null,
    });
    expect(run).toMatchObject({
      result: { json: '"done"', meta: '{"a":1}' },
      tags: ["a"],
      input: wire(1),
      canceling: false,
    });
    near(run.startedAt, startedMs);
    near(run.finishedAt, clock.now());
    near(run.createdAt, startedMs);
  });

  test("a completed run may have no result", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    await store.runs.settle([settled(taken)]);

    expect(await store.find.get(taken.id)).toMatchObject({ status: "completed", result: null, note: null });
  });

  test("a skipped run is completed, and says so", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    await store.runs.settle([
      settled(taken, { to: "completed", result: null, reason: "skipped", note: "nothing to do" }),
    ]);

    expect(await store.find.get(taken.id)).toMatchObject({
      status: "completed",
      reason: "skipped",
      note: "nothing to do",
      attempt: 1,
    });
  });

  test("a failed run keeps its error, and its attempt is on record", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);

    const answers = await store.runs.settle([settled(taken, failed("no such user"))]);

    expect(answers).toEqual(["settled"]);
    const error = anError("no such user");
    expect(await store.find.get(taken.id)).toMatchObject({
      status: "failed",
      reason: "error",
      error,
      attempt: 1,
      result: null,
    });
    const record = only((await store.find.attempts({ run: taken.id })).items);
    expect(record).toMatchObject({
      run: taken.id,
      token: 1,
      n: 1,
      job: "job",
      node: "host:1",
      outcome: "error",
      error,
      retryAt: null,
    });
    near(record.startedAt, taken.dueMs);
    near(record.endedAt, clock.now());
  });

  test("an attempt that outlived its timeout is on record as such", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    await store.runs.settle([settled(taken, { to: "failed", reason: "timeout", error: anError() })]);

    expect(await store.find.get(taken.id)).toMatchObject({ status: "failed", reason: "timeout" });
    expect(only((await store.find.attempts({ run: taken.id })).items).outcome).toBe("timeout");
  });

  test("a run that failed before its handler was called spent no attempt", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    await store.runs.settle([
      settled(taken, { to: "failed", reason: "expired", error: anError() }, { startedMs: null }),
    ]);

    expect(await store.find.get(taken.id)).toMatchObject({
      status: "failed",
      reason: "expired",
      attempt: 0,
      startedAt: null,
    });
  });

  test("a node may end its run as canceled", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    const answers = await store.runs.settle([settled(taken, { to: "canceled", reason: "superseded", error: null })]);

    expect(answers).toEqual(["settled"]);
    expect(await store.find.get(taken.id)).toMatchObject({ status: "canceled", reason: "superseded", attempt: 1 });
  });

  test("a run that was asked to cancel ends for the reason that was given, whatever its node says", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.cancel([taken.id], "superseded");

    await store.runs.settle([settled(taken, canceled)]);

    expect(await store.find.get(taken.id)).toMatchObject({ status: "canceled", reason: "superseded" });
  });

  test("a failed attempt makes the run pending again, later, with the attempt spent and on record", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);

    const answers = await store.runs.settle([settled(taken, again(600_000, "try later"))]);

    expect(answers).toEqual(["settled"]);
    const run = (await store.find.get(taken.id))!;
    expect(run).toMatchObject({ status: "pending", attempt: 1, crashes: 0, token: 1 });
    near(run.dueAt, clock.nowMs() + 600_000);
    const record = only((await store.find.attempts({ run: taken.id })).items);
    expect(record).toMatchObject({ n: 1, token: 1, node: "host:1", outcome: "error", error: anError("try later") });
    near(record.retryAt, clock.nowMs() + 600_000);
    near(record.endedAt, clock.now());
  });

  test("a retry waits for its delay", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.settle([settled(taken, again(600_000))]);

    const before = await lease(store, node);
    await clock.advance("11m");
    const after = only(await lease(store, node));

    expect(before).toEqual([]);
    expect(after).toMatchObject({ id: taken.id, attempt: 1, token: 2, crashes: 0 });
  });

  test("a snooze is an attempt that counts towards no limit of retries", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);

    await store.runs.settle([settled(taken, snoozed(600_000))]);

    const run = (await store.find.get(taken.id))!;
    expect(run).toMatchObject({ status: "pending", attempt: 1 });
    near(run.dueAt, clock.nowMs() + 600_000);
    await clock.advance("11m");
    expect(only(await lease(store, node))).toMatchObject({ id: taken.id, attempt: 1, spent: 0 });
    expect(only((await store.find.attempts({ run: taken.id })).items)).toMatchObject({
      ...{ n: 1, outcome: "snoozed", error: null },
    });
  });

  test("attempts are counted, and the final one is included", async () => {
    const { store, node } = await setup();
    const id = await addOne(store);

    for (const outcome of [again(), snoozed(), again(), completed])
      await store.runs.settle([settled(only(await lease(store, node)), outcome)]);

    expect(await store.find.get(id)).toMatchObject({ status: "completed", attempt: 4, token: 4 });
    const records = (await store.find.attempts({ run: id })).items;
    expect(records.map(({ token, n, outcome }) => [token, n, outcome]).toSorted()).toEqual([
      [1, 1, "error"],
      [2, 2, "snoozed"],
      [3, 3, "error"],
    ]);
  });

  test("a repeat is answered as the first was, though the run has been leased, and has ended, since", async () => {
    const { store, node } = await setup();
    const first = settled(await leased(store, node), again());
    await store.runs.settle([first]);

    const second = only(await lease(store, node));
    const whileLeased = await store.runs.settle([first]);
    await store.runs.settle([settled(second, failed())]);
    const afterEnd = await store.runs.settle([first]);
    await store.desk.revive([first.id], "failed");
    const afterRetry = await store.runs.settle([settled(second, failed())]);

    expect([whileLeased, afterEnd, afterRetry]).toEqual([["settled"], ["settled"], ["settled"]]);
    expect(await store.find.get(first.id)).toMatchObject({ status: "pending", attempt: 2 });
    expect((await store.find.attempts({ run: first.id })).items).toHaveLength(2);
  });

  const outcomes: Record<string, Outcome> = {
    completed,
    failed: failed(),
    canceled,
    pending: again(),
    snoozed: snoozed(),
  };
  test.each(Object.entries(outcomes))(
    "a repeated settle (%s) is answered as the first was, and writes nothing",
    async (_, outcome) => {
      const { store, node } = await setup();
      const taken = await leased(store, node);
      await store.runs.settle([settled(taken, outcome)]);
      const before = await store.find.get(taken.id);

      const repeats = [
        await store.runs.settle([settled(taken, outcome)]),
        await store.runs.settle([settled(taken, outcome)]),
      ];

      expect(repeats).toEqual([["settled"], ["settled"]]);
      expect(await store.find.get(taken.id)).toEqual(before);
      expect((await store.find.attempts({ run: taken.id })).items.length).toBeLessThanOrEqual(1);
      expect((await store.find.list({ ids: [taken.id] })).items).toHaveLength(1);
    },
  );

  test("one settlement twice in a batch is written once", async () => {
    const { store, node } = await setup();
    const [first, second] = [await leased(store, node), await leased(store, node)];

    const answers = await store.runs.settle([
      settled(first),
      settled(second, again()),
      settled(first),
      settled(second, again()),
    ]);

    expect(answers).toEqual(["settled", "settled", "settled", "settled"]);
    expect((await store.find.list({ ids: [first.id] })).items).toHaveLength(1);
    expect(await store.find.get(second.id)).toMatchObject({ attempt: 1 });
    expect((await store.find.attempts({ run: second.id })).items).toHaveLength(1);
  });

  test("8 concurrent settles of one lease record one outcome", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    const answers = await Promise.all(Array.from({ length: 8 }, () => store.runs.settle([settled(taken, failed())])));

    expect(answers.flat()).toEqual(Array(8).fill("settled"));
    expect((await store.find.attempts({ run: taken.id })).items).toHaveLength(1);
    expect(await store.find.get(taken.id)).toMatchObject({ attempt: 1 });
  });

  test("a stale token is refused, and nothing is written for it", async () => {
    const { store, clock, node } = await setup();
    const stale = await leased(store, node);
    await clock.advance("1m");
    await lease(store, node);
    const before = await store.find.get(stale.id);

    for (const outcome of Object.values(outcomes))
      expect(await store.runs.settle([settled(stale, outcome)])).toEqual(["lost"]);

    expect(await store.find.get(stale.id)).toEqual(before);
    expect((await store.find.attempts({ run: stale.id })).items).toEqual([]);
  });

  test("a result for a run that was never leased, or never made, is refused", async () => {
    const { store } = await setup();
    const id = await addOne(store);
    const settlement = { id, token: 1, job: "job", outcome: completed, startedMs: null, hooks: [] };

    const answers = await store.runs.settle([settlement, { ...settlement, id: id + 1_000_000 }]);

    expect(answers).toEqual(["lost", "lost"]);
    expect((await store.find.get(id))!.status).toBe("pending");
  });

  test("a late result counts while nobody else has taken the run", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);
    await clock.advance("1m");

    expect(await store.runs.settle([settled(taken)])).toEqual(["settled"]);

    expect((await store.find.get(taken.id))!.status).toBe("completed");
  });

  test("a batch is answered item by item, and a lost lease does not touch its neighbours", async () => {
    const { store, node } = await setup();
    await addMany(store, 5);
    const [a, b, c, d, e] = await lease(store, node);
    const stale = { ...c!, token: c!.token + 5 };

    const answers = await store.runs.settle([
      settled(a!),
      settled(b!, failed()),
      settled(stale),
      settled(d!, again(600_000)),
      settled(e!, canceled),
    ]);

    expect(answers).toEqual(["settled", "settled", "lost", "settled", "settled"]);
    const statuses = await Promise.all([a, b, c, d, e].map(async (each) => (await store.find.get(each!.id))!.status));
    expect(statuses).toEqual(["completed", "failed", "leased", "pending", "canceled"]);
  });

  test("an empty batch answers nothing", async () => {
    const { store } = await setup();

    expect(await store.runs.settle([])).toEqual([]);
  });

  test("500 settlements in one call are all written", async () => {
    const { store, node } = await setup();
    await addMany(store, 500);
    const leases = await lease(store, node, { limit: 500 });

    const answers = await store.runs.settle(leases.map((each) => settled(each)));

    expect(answers).toEqual(Array(500).fill("settled"));
    expect((await store.find.list({ status: ["completed"] }, { limit: 200 })).items).toHaveLength(200);
    expect((await store.find.list({ status: ["pending", "leased", "running"] })).items).toEqual([]);
  });

  test.each([
    ["completed", completed],
    ["failed", failed()],
    ["pending", again()],
    ["canceled", canceled],
  ] as const)("a cancel that was asked for wins over %s", async (_, outcome) => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.cancel([taken.id]);

    expect(await store.runs.settle([settled(taken, outcome)])).toEqual(["canceled"]);

    const run = await store.find.get(taken.id);
    expect(run).toMatchObject({ status: "canceled", reason: "user", canceling: false, result: null });
    expect(run!.finishedAt).not.toBeNull();
  });

  test("a repeated settle of a run whose cancel won is answered as the first was", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.cancel([taken.id]);
    await store.runs.settle([settled(taken)]);

    expect(await store.runs.settle([settled(taken)])).toEqual(["canceled"]);
  });

  test("an attempt that was canceled after it started is on record", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.cancel([taken.id]);

    await store.runs.settle([settled(taken, canceled)]);

    expect(only((await store.find.attempts({ run: taken.id })).items)).toMatchObject({
      outcome: "canceled",
      n: 1,
      retryAt: null,
    });
  });

  test("error texts that hold NUL or lone surrogates are stored cleaned", async () => {
    const { store, node } = await setup();
    const error = { name: "E\u0000rr", message: "a\u0000b \ud800 c 🙂", stack: "at \udfff x\u0000" };
    const [fails, retries] = [await leased(store, node), await leased(store, node)];

    const answers = await store.runs.settle([
      settled(fails, { to: "failed", reason: "error", error }),
      settled(retries, { to: "pending", delayMs: 0, spent: true, outcome: "error", error }),
    ]);

    expect(answers).toEqual(["settled", "settled"]);
    const run = (await store.find.get(fails.id))!;
    expect(run.error!.message).toMatch(/^a.?b .? c 🙂$/u);
    const records = (await store.find.attempts({})).items;
    for (const { name, message, stack } of [run.error!, ...records.map((record) => record.error!)])
      for (const text of [name, message, stack!]) {
        expect(text).not.toContain("\u0000");
        expect(text.isWellFormed()).toBe(true);
      }
  });

  test("long error texts are cut", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    const error = { name: "Error", message: "m".repeat(10_000), stack: "s".repeat(100_000) };

    await store.runs.settle([settled(taken, { to: "failed", reason: "error", error })]);

    const stored = (await store.find.get(taken.id))!.error!;
    expect(stored.message.length).toBeGreaterThan(3000);
    expect(stored.message.length).toBeLessThanOrEqual(4096);
    expect(stored.stack!.length).toBeGreaterThan(12_000);
    expect(stored.stack!.length).toBeLessThanOrEqual(16_384);
  });
}
