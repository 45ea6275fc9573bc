import { expect, test } from "vitest";
import type { NewRun } from "../../../sdk/port/target.ts";
import { addAll, addOne, aRun, lease, leased, only, wire } from "../../kit/build.ts";
import type { Setup } from "../suite.ts";
import { near } from "./near.ts";

export function adding(setup: () => Promise<Setup>): void {
  test("an added run is pending and has all that it was given", async () => {
    const { store, clock } = await setup();
    const original = await addOne(store);

    const id = await addOne(store, {
      job: "mail",
      queue: "slow",
      priority: 7,
      input: { json: '{"at":"2030-01-01"}', meta: '{"at":"Date"}' },
      tags: ["user:7", "eu"],
      options: { retry: { attempts: 9, delayMs: 5 }, timeoutMs: 1000 },
      replayOf: original,
    });

    const run = await store.find.get(id);
    expect(run).toMatchObject({
      id,
      job: "mail",
      queue: "slow",
      priority: 7,
      status: "pending",
      reason: null,
      canceling: false,
      expiresAt: null,
      startedAt: null,
      finishedAt: null,
      node: null,
      attempt: 0,
      crashes: 0,
      token: 0,
      tags: ["user:7", "eu"],
      key: null,
      input: { json: '{"at":"2030-01-01"}', meta: '{"at":"Date"}' },
      result: null,
      error: null,
      progress: null,
      options: { retry: { attempts: 9, delayMs: 5 }, timeoutMs: 1000 },
      replayOf: original,
    });
    near(run!.createdAt, clock.now());
    near(run!.dueAt, clock.now());
  });

  test("the input comes back character by character", async () => {
    const { store } = await setup();
    const json = '{"b":1,"a":[1.0,"é\\n \\u2028 🙂"],"__proto__":null}';

    const id = await addOne(store, { input: { json, meta: null } });

    expect((await store.find.get(id))!.input.json).toBe(json);
  });

  test("answers are in the order of the batch", async () => {
    const { store } = await setup();
    const batch = Array.from({ length: 20 }, (_, i) => aRun({ input: wire(i), queue: `q${i % 3}` }));

    const answers = await addAll(store, batch);

    const stored = await Promise.all(answers.map(async ({ id }) => (await store.find.get(id))!.input.json));
    expect(stored).toEqual(batch.map((run) => run.input.json));
    expect(answers.every(({ created, conflict }) => created && !conflict)).toBe(true);
  });

  test("ids grow from batch to batch", async () => {
    const { store } = await setup();

    const first = await addOne(store);
    const second = await addOne(store);

    expect(second).toBeGreaterThan(first);
  });

  test("an empty batch answers nothing", async () => {
    const { store } = await setup();

    const answers = await store.add([]);

    expect(answers).toEqual([]);
  });

  test("an instant in the past means now", async () => {
    const { store, clock } = await setup();

    const id = await addOne(store, { dueAt: new Date(clock.nowMs() - 3_600_000) });

    near((await store.find.get(id))!.dueAt, clock.now());
  });

  test("an instant ahead is kept to the millisecond", async () => {
    const { store, clock } = await setup();
    const dueAt = new Date(clock.nowMs() + 3_600_123);

    const id = await addOne(store, { dueAt });

    expect((await store.find.get(id))!.dueAt).toEqual(dueAt);
  });

  test("a delay counts from now by the store's clock", async () => {
    const { store, clock } = await setup();
    await clock.advance("1d");

    const id = await addOne(store, { delayMs: 600_000 });

    near((await store.find.get(id))!.dueAt, clock.nowMs() + 600_000);
  });

  test("a run expires its ttl after it fell due", async () => {
    const { store, clock } = await setup();

    const id = await addOne(store, { delayMs: 600_000, ttlMs: 60_000 });

    near((await store.find.get(id))!.expiresAt, clock.nowMs() + 660_000);
  });

  test("10,000 runs are added in one call", async () => {
    const { store, node } = await setup();

    const answers = await addAll(
      store,
      Array.from({ length: 10_000 }, (_, i) => aRun({ input: wire({ i }) })),
    );

    expect(new Set(answers.map(({ id }) => id)).size).toBe(10_000);
    expect((await store.find.get(answers[9_999]!.id))!.input.json).toBe('{"i":9999}');
    expect(await lease(store, node, { limit: 5000 })).toHaveLength(5000);
  });

  test("calls in flight together each get their own answers", async () => {
    const { store } = await setup();

    const ids = await Promise.all(Array.from({ length: 40 }, (_, i) => addOne(store, { input: wire(i) })));

    expect(new Set(ids).size).toBe(40);
    const inputs = await Promise.all(ids.map(async (id) => (await store.find.get(id))!.input.json));
    expect(inputs).toEqual(Array.from({ length: 40 }, (_, i) => String(i)));
  });

  const bad: Record<string, Partial<NewRun>> = {
    "a priority above 9": { priority: 10 },
    "a priority that is no integer": { priority: 1.5 },
    "an instant that is none": { dueAt: new Date(Number.NaN) },
    "a delay that is no number": { delayMs: Number.NaN },
    "a tag with NUL in it": { tags: ["a\u0000b"] },
    "a job with NUL in it": { job: "a\u0000b" },
  };
  test.each(Object.entries(bad))("%s is refused, and its neighbours are added", async (_, overrides) => {
    const { store } = await setup();

    const answers = await store.add([aRun({ input: wire(1) }), aRun(overrides), aRun({ input: wire(3) })]);

    expect(answers[0]).toMatchObject({ created: true });
    expect(answers[1]).toBeInstanceOf(Error);
    expect(answers[2]).toMatchObject({ created: true });
    expect((await store.find.list({})).items.map(({ input }) => input.json).sort()).toEqual(["1", "3"]);
  });

  test("a bad item of one call does not fail another call in flight", async () => {
    const { store } = await setup();

    const [good, poor] = await Promise.all([store.add([aRun()]), store.add([aRun({ priority: -1 })])]);

    expect(only(good)).toMatchObject({ created: true });
    expect(only(poor)).toBeInstanceOf(Error);
  });

  test("what the caller changes afterwards is not what is stored", async () => {
    const { store } = await setup();
    const tags = ["a"];
    const options = { retry: { attempts: 2 } };
    const id = await addOne(store, { tags, options });

    tags.push("b");
    options.retry.attempts = 99;

    expect(await store.find.get(id)).toMatchObject({ tags: ["a"], options: { retry: { attempts: 2 } } });
  });

  test("what a reader changes in its copy is not what is stored", async () => {
    const { store, node } = await setup();
    const lent = await leased(store, node, { tags: ["a"], options: { timeoutMs: 5 } });
    const read = await store.find.get(lent.id);

    attempt(() => (lent.tags as string[]).push("b"));
    attempt(() => (read!.tags as string[]).push("b"));
    attempt(() => Object.assign(read!.options!, { timeoutMs: 6 }));
    attempt(() => read!.dueAt.setTime(0));

    const now = await store.find.get(lent.id);
    expect(now).toMatchObject({ tags: ["a"], options: { timeoutMs: 5 } });
    expect(now!.dueAt.getTime()).toBeGreaterThan(0);
  });
}

/** Copies may be frozen, and then refuse. */
function attempt(change: () => unknown): void {
  try {
    change();
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError);
  }
}
