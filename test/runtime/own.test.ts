/** Runs that a runtime's own process triggers: leased as they are added where there is room, claimed like all others where not. */
import { AsyncLocalStorage } from "node:async_hooks";
import { expect, test, vi } from "vitest";
import { StoreUnavailable } from "../../sdk/port/error.ts";
import type { Added } from "../../sdk/port/target.ts";
import type { Claim } from "../../runtime/store/port.ts";
import { aKey, aRun, only } from "../kit/build.ts";
import { aBench, aJob, deferred, turns, withRuns } from "./kit.ts";

/** A bench whose claims and leased adds are counted, with one job that ends at once and one that ends when told. */
async function counted(options: Parameters<typeof aBench>[0] = {}) {
  const claims: Claim[] = [];
  const direct: number[] = [];
  const over = deferred();
  const slow = aJob(() => over.promise, { id: "slow" });
  const bench = await aBench({ jobs: [aJob(() => undefined), slow], ...options }, (store) =>
    withRuns(store, (runs) => ({
      lease: (claim) => (claims.push(claim), runs.lease(claim)),
      add: (batch, how) => (how?.lease && direct.push(batch.length), runs.add(batch, how)),
    })),
  );
  claims.length = 0;
  return { ...bench, claims, direct, over };
}

async function statusOf(bench: Awaited<ReturnType<typeof counted>>, added: Added | Error | undefined) {
  return (await bench.get((added as Added).id)).status;
}

test("a run that can start at once needs no claim", async () => {
  const bench = await counted();

  const added = only(await bench.runtime.store.add([aRun()]));
  await turns();

  expect(await statusOf(bench, added)).toBe("completed");
  expect([bench.direct, bench.claims]).toEqual([[1], []]);
});

test("its events are those of any other run, in order", async () => {
  const bench = await counted();
  const seen: string[] = [];
  bench.runtime.events.on({}, (event) => seen.push(event.type));

  await bench.runtime.store.add([aRun()]);
  await turns();

  expect(seen).toEqual(["run.scheduled", "run.started", "run.completed"]);
});

test.each([
  ["of an unknown job", { job: "other" }],
  ["with a key", { key: aKey("k") }],
  ["that falls due later", { delayMs: 500 }],
  ["with an instant", { dueAt: new Date(0) }],
])("a run %s goes the usual way", async (_what, about) => {
  const bench = await counted();

  await bench.runtime.store.add([aRun(about)]);
  await turns();

  expect(bench.direct).toEqual([]);
});

test("what has no slot here stays with the store, for other nodes", async () => {
  const bench = await counted({ slots: 2 });
  const { store } = bench.runtime;

  await store.add([aRun({ job: "slow" })]);
  await store.add([aRun({ job: "slow" })]);
  await store.add([aRun({ job: "slow" })]);
  await store.add([aRun(), aRun(), aRun()]);
  await turns();

  expect(bench.direct).toEqual([1, 1]);
  bench.over.resolve();
  await turns(40);
  expect(bench.runtime.stats().busy).toBe(0);
});

test("a queue's limit holds", async () => {
  let [now, most] = [0, 0];
  const job = aJob(async () => {
    most = Math.max(most, ++now);
    await turns(3);
    now--;
  });
  const bench = await counted({ jobs: [job], queues: { narrow: { concurrency: 1 } } });
  const { store } = bench.runtime;

  const added = [];
  for (let i = 0; i < 5; i++) added.push(only(await store.add([aRun({ queue: "narrow" })])));
  await turns(100);

  expect(most).toBe(1);
  expect(await Promise.all(added.map((each) => statusOf(bench, each)))).toEqual(added.map(() => "completed"));
});

test("adds that are under way count: together they take no more than there is room", async () => {
  const bench = await counted({ slots: 2 });
  const { store } = bench.runtime;

  await Promise.all(Array.from({ length: 5 }, () => store.add([aRun({ job: "slow" })])));

  expect(bench.direct).toEqual([1, 1]);
});

test("a run of a paused queue waits", async () => {
  const bench = await counted();
  await bench.store.desk.pause("still", true);

  const added = only(await bench.runtime.store.add([aRun({ queue: "still" })]));
  await turns();

  expect(await statusOf(bench, added)).toBe("pending");
});

test("a run that a claim after a lost answer brings before the add is answered starts once, and ends under the newer lease", async () => {
  const [gate, over] = [deferred(), deferred()];
  const handler = vi.fn(() => over.promise);
  let isLost = false;
  const bench = await aBench({ jobs: [aJob(handler)] }, (store) =>
    withRuns(store, (runs) => ({
      add: async (...args) => {
        const added = await runs.add(...args);
        await gate.promise;
        return added;
      },
      lease: async (claim) => {
        const claimed = await runs.lease(claim);
        if (isLost || claimed.leases.length === 0) return claimed;
        isLost = true;
        throw new StoreUnavailable("db", "connection reset");
      },
    })),
  );

  const adding = bench.runtime.store.add([aRun()]);
  await turns();
  await bench.add();
  await bench.pass(2000);
  gate.resolve();
  const { id } = only(await adding) as Added;
  over.resolve();
  await turns();

  expect(handler).toHaveBeenCalledTimes(2);
  expect(await bench.get(id)).toMatchObject({ status: "completed", token: 2 });
});

test("a stopped runtime leases nothing for itself", async () => {
  const bench = await counted();
  await bench.stop();

  const added = only(await bench.runtime.store.add([aRun()]));

  expect(bench.direct).toEqual([]);
  expect(await statusOf(bench, added)).toBe("pending");
});

test("a stop waits for runs that are being added under a lease, and gives them back", async () => {
  const gate = deferred();
  const bench = await aBench({ jobs: [aJob(() => undefined)] }, (store) =>
    withRuns(store, (runs) => ({ add: async (...args) => (await gate.promise, runs.add(...args)) })),
  );

  const adding = bench.runtime.store.add([aRun()]);
  const stopping = bench.runtime.stop();
  await turns();
  gate.resolve();
  const added = only(await adding) as Added;
  await stopping;

  expect(await bench.get(added.id)).toMatchObject({ status: "pending", crashes: 0, attempt: 0 });
});

test("a handler does not start in the asynchronous context of whoever triggered it", async () => {
  const request = new AsyncLocalStorage<string>();
  const seen: (string | undefined)[] = [];
  const bench = await aBench({ jobs: [aJob(() => void seen.push(request.getStore()))] });

  await request.run("request 1", () => bench.runtime.store.add([aRun()]));
  await turns();

  expect(seen).toEqual([undefined]);
});
