import { expect, test } from "vitest";
import { memory } from "../../runtime/store/memory/index.ts";
import { addMany, addOne, aNode, aState } from "../kit/build.ts";
import { least } from "../kit/least.ts";
import { type Open, storeSuite } from "./suite.ts";

const open: Open = (clock) => Promise.resolve(memory({ now: clock.nowMs }));

storeSuite("memory", open);
storeSuite("least", (clock) => Promise.resolve(least({ now: clock.nowMs })));

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
