import { expect, test } from "vitest";
import {
  addAll,
  addMany,
  addOne,
  again,
  aNode,
  aRun,
  aState,
  completed,
  ended,
  failed,
  lease,
  leased,
  only,
  settled,
  wire,
} from "../../kit/build.ts";
import { until } from "../../kit/until.ts";
import type { Setup } from "../suite.ts";
import { listing } from "./list.ts";
import { near } from "./near.ts";

export function finding(setup: () => Promise<Setup>): void {
  listing(setup);
  reading(setup);
  awaiting(setup);
}

function reading(setup: () => Promise<Setup>): void {
  test("failed attempts are listed across runs, newest first, by job and by page", async () => {
    const { store, node } = await setup();
    const a = await ended(store, node, failed("one"), { job: "a" });
    const b = await ended(store, node, failed("two"), { job: "b" });
    const c = await ended(store, node, again(600_000, "three"), { job: "a" });
    await ended(store, node, completed, { job: "a" });

    const all = await store.find.attempts({});
    const ofJob = await store.find.attempts({ job: ["a"] });
    const first = await store.find.attempts({}, { limit: 2 });
    const second = await store.find.attempts({}, { limit: 2, cursor: first.next! });

    expect(all.items.map(({ run }) => run)).toEqual([c, b, a]);
    expect(ofJob.items.map(({ run }) => run)).toEqual([c, a]);
    expect([...first.items, ...second.items].map(({ run }) => run)).toEqual([c, b, a]);
    expect(second.next).toBeNull();
  });

  test("a run's logs come back in the order in which they were written, by page", async () => {
    const { store, clock, node } = await setup();
    const [one, other] = [await leased(store, node), await leased(store, node)];
    const { id } = one;
    const at = clock.now();
    const line = (message: string) => ({ attempt: 1, at, level: "info", message, data: null }) as const;
    await store.runs.note([{ ...one, lines: [line("one"), line("two")] }]);
    const lost = await store.runs.note([
      { ...one, lines: [{ ...line("three"), level: "error", data: '{"a":1}' }], progress: { value: 3, detail: null } },
      { ...other, lines: [line("elsewhere")] },
    ]);

    const first = await store.find.logs(id, { limit: 2 });
    const second = await store.find.logs(id, { limit: 2, cursor: first.next! });

    expect(lost).toEqual([]);
    expect((await store.find.get(id))!.progress).toEqual({ value: 3, detail: null });
    expect(first.items.map(({ message }) => message)).toEqual(["one", "two"]);
    expect(second).toMatchObject({ next: null, complete: true });
    expect(second.items).toEqual([{ run: id, attempt: 1, at, level: "error", message: "three", data: '{"a":1}' }]);
  });

  test("log lines of a lost lease are refused, and those of another run in the batch are kept", async () => {
    const { store, clock, node } = await setup();
    const stale = await leased(store, node);
    await clock.advance("1m");
    const taken = only(await lease(store, node));
    const lines = [{ attempt: 1, at: clock.now(), level: "info", message: "late", data: null }] as const;
    const other = await leased(store, node);

    const lost = await store.runs.note([
      { ...stale, lines },
      { ...other, lines },
    ]);

    expect(lost).toEqual([{ id: stale.id, token: stale.token }]);
    expect((await store.find.logs(taken.id)).items).toEqual([]);
    expect((await store.find.logs(other.id)).items).toHaveLength(1);
  });

  test("log lines that hold NUL or lone surrogates are stored cleaned", async () => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node);

    await store.runs.note([
      { ...taken, lines: [{ attempt: 1, at: clock.now(), level: "warn", message: "a\u0000b\ud800", data: null }] },
    ]);

    const { message } = only((await store.find.logs(taken.id)).items);
    expect(message).not.toContain("\u0000");
    expect(message.isWellFormed()).toBe(true);
  });

  test("stats count each lane: ready, delayed and leased", async () => {
    const { store, clock, node } = await setup();
    await addAll(store, [
      aRun({ job: "a" }),
      aRun({ job: "a" }),
      aRun({ job: "a" }),
      aRun({ job: "a", delayMs: 3_600_000 }),
    ]);
    await addAll(store, [aRun({ job: "b", queue: "q", priority: 9 })]);
    const [held] = await lease(store, node, { jobs: ["a"], limit: 2 });
    await store.runs.hold(node, [{ id: held!.id, token: held!.token, startedMs: held!.dueMs }]);
    await ended(store, node, completed, { job: "c" });

    const stats = await store.find.stats();

    near(stats.at, clock.now());
    const readyAt = expect.any(Date) as Date;
    expect(stats.lanes).toContainEqual({
      queue: "default",
      job: "a",
      priority: 5,
      ready: 1,
      delayed: 1,
      leased: 2,
      readyAt,
    });
    expect(stats.lanes).toContainEqual({ queue: "q", job: "b", priority: 9, ready: 1, delayed: 0, leased: 0, readyAt });
    const ofC = stats.lanes.filter(({ job }) => job === "c");
    expect(ofC.every(({ ready, delayed, leased }) => ready + delayed + leased === 0)).toBe(true);
  });

  test("stats tell since when the oldest run of a lane waits: not one that is leased or delayed, and a retry from its instant on", async () => {
    const { store, clock, node } = await setup();
    const since = async (): Promise<Date | null | undefined> =>
      (await store.find.stats()).lanes.find(({ job }) => job === "job")?.readyAt;
    await addAll(store, [aRun(), aRun({ delayMs: 60_000 })]);
    const start = clock.now();
    near((await since())!, start);

    await clock.advance("10s");
    const taken = only(await lease(store, node));
    expect(await since()).toBe(null);

    await store.runs.settle([settled(taken, again(5000))]);
    await clock.advance("30s");
    near((await since())!, new Date(start.getTime() + 15_000));

    await clock.advance("30s");
    await lease(store, node, { limit: 1 });
    near((await since())!, new Date(start.getTime() + 60_000));
  });

  test("stats count no more than 10,000 a lane", async () => {
    const { store } = await setup();
    await addMany(store, 10_001);

    expect(only((await store.find.stats()).lanes).ready).toBe(10_000);
  });

  test("queues are listed with their pause", async () => {
    const { store, clock } = await setup();
    await addAll(store, [aRun({ queue: "a" }), aRun({ queue: "b" })]);
    await store.desk.pause("b", true);
    await store.desk.pause("c", true);

    const { queues, lanes, at } = await store.find.stats({ lanes: false });

    near(at, clock.now());
    expect(lanes).toEqual([]);
    expect(queues).toContainEqual({ name: "a", paused: false });
    expect(queues).toContainEqual({ name: "b", paused: true });
    expect(queues).toContainEqual({ name: "c", paused: true });
    expect(queues.map(({ name }) => name)).toEqual(["a", "b", "c"]);
  });
}

function awaiting(setup: () => Promise<Setup>): void {
  test("awaiting a run resolves with it as soon as it ends", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    const awaited = store.find.awaited(taken.id, 25_000);

    await store.runs.settle([settled(taken, { to: "completed", result: wire("ok"), reason: null, note: null })]);

    expect(await awaited).toMatchObject({ id: taken.id, status: "completed", result: wire("ok") });
  });

  test("awaiting resolves for runs that fail or are canceled, and for all who wait", async () => {
    const { store, node } = await setup();
    const fails = await leased(store, node);
    const gone = await addOne(store);
    const awaited = [fails.id, fails.id, gone].map((id) => store.find.awaited(id, 25_000));

    await store.runs.settle([settled(fails, failed())]);
    await store.desk.cancel([gone]);

    expect((await Promise.all(awaited)).map((run) => run!.status)).toEqual(["failed", "failed", "canceled"]);
  });

  test("awaiting a finished run resolves at once", async () => {
    const { store, node } = await setup();
    const id = await ended(store, node);

    expect(await store.find.awaited(id, 25_000)).toMatchObject({ id, status: "completed" });
  });

  test("awaiting a live run ends with null when the wait is over", async () => {
    const { store } = await setup();
    const id = await addOne(store);

    expect(await store.find.awaited(id, 0)).toBeNull();
    expect(await store.find.awaited(1_000_000_000, 0)).toBeNull();
  });

  test("awaiting ends with null when its signal aborts, or had aborted", async () => {
    const { store } = await setup();
    const id = await addOne(store);
    const stop = new AbortController();
    const awaited = store.find.awaited(id, 25_000, stop.signal);

    stop.abort();

    expect(await awaited).toBeNull();
    expect(await store.find.awaited(id, 25_000, AbortSignal.abort())).toBeNull();
  });

  test("an attempt that is tried again does not end the wait", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    const awaited = store.find.awaited(taken.id, 25_000);
    await store.runs.settle([settled(taken, again())]);

    await store.runs.settle([settled(only(await lease(store, node)))]);

    expect(await awaited).toMatchObject({ status: "completed", attempt: 2 });
  });

  test("a run tells which version of the code ran it last, also after its node has gone", async () => {
    const { store } = await setup();
    const node = await store.nodes.join(aNode({ version: "v2-5f3a2c1" }), 30_000);
    const id = await addOne(store);
    const before = await store.find.get(id);

    await store.runs.settle([settled(only(await lease(store, node)))]);
    await store.nodes.leave(node);

    expect(before?.version).toBeNull();
    expect((await store.find.get(id))?.version).toBe("v2-5f3a2c1");
    expect((await store.find.list({ status: ["completed"] })).items[0]?.version).toBe("v2-5f3a2c1");
  });

  test.each(["get", "list", "stats"] as const)(
    "%s asks the node of a leased run to tell what has started",
    async (how) => {
      const { store, node } = await setup();
      const taken = await leased(store, node);
      const beat = () => store.nodes.beat(node, 30_000, aState({ busy: 1 }), []);
      const before = await beat();

      const looks = {
        get: () => store.find.get(taken.id),
        list: () => store.find.list({ status: ["running"] }),
        stats: () => store.find.stats(),
      };
      await looks[how]();

      expect(before).toMatchObject({ looked: false, asks: [] });
      await until(async () => (await beat()).looked, { what: "the node is told that somebody looks" });
    },
  );
}
