import { expect, test } from "vitest";
import { memory } from "../../runtime/store/memory/index.ts";
import { addOne } from "../kit/build.ts";
import { modelSuite } from "./model.ts";
import { least } from "../kit/least.ts";
import { type Open, storeSuite } from "./suite.ts";

const open: Open = (clock) => Promise.resolve(memory({ now: clock.nowMs }));

storeSuite("memory", open);
storeSuite("least", (clock) => Promise.resolve(least({ now: clock.nowMs })));
modelSuite("memory", open, { runs: 100, steps: 100 });

test("the memory store's own clock is the system's", async () => {
  const store = memory();
  const before = Date.now();

  const id = await addOne(store);

  const run = await store.find.get(id);
  expect(run!.dueAt.getTime()).toBeGreaterThanOrEqual(before);
  expect(run!.dueAt.getTime()).toBeLessThanOrEqual(Date.now());
});

test("closing the memory store ends all waits, and may be done twice", async () => {
  const store = memory();
  const id = await addOne(store);
  const awaited = store.find.awaited(id, 25_000);

  await store.close();
  await store.close();

  expect(await awaited).toBeNull();
});
