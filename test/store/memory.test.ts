import { expect, test } from "vitest";
import { memory, storeOf } from "../../runtime/store/memory/index.ts";
import { decode, encode, fromJSON, type Json, toJSON } from "../../runtime/store/memory/json.ts";
import { makeState } from "../../runtime/store/memory/state.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { addMany, addOne, aNode, aState, lease, leased, settled, waiting, withChildren } from "../kit/build.ts";
import { least } from "../kit/least.ts";
import { modelSuite } from "./model.ts";
import { type Open, storeSuite } from "./suite.ts";

const open: Open = (clock) => Promise.resolve(memory({ now: clock.nowMs }));

/** A store whose state is another one at each call: what the last one was written out as. */
const rewritten: Open = ({ nowMs }) => {
  let state = makeState(nowMs);
  const current = (): Guarded => {
    const { feed } = state; // it is of the process
    state = fromJSON(JSON.parse(JSON.stringify(toJSON(state))) as Json, nowMs);
    Object.assign(state.feed, feed);
    return storeOf(state);
  };
  return Promise.resolve(new Proxy(storeOf(state), { get: (_, port: keyof Guarded) => current()[port] }));
};

test("what JSON lacks comes back from it", () => {
  const value = {
    at: new Date(5),
    until: Infinity,
    map: new Map([[1, { $: ["date", 1] }]]),
    $: -Infinity,
    gone: undefined,
  };

  const back = decode(JSON.parse(JSON.stringify(encode([value, null, "text"]))) as Json);

  expect(back).toEqual([value, null, "text"]);
});

storeSuite("memory", open);
storeSuite("least", (clock) => Promise.resolve(least({ now: clock.nowMs })));
modelSuite("memory, written out and read back before each call,", rewritten, { runs: 15, steps: 100 });

test("the memory store's own clock is the system's", async () => {
  const store = memory();
  const before = Date.now();

  const id = await addOne(store);

  const run = await store.find.get(id);
  expect(run!.dueAt.getTime()).toBeGreaterThanOrEqual(before);
  expect(run!.dueAt.getTime()).toBeLessThanOrEqual(Date.now());
});

test("an idle node beats while 130,000 runs wait", async () => {
  const store = memory();
  const node = await store.nodes.join(aNode(), 15_000);
  await addMany(store, 130_000, { delayMs: 3_600_000, ttlMs: 1000 });

  const { coming } = await store.nodes.beat(node, 15_000, aState(), []);

  expect(coming!.dueMs).toBeGreaterThan(Date.now());
  expect(coming!.expiresMs).toBe(coming!.dueMs! + 1000);
});

test("a workflow is not woken before as many children completed as it wants", async () => {
  const store = memory();
  const node = await store.nodes.join(aNode(), 15_000);
  const parent = await leased(store, node);
  await withChildren(store, parent, 3);
  await store.runs.settle([settled(parent, waiting({ reason: "child", wants: 3 }))]);
  const woken: number[] = [];

  for (const child of await lease(store, node, { jobs: ["child"] })) {
    await store.runs.settle([settled(child)]);
    woken.push((await lease(store, node)).length);
  }

  expect(woken).toEqual([0, 0, 1]);
});

test("a clock that goes back does not take the memory store's time with it", async () => {
  let nowMs = 2_000_000;
  const store = memory({ now: () => nowMs });
  await addOne(store);

  nowMs = 1_000_000;
  const id = await addOne(store);

  expect((await store.find.get(id))!.createdAt.getTime()).toBe(2_000_000);
});

test("closing the memory store ends all waits, and may be done twice", async () => {
  const store = memory();
  const id = await addOne(store);
  const awaited = store.find.awaited(id, 25_000);

  await store.close();
  await store.close();

  expect(await awaited).toBeNull();
});
