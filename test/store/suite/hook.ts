import { expect, test } from "vitest";
import type { HookKind, RunRecord } from "../../../sdk/port/target.ts";
import type { Outcome, Guarded } from "../../../runtime/store/port.ts";
import {
  addOne,
  again,
  aJob,
  anError,
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

const all: readonly HookKind[] = ["success", "failure", "cancel"];
const canceled: Outcome = { to: "canceled", reason: "user", error: null };

/** Runs that execute hooks. */
async function hookRuns(store: Guarded): Promise<readonly RunRecord[]> {
  return (await store.find.list({ hooks: true })).items.filter(({ options }) => options?.hook);
}

export function hooks(setup: () => Promise<Setup>): void {
  test.each([
    ["success", completed],
    ["failure", failed()],
    ["cancel", canceled],
  ] as const)("a run of hook %s is added with the end that it is for", async (kind, outcome) => {
    const { store, clock, node } = await setup();
    const taken = await leased(store, node, { input: wire({ a: 1 }), queue: "q", priority: 1 });

    await store.runs.settle([settled(taken, outcome, { hooks: all })]);

    const hook = only(await hookRuns(store));
    expect(hook).toMatchObject({
      job: "job",
      queue: "$hooks",
      priority: 5,
      status: "pending",
      input: wire({ a: 1 }),
      key: null,
    });
    expect(hook.options).toEqual({ hook: { kind, of: taken.id } });
    near(hook.dueAt, clock.now());
    expect(only(await lease(store, node)).id).toBe(hook.id);
  });

  test("no hook is added for a state without one", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    await store.runs.settle([settled(taken, completed, { hooks: ["failure", "cancel"] })]);

    expect(await hookRuns(store)).toEqual([]);
  });

  test("no hook is added while another attempt will follow", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    await store.runs.settle([settled(taken, again(), { hooks: all })]);

    expect(await hookRuns(store)).toEqual([]);
  });

  test("a repeated settle adds no second hook", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    await Promise.all(Array.from({ length: 5 }, () => store.runs.settle([settled(taken, completed, { hooks: all })])));

    expect(await hookRuns(store)).toHaveLength(1);
  });

  test("a refused settle adds no hook", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);

    await store.runs.settle([settled({ ...taken, token: 99 }, completed, { hooks: all })]);

    expect(await hookRuns(store)).toEqual([]);
  });

  test("the hook follows the state that was written: a cancel that won fires cancel", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.desk.cancel([taken.id]);

    await store.runs.settle([settled(taken, completed, { hooks: all })]);

    expect(only(await hookRuns(store)).options!.hook).toEqual({ kind: "cancel", of: taken.id });
  });

  test("a hook's own run never adds a hook", async () => {
    const { store, node } = await setup();
    await store.runs.settle([settled(await leased(store, node), completed, { hooks: all })]);
    const hook = only(await lease(store, node));

    await store.runs.settle([settled(hook, failed(), { hooks: all })]);

    expect(await hookRuns(store)).toHaveLength(1);
  });

  test("a cancel of a waiting run fires the hook that nodes published", async () => {
    const { store, node } = await setup();
    await store.nodes.publish(node, [aJob({ hooks: ["cancel"] })]);
    const id = await addOne(store, { input: wire(1) });

    await store.desk.cancel([id]);

    expect(only(await hookRuns(store))).toMatchObject({
      input: wire(1),
      queue: "$hooks",
      options: { hook: { kind: "cancel", of: id } },
    });
  });

  test("a cancel fires nothing where no cancel hook is published", async () => {
    const { store, node } = await setup();
    await store.nodes.publish(node, [aJob({ hooks: ["success", "failure"] })]);
    const ids = [await addOne(store), await addOne(store, { job: "unpublished" })];

    await store.desk.cancel(ids);

    expect(await hookRuns(store)).toEqual([]);
  });

  test("a canceled hook run adds no hook", async () => {
    const { store, node } = await setup();
    await store.nodes.publish(node, [aJob({ hooks: all })]);
    await store.runs.settle([settled(await leased(store, node), completed, { hooks: all })]);
    const hook = only(await hookRuns(store));

    await store.desk.cancel([hook.id]);

    expect(await hookRuns(store)).toHaveLength(1);
  });

  test("an expired run fires the failure hook that nodes published", async () => {
    const { store, clock, node } = await setup();
    await store.nodes.publish(node, [aJob({ hooks: ["failure"] })]);
    const id = await addOne(store, { ttlMs: 60_000 });
    await clock.advance("5m");

    await store.runs.sweep({ maxCrashes: 3 });

    expect(only(await hookRuns(store)).options!.hook).toEqual({ kind: "failure", of: id });
  });

  test("a run that crashed too often fires the failure hook that nodes published", async () => {
    const { store, clock, node } = await setup();
    await store.nodes.publish(node, [aJob({ hooks: ["failure"] })]);
    const taken = await leased(store, node);
    await store.runs.hold(node, [{ id: taken.id, token: taken.token, startedMs: taken.dueMs }]);
    await clock.advance("5m");

    await store.runs.sweep({ maxCrashes: 1 });

    expect(only(await hookRuns(store)).options!.hook).toEqual({ kind: "failure", of: taken.id });
  });

  test("hook runs are left out of a list unless asked for", async () => {
    const { store, node } = await setup();
    const taken = await leased(store, node);
    await store.runs.settle([settled(taken, { to: "failed", reason: "error", error: anError() }, { hooks: all })]);

    expect((await store.find.list({})).items.map(({ id }) => id)).toEqual([taken.id]);
    expect((await store.find.list({ hooks: true })).items).toHaveLength(2);
  });

  test("a retried run fires its hook again when it ends again", async () => {
    const { store, node } = await setup();
    const id = await ended(store, node, failed());
    await store.desk.revive([id], "failed");

    await store.runs.settle([settled(only(await lease(store, node)), completed, { hooks: all })]);

    expect(only(await hookRuns(store)).options!.hook).toEqual({ kind: "success", of: id });
  });
}
