import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type EventQuery, eventsOf } from "../../../sdk/client/events.ts";
import type { Item } from "../../../sdk/client/hub.ts";
import { queuesOf, runsOf } from "../../../sdk/client/runs.ts";
import { schedulesOf } from "../../../sdk/client/schedules.ts";
import { NotSupported, StoreUnavailable, StoreUnusable } from "../../../sdk/port/error.ts";
import { formatId } from "../../../sdk/port/id.ts";
import { guard } from "../../../runtime/store/guard.ts";
import { memory } from "../../../runtime/store/memory/index.ts";
import type { Guarded } from "../../../runtime/store/port.ts";
import { addOne, anError, aNode, aRun, aSchedule, leased, settled, suspended } from "../../kit/build.ts";
import { fakeClock } from "../../kit/clock.ts";
import { least } from "../../kit/least.ts";
import { until } from "../../kit/until.ts";

interface Watch {
  readonly seen: readonly Item[];
  /** Types of what it has seen. */
  types(): readonly string[];
  /** Waits until it has seen so many. */
  count(n: number): Promise<readonly Item[]>;
  readonly over: Promise<unknown>;
  /** Waits until it has seen a mark that is made now. */
  marked(): Promise<void>;
  stop(): void;
}

/** Watches a store; resolves once the first event would be seen. */
async function watch(store: Pick<Guarded, "feed">, query: EventQuery = {}): Promise<Watch> {
  const stopping = new AbortController();
  const seen: Item[] = [];
  let read = 0;
  const events = eventsOf(() => Promise.resolve(store as Guarded), { ...query, signal: stopping.signal });
  const over = (async () => {
    for await (const event of events) {
      if (event.type === "gap" && event.lost === 0) read++;
      else seen.push(event);
    }
  })();
  over.catch(() => undefined);
  onTestFinished(() => stopping.abort());
  const mark = JSON.stringify({ type: "gap", lost: 0 }); // no filter leaves it out
  const isRead = async (): Promise<boolean> => {
    await store.feed.write([mark]);
    return read > 0;
  };
  await until(isRead, { what: "it watches" });
  return {
    seen,
    over,
    types: () => seen.map(({ type }) => type),
    count: (n) =>
      until(() => (seen.length >= n ? seen : null), {
        what: () => `${n} events are seen, not ${JSON.stringify(seen)}`,
      }),
    stop: () => stopping.abort(),
    async marked() {
      read = 0;
      await until(isRead, { what: "it reads on" });
    },
  };
}

/** All ten at most of a query that ends by itself once it has that many. */
async function take(events: AsyncIterable<Item>, n: number): Promise<readonly Item[]> {
  const taken: Item[] = [];
  for await (const event of events) if (taken.push(event) === n) break;
  return taken;
}

const open = (store: Guarded) => () => Promise.resolve(store);

describe("acts of applications", () => {
  test("a run that is added is told of, with its job, queue and tags", async () => {
    const store = memory();
    const watched = await watch(store);

    const id = await addOne(store, { job: "mail", queue: "slow", tags: ["user:7"] });

    const [event] = await watched.count(1);
    expect(event).toEqual({
      id: expect.any(String) as string,
      type: "run.scheduled",
      at: expect.any(Date) as Date,
      run: formatId(id),
      ...{ job: "mail", queue: "slow", tags: ["user:7"], attempt: 0 },
    });
  });

  test("a run that is not added, for its key has one, is not told of", async () => {
    const store = memory();
    const watched = await watch(store);
    const key = { key: "k", keepMs: 1000, onConflict: "return", hash: "h" } as const;

    await store.add([aRun({ key })]);
    await store.add([aRun({ key }), aRun({ priority: 10 }), aRun({ job: "last" })]);

    expect(await watched.count(2)).toMatchObject([{ job: "job" }, { job: "last" }]);
  });

  test("what is done to runs is told, once it is done", async () => {
    const store = memory();
    const runs = runsOf(open(store));
    const node = await store.nodes.join(aNode(), 30_000);
    const failed = await leased(store, node);
    await store.runs.settle([
      settled(failed, { to: "failed", reason: "error", error: { name: "Error", message: "no", stack: null } }),
    ]);
    const [run, doomed] = [formatId(await addOne(store, { delayMs: 60_000 })), formatId(await addOne(store))];
    const watched = await watch(store);

    await runs.edit(run, { delay: "2m" });
    await runs.cancel(run);
    await runs.cancel(run); // it is canceled already
    await runs.resume(run);
    await runs.retry(formatId(failed.id));
    await runs.cancel(doomed);
    await runs.purge(doomed);
    await runs.purge(doomed).catch(() => undefined);

    expect(await watched.count(6)).toMatchObject([
      { type: "run.edited", run },
      { type: "run.canceled", run, reason: "user" },
      { type: "run.resumed", run, reason: "canceled" },
      { type: "run.resumed", run: formatId(failed.id), reason: "failed" },
      { type: "run.canceled", run: doomed },
      { type: "run.deleted", run: doomed, job: "job" },
    ]);
  });

  test("a journal that is mended was edited, and what the fix asks for reaches the store", async () => {
    const store = memory();
    const node = await store.nodes.join(aNode(), 30_000);
    const { id } = await suspended(store, node, { reason: "parked", error: anError() });
    const watched = await watch(store);

    await runsOf(open(store)).fix(formatId(id), { pin: "1.4" });

    expect(await watched.count(1)).toMatchObject([{ type: "run.edited", run: formatId(id), queue: "$default@1.4" }]);
  });

  test("a purge by a filter says how many are gone", async () => {
    const store = memory();
    const ids = [await addOne(store), await addOne(store), await addOne(store)];
    await store.desk.cancel(ids);
    const watched = await watch(store);

    await runsOf(open(store)).purge({ status: "canceled" });

    expect(await watched.count(1)).toMatchObject([{ type: "runs.purged", count: 3 }]);
  });

  test("queues and schedules are told of by their verbs; a pause that has to be repeated, once", async () => {
    const store = memory();
    const [queues, schedules] = [queuesOf(open(store)), schedulesOf(open(store))];
    const pause = vi.spyOn(store.desk, "pause");
    const watched = await watch(store);

    await queues.pause("mail");
    await store.desk.pause("mail", true);
    await queues.resume("mail");
    await queues.pause("mail");
    await store.schedules.put([aSchedule({ job: "job", key: "k" })]);
    await schedules.pause("job@k");
    await schedules.resume("job@k");
    await schedules.remove("job@k");
    await schedules.remove("job@k");

    expect(pause.mock.calls.length).toBeGreaterThan(3);
    expect((await watched.count(7)).map(({ id: _, at: __, ...event }) => event)).toEqual([
      { type: "queue.paused", queue: "mail" },
      { type: "queue.resumed", queue: "mail" },
      { type: "queue.paused", queue: "mail" },
      ...["changed", "paused", "resumed", "removed"].map((what) => ({
        type: `schedule.${what}`,
        ...{ schedule: "job@k", job: "job" },
      })),
    ]);
  });
});

describe("a reader", () => {
  const kinds = { job: "mail", queue: "slow", tags: ["a", "b"] };

  test.each<[string, EventQuery, number]>([
    ["types", { types: ["run.canceled", "run.failed"] }, 3],
    ["statuses", { statuses: ["canceled"] }, 3],
    ["types and jobs", { types: ["run.canceled"], jobs: ["mail", "other"] }, 1],
    ["queues and statuses", { queues: ["slow"], statuses: ["canceled"] }, 1],
    ["tags and statuses", { tags: ["b", "a"], statuses: ["canceled"] }, 1],
  ])("gets what it asks for by %s, and no more", async (_what, query, count) => {
    const store = memory();
    const watched = await watch(store, query);

    const [id, other] = [await addOne(store, kinds), await addOne(store, { delayMs: 1000 })];
    await store.desk.pause("slow", true);
    await store.desk.cancel([id]);
    await store.desk.cancel([await addOne(store, { ...kinds, tags: ["a"], queue: "fast", job: "none" })]);
    await store.desk.cancel([other]);
    await told(store, other, "run.canceled");
    await watched.marked(); // whatever came before is seen by then

    expect(watched.seen[0]).toMatchObject({ type: "run.canceled", run: formatId(id) });
    expect(watched.types()).toEqual(Array.from({ length: count }, () => "run.canceled"));
  });

  test("gets the events of the runs that it names", async () => {
    const store = memory();
    const ids = [await addOne(store), await addOne(store)];
    const watched = await watch(store, { ids: [formatId(ids[1]!)] });

    await store.desk.cancel(ids);

    expect(await watched.count(1)).toMatchObject([{ run: formatId(ids[1]!) }]);
  });

  test("goes on after any event that it has seen, without a hole and without a double", async () => {
    const store = memory();
    const watched = await watch(store);
    for (let n = 0; n < 30; n++) await addOne(store, { job: `job${n}` });
    const seen = await watched.count(30);
    watched.stop();
    for (let n = 30; n < 40; n++) await addOne(store, { job: `job${n}` });

    for (const at of [0, 13, 29]) {
      const since = seen[at]!.id!;
      const events = eventsOf(open(store), { since });
      const adding = addOne(store, { job: "live" });
      const taken = await take(events, 39 - at);
      await adding;

      const jobs = taken.map((event) => ("job" in event ? event.job : event.type));
      expect(jobs).toEqual(Array.from({ length: 39 - at }, (_, i) => `job${at + 1 + i}`));
    }
  });

  test("that goes on beside others gets each event once, also those that come meanwhile", async () => {
    const store = memory();
    const first = await watch(store);
    await addOne(store, { job: "0" });
    const since = (await first.count(1))[0]!.id!;
    for (let n = 1; n <= 500; n++) await addOne(store, { job: String(n) });

    const events = eventsOf(open(store), { since });
    const jobs: string[] = [];
    let next = 500;
    for await (const event of events) {
      if (!("job" in event) || jobs.push(event.job) === 1000) break;
      if (next < 1100) await addOne(store, { job: String(++next) });
    }

    expect(jobs).toEqual(Array.from({ length: 1000 }, (_, i) => String(i + 1)));
  });

  test("hears how much it missed of what is not kept any more", async () => {
    const clock = fakeClock();
    const store = memory({ now: clock.nowMs });
    const { cursor } = await store.feed.watch(3_600_000);
    await store.feed.write(["1", "2", "3"].map((run) => JSON.stringify({ type: "run.started", run })));
    await clock.advance("10m");
    await store.feed.write([JSON.stringify({ type: "run.started", run: "run_4" })]);

    const taken = await take(eventsOf(open(store), { since: cursor }), 2);

    expect(taken).toMatchObject([{ type: "gap", lost: 3 }, { run: "run_4" }]);
  });

  test("that does not read keeps a thousand events, and hears how many it lost", async () => {
    const store = memory();
    const events = eventsOf(open(store));
    const beginning = events.next();
    await until(() => store.feed.watched, { what: "it watches" });
    await addOne(store, { job: "first" });
    const first = (await beginning).value as Item;
    for (let n = 0; n < 1500; n += 100) {
      await store.feed.write(
        Array.from({ length: 100 }, (_, i) => JSON.stringify({ type: "node.started", node: String(n + i) })),
      );
    }
    const other = await watch(store);
    await other.marked();

    const [gap, ...rest] = await take(events, 1001);

    const after = await take(eventsOf(open(store), { since: first.id! }), 1500);
    const place = after.findIndex(({ id }) => id === rest[0]!.id);
    expect(gap).toMatchObject({ type: "gap", lost: place });
    expect(rest.slice(0, 900)).toEqual(after.slice(place, place + 900));
  });

  test("hears of a node that ended without a word", async () => {
    const clock = fakeClock();
    const store = memory({ now: clock.nowMs });
    await store.nodes.join(aNode({ name: "web:1" }), 15_000);
    vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const seen: Item[] = [];
    const stopping = new AbortController();
    const reading = (async () => {
      for await (const event of eventsOf(open(store), { signal: stopping.signal })) seen.push(event);
    })();
    await vi.advanceTimersByTimeAsync(100);

    await clock.advance("30s");
    await vi.advanceTimersByTimeAsync(11_000);
    stopping.abort();
    await reading;

    expect(seen).toMatchObject([{ type: "gap", lost: null, node: "web:1" }]);
  });

  test("ends when its signal aborts, also while it waits, and before it has begun", async () => {
    const store = memory();
    const watched = await watch(store);
    watched.stop();

    await expect(watched.over).resolves.toBeUndefined();
    await expect(take(eventsOf(open(store), { signal: AbortSignal.abort() }), 1)).resolves.toEqual([]);
  });
});

describe("readers of one process", () => {
  test("cost what one costs", async () => {
    const store = memory();
    const [read, watching] = [vi.spyOn(store.feed, "read"), vi.spyOn(store.feed, "watch")];
    const cost = async (readers: number): Promise<readonly number[]> => {
      read.mockClear();
      watching.mockClear();
      const stopping = new AbortController();
      const counts = Array.from({ length: readers }, () => 0);
      const all = counts.map(async (_, i) => {
        for await (const _event of eventsOf(open(store), { signal: stopping.signal })) counts[i]!++;
      });
      await until(() => read.mock.calls.length > 0, { what: "the feed is read" });
      for (let n = 0; n < 5; n++) {
        await addOne(store);
        await until(() => counts.every((count) => count === n + 1), { what: "all have seen it" });
      }
      stopping.abort();
      await Promise.all(all);
      return [read.mock.calls.length, watching.mock.calls.length];
    };

    const one = await cost(1);
    const ten = await cost(10);

    expect(ten).toEqual(one);
  });

  test("stop reading once the last has left, and begin anew with the next", async () => {
    const store = memory();
    const read = vi.spyOn(store.feed, "read");
    const [one, two] = [await watch(store), await watch(store)];

    one.stop();
    await addOne(store);
    await two.count(1);
    two.stop();
    await two.over;
    const calls = read.mock.calls.length;
    const last = read.mock.lastCall;
    const third = await watch(store);
    await addOne(store, { job: "third" });

    expect(last![2]!.aborted).toBe(true);
    expect(await third.count(1)).toMatchObject([{ job: "third" }]);
    expect(read.mock.calls.length).toBeGreaterThan(calls);
    expect(one.seen).toEqual([]);
  });

  test("go on after the store was away", async () => {
    const store = memory();
    const watched = await watch(store);
    const read = store.feed.read.bind(store.feed);
    let fails = 0;
    vi.spyOn(store.feed, "read").mockImplementation((...args) =>
      fails++ < 3 ? Promise.reject(new StoreUnavailable("test", "away")) : read(...args),
    );

    await addOne(store, { job: "before" });
    await watched.count(1);
    await until(() => fails > 0, { what: "it fails" });
    for (let n = 0; n < 3; n++) await addOne(store, { job: String(n) });

    expect(await watched.count(4)).toMatchObject([{ job: "before" }, { job: "0" }, { job: "1" }, { job: "2" }]);
    expect(fails).toBeGreaterThan(3);
  });

  test("end with an error that no repeat mends, and so do those who come later", async () => {
    const store = memory();
    const [one, two] = [await watch(store), await watch(store)];
    vi.spyOn(store.feed, "read").mockRejectedValue(new StoreUnusable("the table is gone"));
    await addOne(store);

    await expect(one.over).rejects.toThrow("the table is gone");
    await expect(two.over).rejects.toThrow("the table is gone");
    vi.restoreAllMocks();
    const third = await watch(store);
    await addOne(store);
    expect(await third.count(1)).toHaveLength(1);
  });
});

test("a store without a feed can't be watched, and says why", async () => {
  const store = guard({ ...least(), lacks: { feed: "it tells nobody" } });

  await expect(take(eventsOf(open(store)), 1)).rejects.toThrow(NotSupported);
  await expect(take(eventsOf(open(store)), 1)).rejects.toThrow(/feed\.watch is not supported by .* it tells nobody/);
});

test.each<[string, object, RegExp]>([
  ["type", { type: ["run.failed"] }, /has no option "type"; did you mean "types"/],
  ["types", { types: ["run.fail"] }, /types "run.fail" is none of/],
  ["statuses", { statuses: ["done"] }, /statuses "done" is none of/],
  ["jobs", { jobs: "mail" }, /jobs "mail" is not a list of texts/],
  ["tags", { tags: [7] }, /is not a list of texts/],
  ["since", { since: 7 }, /since "7" is not the id of an event/],
  ["signal", { signal: {} }, /is not an AbortSignal/],
])("a query with a wrong %s is refused at once", (path, query, said) => {
  expect(() => runsOf(open(memory())).events(query as EventQuery)).toThrow(said);
  expect(() => runsOf(open(memory())).events(query as EventQuery)).toThrow(expect.objectContaining({ path }));
});

test("an id that no event has is refused by the store", async () => {
  await expect(take(eventsOf(open(memory()), { since: "run_1" }), 1)).rejects.toMatchObject({ path: "since" });
});

/** Waits until the feed has an event of a run. */
async function told(store: Guarded, run: number, type: string): Promise<void> {
  const { cursor } = await store.feed.watch(60_000);
  const isIt = (text: string): boolean => text.includes(`"${type}"`) && text.includes(`"${formatId(run)}"`);
  const look = async (): Promise<boolean> => {
    const { lines } = await store.feed.read(`${cursor.slice(0, 10)}000000000`, 0);
    return lines.some(({ text }) => isIt(text));
  };
  await until(look, { what: `${type} of ${formatId(run)} is told` });
}
