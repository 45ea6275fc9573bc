import { expect, test } from "vitest";
import type { RunFilter, RunRecord } from "../../../sdk/port/target.ts";
import type { Guarded } from "../../../runtime/store/port.ts";
import {
  addAll,
  addMany,
  addOne,
  anError,
  aRun,
  completed,
  ended,
  failed,
  lease,
  leased,
  settled,
  wire,
} from "../../kit/build.ts";
import type { Setup } from "../suite.ts";

async function ids(store: Guarded, filter: RunFilter): Promise<readonly number[]> {
  return (await store.find.list(filter)).items.map(({ id }) => id);
}

/** Lists and searches. */
export function listing(setup: () => Promise<Setup>): void {
  plain(setup);
  lanes(setup);
  searching(setup);
}

function plain(setup: () => Promise<Setup>): void {
  test("live runs that are newer than all that finished are in lists bounded by their date", async () => {
    const { store, clock, node } = await setup();
    await ended(store, node, completed);
    await addMany(store, 300, { delayMs: 3_600_000 });
    const filter = { createdBefore: new Date(clock.nowMs() + 86_400_000) };

    const first = await store.find.list(filter, { limit: 200 });
    const second = await store.find.list(filter, { limit: 200, cursor: first.next! });

    expect([first.items.length, second.items.length, second.next]).toEqual([200, 101, null]);
  });

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

  test("dates choose among runs of many days, by page too, also where one took days to end", async () => {
    const { store, clock, node } = await setup();
    const startMs = clock.nowMs();
    const slow = await leased(store, node, { job: "slow" });
    await store.runs.hold(node, [{ id: slow.id, token: slow.token, startedMs: slow.dueMs }]);
    const daily: number[] = [];
    for (let day = 0; day < 5; day++) {
      daily.push(await ended(store, node, completed));
      if (day === 3) await store.runs.settle([settled(slow)]);
      await clock.advance("1d");
    }
    const at = (days: number): Date => new Date(startMs + days * 86_400_000);

    const [d0, d1, d2, d3, d4] = daily;
    expect(await paged(store, { finishedBefore: at(1.5) }, 1)).toEqual([d1, d0]);
    expect(await paged(store, { finishedBefore: at(3.5) }, 2)).toEqual([d3, d2, d1, d0, slow.id]);
    expect(await paged(store, { finishedAfter: at(2.5) }, 2)).toEqual([d4, d3, slow.id]);
    expect(await ids(store, { finishedAfter: at(0.5), finishedBefore: at(2.5) })).toEqual([d2, d1]);
    expect(await ids(store, { createdAfter: at(1.5), createdBefore: at(3.5) })).toEqual([d3, d2]);
    expect(await paged(store, { createdBefore: at(1.5) }, 1)).toEqual([d1, d0, slow.id]);
    expect(await ids(store, { createdBefore: at(0.5), job: ["slow"] })).toEqual([slow.id]);
    expect(await ids(store, { createdAfter: at(4.5) })).toEqual([]);
  });

  test("filters of how runs ended hold together", async () => {
    const { store, node } = await setup();
    const good = await ended(store, node, completed);
    const bad = await ended(store, node, failed("odd one"), { job: "b" });
    const late = await ended(store, node, { to: "failed", reason: "timeout", error: anError() }, { job: "b" });
    const gone = await addOne(store);
    await store.desk.cancel([gone]);

    expect(await ids(store, { status: ["completed", "canceled"] })).toEqual([gone, good]);
    expect(await ids(store, { status: ["completed", "failed"] })).toEqual([late, bad, good]);
    expect(await ids(store, { status: ["failed"], reason: ["timeout"], job: ["b"] })).toEqual([late]);
    expect(await ids(store, { status: ["completed"], error: "odd" })).toEqual([]);
    expect(await ids(store, { error: "odd", job: ["b"] })).toEqual([bad]);
    expect(await ids(store, { ids: [good, bad, late], status: ["failed"], reason: ["error"] })).toEqual([bad]);
  });
}

function lanes(setup: () => Promise<Setup>): void {
  test("pages of a job's runs cover its queues and priorities, live and finished, and nothing else", async () => {
    const { store, node } = await setup();
    const places = ["x", "y", "z"].flatMap((queue) => [1, 9].map((priority) => ({ queue, priority })));
    const made: { readonly id: number; readonly job: string; readonly queue: string }[] = [];
    for (let i = 0; i < 48; i++) {
      const run = { job: i % 3 === 0 ? "other" : "job", ...places[i % places.length]! };
      made.push({ id: await addOne(store, run), ...run });
    }
    await store.runs.settle(
      (await lease(store, node, { jobs: ["job", "other"], limit: 20 })).map((each) => settled(each)),
    );

    const newest = made.toReversed();
    const ofJob = newest.filter(({ job }) => job === "job").map(({ id }) => id);
    const ofQueues = newest.filter(({ job, queue }) => job === "job" && queue !== "y").map(({ id }) => id);
    expect(await paged(store, { job: ["job"] }, 7)).toEqual(ofJob);
    expect(await paged(store, { job: ["job", "none"], queue: ["x", "z"] }, 5)).toEqual(ofQueues);
  });

  test("runs of many queues are found behind thousands of newer ones", async () => {
    const { store, node } = await setup();
    const queues = Array.from({ length: 40 }, (_, i) => `q${i}`);
    const wanted = (
      await addAll(
        store,
        queues.map((queue) => aRun({ queue })),
      )
    ).map(({ id }) => id);
    await addMany(store, 5100, { queue: "busy" });
    for (let i = 0; i < 6; i++)
      await store.runs.settle((await lease(store, node, { limit: 1000 })).map((each) => settled(each)));

    expect(await paged(store, { queue: queues }, 15)).toEqual(wanted.toReversed());
    expect(await ids(store, { queue: ["busy", ...queues] })).toHaveLength(50);
  });

  test("a search within a job goes on over its queues", async () => {
    const { store } = await setup();
    const runs = Array.from({ length: 40 }, (_, i) =>
      aRun({ job: i % 4 === 0 ? "other" : "job", queue: `q${i % 5}`, tags: i % 2 === 0 ? ["hit"] : [] }),
    );
    const made = (await addAll(store, runs)).map(({ id }) => id);

    const wanted = made.filter((_, i) => i % 4 === 2).toReversed();
    expect(await paged(store, { job: ["job"], tags: ["hit"] }, 3)).toEqual(wanted);
  });
}

/** Ids of all pages. */
async function paged(store: Guarded, filter: RunFilter, limit: number): Promise<readonly number[]> {
  const seen: number[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await store.find.list(filter, { limit, ...(cursor === undefined ? {} : { cursor }) });
    seen.push(...page.items.map(({ id }) => id));
    if (page.next === null) return seen;
    cursor = page.next;
  }
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
