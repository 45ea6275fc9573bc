import { expect, test } from "vitest";
import type { RunFilter, RunRecord } from "../../../sdk/target.ts";
import type { Store } from "../../../runtime/store/store.ts";
import {
  addAll,
  addMany,
  addOne,
  again,
  anError,
  aNode,
  aRun,
  completed,
  ended,
  failed,
  lease,
  leased,
  only,
  settled,
  wire,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

async function ids(store: Store, filter: RunFilter): Promise<readonly number[]> {
  return (await store.find.list(filter)).items.map(({ id }) => id);
}

export function finding(setup: () => Promise<Setup>): void {
  listing(setup);
  searching(setup);
  reading(setup);
  awaiting(setup);
}

function listing(setup: () => Promise<Setup>): void {
  test("a run that was never made is null", async () => {
    const { store } = await setup();

    expect(await store.find.get(1_000_000_000)).toBeNull();
  });

  test("runs are listed newest first, live and finished together", async () => {
    const { store, node } = await setup();
    const first = await ended(store, node, completed);
    const second = await addOne(store);
    const third = await ended(store, node, failed(), { queue: "q" });

    expect(await ids(store, {})).toEqual([third, second, first]);
  });

  test("pages cover all runs, none twice, also when runs are added in between", async () => {
    const { store, node } = await setup();
    const wanted = await addMany(store, 25);
    await store.runs.settle((await lease(store, node, { limit: 12 })).map((each) => settled(each)));

    const seen: RunRecord[] = [];
    let cursor: string | undefined;
    do {
      const page = await store.find.list({}, { cursor, limit: 10 });
      seen.push(...page.items);
      expect(page.complete).toBe(true);
      await addOne(store);
      cursor = page.next ?? undefined;
    } while (cursor);

    expect(seen.map(({ id }) => id)).toEqual(wanted.toReversed());
  });

  test("a list has 50 runs unless asked otherwise, and 200 at most", async () => {
    const { store } = await setup();
    await addMany(store, 230);

    expect((await store.find.list({})).items).toHaveLength(50);
    expect((await store.find.list({}, { limit: 1 })).items).toHaveLength(1);
    expect((await store.find.list({}, { limit: 200 })).items).toHaveLength(200);
    expect((await store.find.list({}, { limit: 100_000 })).items).toHaveLength(200);
  });

  test("the last page has no next", async () => {
    const { store } = await setup();
    await addAll(store, [aRun(), aRun()]);

    expect(await store.find.list({}, { limit: 2 })).toMatchObject({ next: null, complete: true });
    expect(await store.find.list({ job: ["none"] })).toEqual({ items: [], next: null, complete: true });
  });

  test("a cursor that is none is refused", async () => {
    const { store } = await setup();

    await expect(store.find.list({}, { cursor: "nonsense" })).rejects.toMatchObject({ code: "INVALID_INPUT" });
  });

  test("a page of no size is refused", async () => {
    const { store } = await setup();

    await expect(store.find.list({}, { limit: 0 })).rejects.toMatchObject({ code: "INVALID_INPUT" });
    await expect(store.find.list({}, { limit: 1.5 })).rejects.toMatchObject({ code: "INVALID_INPUT" });
  });

  test("runs are found by status", async () => {
    const { store, clock, node } = await setup();
    const expired = (await leased(store, node)).id;
    await clock.advance("5m");
    const done = await ended(store, node, completed, { job: "b" });
    const lost = await ended(store, node, failed(), { job: "b" });
    const leasedId = (await leased(store, node, { job: "b" })).id;
    const running = await leased(store, node, { job: "b" });
    await store.runs.hold(node, [{ id: running.id, token: running.token, startedMs: running.dueMs }]);
    const waiting = await addOne(store);
    const gone = await addOne(store);
    await store.desk.cancel([gone]);

    expect(await ids(store, { status: ["completed"] })).toEqual([done]);
    expect(await ids(store, { status: ["failed"] })).toEqual([lost]);
    expect(await ids(store, { status: ["canceled"] })).toEqual([gone]);
    expect(await ids(store, { status: ["leased"] })).toEqual([leasedId]);
    expect(await ids(store, { status: ["running"] })).toEqual([running.id]);
    expect(await ids(store, { status: ["pending"] })).toEqual([waiting, expired]);
    expect(await ids(store, { status: ["failed", "canceled", "pending"] })).toEqual([gone, waiting, lost, expired]);
    expect(await ids(store, { status: ["waiting"] })).toEqual([]);
  });

  test("runs are found by reason", async () => {
    const { store, node } = await setup();
    const slow = await ended(store, node, { to: "failed", reason: "timeout", error: anError() });
    await ended(store, node, failed());
    const skipped = await ended(store, node, { to: "completed", result: null, reason: "skipped", note: null });

    expect(await ids(store, { reason: ["timeout"] })).toEqual([slow]);
    expect(await ids(store, { reason: ["timeout", "skipped"] })).toEqual([skipped, slow]);
  });

  test("runs are found by job, queue, key and id, alone and together", async () => {
    const { store } = await setup();
    const key = { key: "k", keepMs: 0, onConflict: "return", hash: "" } as const;
    const [a, b, c] = (
      await addAll(store, [
        aRun({ job: "a", queue: "x" }),
        aRun({ job: "a", queue: "y", key }),
        aRun({ job: "b", queue: "x" }),
      ])
    ).map(({ id }) => id);

    expect(await ids(store, { job: ["a"] })).toEqual([b, a]);
    expect(await ids(store, { job: ["a", "b"] })).toEqual([c, b, a]);
    expect(await ids(store, { queue: ["x"] })).toEqual([c, a]);
    expect(await ids(store, { job: ["a"], queue: ["x"] })).toEqual([a]);
    expect(await ids(store, { key: "k" })).toEqual([b]);
    expect(await ids(store, { ids: [a!, c!, 1_000_000_000] })).toEqual([c, a]);
    expect(await ids(store, { ids: [a!], job: ["b"] })).toEqual([]);
    expect(await ids(store, { ids: [] })).toEqual([]);
  });

  test("runs are found by tags, which must all be there", async () => {
    const { store, node } = await setup();
    const both = await ended(store, node, completed, { tags: ["user:7", "eu"] });
    const one = await addOne(store, { tags: ["user:7"] });
    await addOne(store, { tags: ["user:77"] });

    expect(await ids(store, { tags: ["user:7"] })).toEqual([one, both]);
    expect(await ids(store, { tags: ["eu", "user:7"] })).toEqual([both]);
    expect(await ids(store, { tags: ["user"] })).toEqual([]);
  });

  test("runs are found by when they were made and when they ended", async () => {
    const { store, clock, node } = await setup();
    const old = await ended(store, node, completed);
    await clock.advance("1h");
    const middle = new Date(clock.nowMs() - 1_800_000);
    const young = await ended(store, node, completed);
    const live = await addOne(store);

    expect(await ids(store, { createdAfter: middle })).toEqual([live, young]);
    expect(await ids(store, { createdBefore: middle })).toEqual([old]);
    expect(await ids(store, { finishedAfter: middle })).toEqual([young]);
    expect(await ids(store, { finishedBefore: middle })).toEqual([old]);
    expect(await ids(store, { createdAfter: middle, createdBefore: middle })).toEqual([]);
  });
}

function searching(setup: () => Promise<Setup>): void {
  test("runs are found by a field of their payload, compared as text", async () => {
    const { store, node } = await setup();
    const number = await addOne(store, { input: wire({ user: { id: 42 } }) });
    const text = await ended(store, node, completed, { input: wire({ user: { id: "42" } }), queue: "q" });
    await addOne(store, { input: wire({ user: { id: 421, name: "42" } }) });
    await addOne(store, { input: wire({ user: 42 }) });
    await addOne(store, { input: wire(null) });

    expect(await ids(store, { payload: [{ path: ["user", "id"], value: "42" }] })).toEqual([text, number]);
  });

  test("payload fields may be booleans, items of lists, and several at once", async () => {
    const { store } = await setup();
    const one = await addOne(store, { input: wire({ paid: true, items: ["a", "b"] }) });
    const two = await addOne(store, { input: wire({ paid: true, items: ["b", "b"] }) });

    expect(await ids(store, { payload: [{ path: ["paid"], value: "true" }] })).toEqual([two, one]);
    expect(await ids(store, { payload: [{ path: ["items", "0"], value: "a" }] })).toEqual([one]);
    expect(
      await ids(store, {
        payload: [
          { path: ["paid"], value: "true" },
          { path: ["items", "0"], value: "b" },
        ],
      }),
    ).toEqual([two]);
  });

  test("odd search texts find nothing, rather than failing", async () => {
    const { store } = await setup();
    await addOne(store, { input: wire({ a: "'; drop table runs; --" }), tags: ["x"] });

    expect(await ids(store, { payload: [{ path: ["constructor", "name"], value: "Object" }] })).toEqual([]);
    expect(await ids(store, { payload: [{ path: ["a"], value: "\u0000" }] })).toEqual([]);
    expect(await ids(store, { tags: ["{}", '"', "\\"] })).toEqual([]);
    expect(await ids(store, { error: "%" })).toEqual([]);
    expect(await ids(store, { payload: [{ path: ["a"], value: "'; drop table runs; --" }] })).toHaveLength(1);
  });

  test("runs are found by text in their error's name or message, in any case", async () => {
    const { store, node } = await setup();
    const net = { name: "FetchError", message: "ECONNREFUSED 100% of _tries_", stack: "at secret.ts" };
    const found = await ended(store, node, { to: "failed", reason: "error", error: net });
    await ended(store, node, failed("other"));

    expect(await ids(store, { error: "econnrefused" })).toEqual([found]);
    expect(await ids(store, { error: "fetcherror" })).toEqual([found]);
    expect(await ids(store, { error: "100% of _" })).toEqual([found]);
    expect(await ids(store, { error: "10_%" })).toEqual([]);
    expect(await ids(store, { error: "secret" })).toEqual([]);
  });

  test("a search goes on over pages", async () => {
    const { store } = await setup();
    await addAll(
      store,
      Array.from({ length: 30 }, (_, i) => aRun({ tags: i % 3 === 0 ? ["hit"] : [] })),
    );

    const first = await store.find.list({ tags: ["hit"] }, { limit: 6 });
    const second = await store.find.list({ tags: ["hit"] }, { limit: 6, cursor: first.next! });

    expect(first.items).toHaveLength(6);
    expect(second.items).toHaveLength(4);
    expect(second.next).toBeNull();
    expect(new Set([...first.items, ...second.items].map(({ id }) => id)).size).toBe(10);
  });
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
    const { id } = await leased(store, node);
    const at = clock.now();
    const line = (message: string) => ({ run: id, attempt: 1, at, level: "info", message, data: null }) as const;
    await store.runs.log([line("one"), line("two")]);
    await store.runs.log([
      { ...line("three"), level: "error", data: '{"a":1}' },
      { ...line("elsewhere"), run: id + 1 },
    ]);

    const first = await store.find.logs(id, { limit: 2 });
    const second = await store.find.logs(id, { limit: 2, cursor: first.next! });

    expect(first.items.map(({ message }) => message)).toEqual(["one", "two"]);
    expect(second).toMatchObject({ next: null, complete: true });
    expect(second.items).toEqual([{ run: id, attempt: 1, at, level: "error", message: "three", data: '{"a":1}' }]);
  });

  test("log lines that hold NUL or lone surrogates are stored cleaned", async () => {
    const { store, clock, node } = await setup();
    const { id } = await leased(store, node);

    await store.runs.log([
      { run: id, attempt: 1, at: clock.now(), level: "warn", message: "a\u0000b\ud800", data: null },
    ]);

    const { message } = only((await store.find.logs(id)).items);
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
    expect(stats.lanes).toContainEqual({ queue: "default", job: "a", priority: 5, ready: 1, delayed: 1, leased: 2 });
    expect(stats.lanes).toContainEqual({ queue: "q", job: "b", priority: 9, ready: 1, delayed: 0, leased: 0 });
    const ofC = stats.lanes.filter(({ job }) => job === "c");
    expect(ofC.every(({ ready, delayed, leased }) => ready + delayed + leased === 0)).toBe(true);
  });

  test("stats count no more than 10,000 a lane", async () => {
    const { store } = await setup();
    await addMany(store, 10_001);

    expect(only((await store.find.stats()).lanes).ready).toBe(10_000);
  });

  test("queues are listed with their pause", async () => {
    const { store } = await setup();
    await addAll(store, [aRun({ queue: "a" }), aRun({ queue: "b" })]);
    await store.desk.pause("b");
    await store.desk.pause("c");

    const queues = await store.find.queues();

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
}
