/** The commands. Each acts on the store, expects its answer, and moves the model on. */
import fc from "fast-check";
import { expect } from "vitest";
import type { Outcome, Guarded } from "../../../runtime/store/port.ts";
import {
  aClaim,
  again,
  aKey,
  anError,
  aRun,
  aState,
  completed,
  failed,
  only,
  released,
  settled,
  snoozed,
  wire,
} from "../../kit/build.ts";
import { compare, delayMs, type Given, join, leaseMs, maxCrashes, type Model, type Run } from "./state.ts";

/** One random command, on the model and on the store. */
export type Step = fc.AsyncCommand<Model, Guarded>;

/** A command that is always possible; the model is compared after it. */
function step(name: string, act: (model: Model, store: Guarded) => Promise<void>): Step {
  return {
    check: () => true,
    async run(model, store) {
      await act(model, store);
      await compare(model, store);
    },
    toString: () => name,
  };
}

/** A command on one of the leases that were ever given, stale ones included. */
function onLease(name: string, pick: number, act: (model: Model, store: Guarded, given: Given) => Promise<void>): Step {
  return step(`${name}(${pick})`, async (model, store) => {
    if (model.given.length > 0) await act(model, store, model.given.at(-1 - (pick % Math.min(6, model.given.length)))!);
  });
}

/** A command on one of the runs. */
function onRun(name: string, pick: number, act: (model: Model, store: Guarded, run: Run) => Promise<void>): Step {
  return step(`${name}(${pick})`, async (model, store) => {
    const runs = [...model.runs.values()];
    if (runs.length > 0) await act(model, store, runs[pick % runs.length]!);
  });
}

const jobs = ["x", "y"];
const queues = ["a", "b"];
const priorities = [1, 5];
const pick = fc.nat(1000);
const delay = fc.constantFrom(0, 0, 0, delayMs);
const place = {
  job: fc.constantFrom(...jobs),
  queue: fc.constantFrom(...queues),
  priority: fc.constantFrom(...priorities),
};
const outcome = fc.constantFrom<Outcome>(
  completed,
  failed(),
  { to: "failed", reason: "timeout", error: anError() },
  { to: "canceled", reason: "superseded", error: null },
  again(),
  again(delayMs),
  snoozed(),
  snoozed(delayMs),
);

const adding = fc.record({ ...place, delayMs: delay }).map((run) =>
  step(`add(${JSON.stringify(run)})`, async (model, store) => {
    const { id } = only(await store.add([aRun(run)])) as { id: number };
    model.add(id, { ...run, due: model.now + run.delayMs });
  }),
);

function isUnstarted({ attempt, crashes, begun }: Run): boolean {
  return attempt === 0 && crashes === 0 && !begun;
}

const keyed = fc
  .record({
    run: fc.record({ ...place, delayMs: delay }),
    key: fc.constantFrom("k1", "k2"),
    hash: fc.constantFrom("h1", "h2"),
    keepMs: fc.constantFrom(0, delayMs),
    onConflict: fc.constantFrom("return", "replace", "error"),
  })
  .map(({ run, ...key }) =>
    step(`addKeyed(${JSON.stringify({ ...run, ...key })})`, async (model, store) => {
      const answer = only(await store.add([aRun({ ...run, key: aKey(key.key, key), input: wire(key.hash) })]));
      const name = `${run.job} ${key.key}`;
      const holder = model.holder(name);
      if (!holder) {
        expect(answer).toMatchObject({ created: true, conflict: false });
        const { id } = answer as { id: number };
        model.add(id, { ...run, due: model.now + run.delayMs }, name);
        model.keys.set(name, { run: id, hash: key.hash, keepMs: key.keepMs });
      } else if (key.onConflict === "error") {
        expect(answer).toMatchObject({ code: "KEY_CONFLICT" });
      } else {
        const claim = model.keys.get(name)!;
        const isReplaced = key.onConflict === "replace" && model.status(holder) === "pending" && isUnstarted(holder);
        if (isReplaced)
          Object.assign(holder, { queue: run.queue, priority: run.priority, due: model.now + run.delayMs });
        if (isReplaced) claim.hash = key.hash;
        expect(answer).toEqual({
          id: holder.id,
          created: false,
          conflict: claim.hash !== "" && claim.hash !== key.hash,
        });
      }
    }),
  );

const leasing = fc
  .record({
    at: fc.nat(1),
    jobs: fc.subarray(jobs, { minLength: 1 }),
    limit: fc.integer({ min: 1, max: 4 }),
    order: fc.constantFrom("priority", "oldest"),
  })
  .map(({ at, ...claim }) =>
    step(`lease(${at}, ${JSON.stringify(claim)})`, async (model, store) => {
      const node = model.acting[at]!;
      const eligible = model.eligible(claim.jobs);
      const { leases } = await store.runs.lease(aClaim({ ...claim, node, ttlMs: leaseMs }));
      const taken = leases.map(({ id }) => eligible.find((run) => run.id === id));
      expect(taken).not.toContain(undefined);
      expect(new Set(taken).size).toBe(Math.min(claim.limit, eligible.length));
      expect(leases.length).toBe(Math.min(claim.limit, eligible.length));
      const best = eligible
        .map(({ priority }) => priority)
        .sort((a, b) => b - a)
        .slice(0, claim.limit);
      if (claim.order === "priority")
        expect(leases.map(({ priority }) => priority).sort((a, b) => b - a)).toEqual(best);
      for (const each of leases) {
        const run = model.runs.get(each.id)!;
        expect(each).toMatchObject({ token: run.token + 1, attempt: run.attempt, canceling: run.ask });
        model.lease(run, each.token, node);
        expect(each.crashes).toBe(run.crashes);
        model.given.push(each);
      }
    }),
  );

const settling = fc.record({ pick, outcome }).map(({ pick, outcome }) =>
  onLease(`settle ${JSON.stringify(outcome)}`, pick, async (model, store, given) => {
    const settlement = settled(
      { ...given, job: model.runs.get(given.id)!.job } as Parameters<typeof settled>[0],
      outcome,
    );
    const answer = only(await store.runs.settle([settlement]));
    const run = model.ours(given);
    const { last, answers, token } = model.runs.get(given.id)!;
    if (run) expect(answer).toBe(model.settle(run, outcome));
    else if (last?.token === given.token && last.to === outcome.to && outcome.to !== "canceled")
      expect(answer).toBe(last.answer);
    else if (answers.has(given.token)) expect([answers.get(given.token), "lost", "canceled"]).toContain(answer);
    else if (given.token !== token) expect(answer).toBe("lost");
  }),
);

const holding = fc.record({ pick, isStart: fc.boolean(), at: fc.nat(1) }).map(({ pick, isStart, at }) =>
  onLease(`hold ${isStart ? "started" : ""} by ${at}`, pick, async (model, store, given) => {
    const node = model.ours(given)?.node ?? model.acting[at]!;
    const lost = await store.runs.hold(node, [{ ...given, startedMs: isStart ? given.dueMs : null }]);
    const run = model.ours(given);
    expect(lost).toHaveLength(run ? 0 : 1);
    if (run) Object.assign(run, { held: true, started: run.started || isStart });
  }),
);

const releasing = pick.map((n) =>
  onLease("release", n, async (model, store, given) => {
    const run = model.ours(given);
    const settlement = { ...given, job: "", outcome: released, startedMs: null, hooks: [] };
    const answer = only(await store.runs.settle([settlement]));
    if (run) expect(answer).toBe(run.ask ? "canceled" : "settled");
    if (run?.ask) model.end(run, "canceled", "user");
    else if (run) model.free(run);
  }),
);

const noting = pick.map((n) =>
  onLease("progress", n, async (model, store, given) => {
    const lost = await store.runs.note([{ ...given, progress: { value: n, detail: null } }]);
    expect(lost).toHaveLength(model.ours(given) ? 0 : 1);
  }),
);

const canceling = pick.map((n) =>
  onRun("cancel", n, async (model, store, run) => {
    const { done } = only(await store.desk.cancel([run.id]));
    expect(done).toBe(run.final ? "refused" : model.isHeld(run) ? "asked" : "done");
    if (done === "done") model.end(run, "canceled", "user");
    if (done === "asked") run.ask = true;
  }),
);

const reviving = fc.record({ pick, from: fc.constantFrom("canceled", "failed") }).map(({ pick, from }) =>
  onRun(`revive ${from}`, pick, async (model, store, run) => {
    const { done } = only(await store.desk.revive([run.id], from));
    const isMeant = run.final?.status === from;
    const holder = run.key === null ? null : model.holder(run.key);
    const isDone = isMeant && (holder === null || holder === run);
    expect(done).toBe(isDone ? "done" : "refused");
    if (isDone) Object.assign(run, { final: null, last: null });
    if (isDone && run.key !== null) retake(model, run, run.key);
    if (isDone && from === "failed") Object.assign(run, { due: model.now, attempt: 0, crashes: 0 });
  }),
);

const editing = fc
  .record({ pick, priority: place.priority, delayMs: fc.option(delay, { nil: undefined }) })
  .map(({ pick, priority, delayMs }) =>
    onRun(`edit ${priority} ${delayMs}`, pick, async (model, store, run) => {
      const { done } = await store.desk.edit(run.id, delayMs === undefined ? { priority } : { priority, delayMs });
      expect(done).toBe(model.status(run) === "pending" ? "done" : "refused");
      if (done === "done") Object.assign(run, { priority, due: delayMs === undefined ? run.due : model.now + delayMs });
    }),
  );

const pausing = fc.record({ queue: place.queue, on: fc.boolean() }).map(({ queue, on }) =>
  step(`${on ? "pause" : "unpause"}(${queue})`, async (model, store) => {
    await store.desk.pause(queue, on);
    if (on) model.paused.add(queue);
    else model.paused.delete(queue);
  }),
);

const beating = fc.nat(1).map((at) =>
  step(`beat(${at})`, async (model, store) => {
    const node = model.acting[at]!;
    const { alive, cancel } = await store.nodes.beat(node, leaseMs, aState(), []);
    expect(alive).toBe(!model.isDead(node));
    model.nodes.set(node, model.now + leaseMs);
    const name = ({ id, token }: { readonly id: number; readonly token: number }): string => `${id} ${token}`;
    expect(cancel.map(name).sort()).toEqual(model.asked(node).map(name).sort());
  }),
);

/** A run that comes back holds its key again; what its input's hash was is known only if nobody had the key in between. */
function retake(model: Model, run: Run, name: string): void {
  const { keepMs, ...claim } = model.keys.get(name)!;
  model.keys.set(name, { run: run.id, hash: claim.run === run.id ? claim.hash : "", keepMs });
}

const sweeping = fc.constant(
  step("sweep", async (model, store) => {
    await store.runs.sweep({ maxCrashes });
    for (const run of model.runs.values()) {
      const isAsked = run.ask && !run.final;
      if (!run.final && run.held && model.isDead(run.node)) model.recover(run);
      else if (isAsked && !model.isHeld(run)) {
        // Nobody has it any more: the sweep may end it, or leave that to the next lease, which says `canceling`.
        if ((await store.find.get(run.id))!.status === "canceled") model.end(run, "canceled", "user");
      }
      if (isAsked && run.final) {
        const { token, crashes } = (await store.find.get(run.id))!;
        Object.assign(run, { token, crashes }); // of no consequence for a run that is over
      }
    }
  }),
);

const advancing = fc
  .constantFrom("1m", "1m", "2m", "10m")
  .map((text) => step(`advance(${text})`, (model) => model.clock.advance(text)));

const dying = fc.record({ at: fc.nat(1), isClean: fc.boolean() }).map(({ at, isClean }) =>
  step(`${isClean ? "leave" : "crash"}(${at})`, async (model, store) => {
    if (isClean) await store.nodes.leave(model.acting[at]!);
    if (isClean) model.nodes.set(model.acting[at]!, model.now - 1);
    model.acting[at] = await join(model, store);
  }),
);

/** All commands, and how often each comes beside the others. */
export const steps: readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<Step> }[] = [
  { weight: 4, arbitrary: adding },
  { weight: 3, arbitrary: keyed },
  { weight: 6, arbitrary: leasing },
  { weight: 6, arbitrary: settling },
  { weight: 4, arbitrary: holding },
  { weight: 2, arbitrary: releasing },
  { weight: 1, arbitrary: noting },
  { weight: 3, arbitrary: canceling },
  { weight: 3, arbitrary: reviving },
  { weight: 2, arbitrary: editing },
  { weight: 1, arbitrary: pausing },
  { weight: 2, arbitrary: beating },
  { weight: 3, arbitrary: sweeping },
  { weight: 3, arbitrary: advancing },
  { weight: 1, arbitrary: dying },
];
