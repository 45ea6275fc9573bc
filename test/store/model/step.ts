/** The commands. Each acts on both stores, which must answer alike and hold the same runs afterwards. */
import fc from "fast-check";
import type { Settlement } from "../../../runtime/store/port.ts";
import {
  again,
  aKey,
  anError,
  aRun,
  aSchedule,
  aRule,
  aState,
  completed,
  failed,
  only,
  released,
  settled,
  snoozed,
  wire,
} from "../../kit/build.ts";
import { command, onLease, onRun, type Step, step, take } from "./command.ts";
import { flows } from "./flow.ts";
import { delayMs, jobs, leaseMs, queues, type Side, sorted } from "./pair.ts";

const priorities = [1, 5];
const pick = fc.nat(1000);
const delay = fc.constantFrom(0, 0, 0, delayMs);
const place = {
  job: fc.constantFrom(...jobs),
  queue: fc.constantFrom(...queues),
  priority: fc.constantFrom(...priorities),
};
const outcome = fc.constantFrom<Settlement["outcome"]>(
  completed,
  failed(),
  { to: "failed", reason: "timeout", error: anError() },
  { to: "canceled", reason: "superseded", error: null },
  again(),
  again(delayMs),
  snoozed(),
  snoozed(delayMs),
  released,
);

async function add(side: Side, run: Parameters<typeof aRun>[0]): Promise<unknown> {
  const answer = only(await side.store.add([aRun(run)]));
  if (answer instanceof Error) return { name: answer.name };
  if (answer.created) side.runs.push(answer.id);
  return { ...answer, id: side.place(answer.id) };
}

const adding = fc
  .record({ ...place, delayMs: delay, ttlMs: fc.constantFrom(null, null, delayMs) })
  .map((run) => step(`add(${JSON.stringify(run)})`, (side) => add(side, run)));

const keyed = fc
  .record({
    run: fc.record({ ...place, delayMs: delay }),
    key: fc.constantFrom("k1", "k2"),
    hash: fc.constantFrom("h1", "h2"),
    keepMs: fc.constantFrom(0, delayMs),
    onConflict: fc.constantFrom("return", "replace", "error"),
  })
  .map(({ run, ...key }) =>
    step(`addKeyed(${JSON.stringify({ ...run, ...key })})`, async (side) => {
      const answer = await add(side, { ...run, key: aKey(key.key, key), input: wire(key.hash) });
      const holding = await side.store.find.list({ job: [run.job], key: key.key, holds: true });
      return [answer, holding.items.map(({ id }) => side.place(id))];
    }),
  );

/** Which lane comes first is a store's own matter: a limit is for lanes that differ in priority. */
const claim = fc.oneof(
  fc.record({
    ...{ jobs: fc.tuple(place.job), only: fc.tuple(place.queue) },
    ...{ limit: fc.integer({ min: 1, max: 4 }), order: fc.constant("priority" as const) },
  }),
  fc.record({
    ...{ jobs: fc.subarray(jobs, { minLength: 1 }), only: fc.constant(queues) },
    ...{ limit: fc.constant(100), order: fc.constantFrom("priority" as const, "oldest" as const) },
  }),
);
const leasing = fc
  .record({ at: fc.nat(1), claim })
  .map(({ at, claim: { only, ...claim } }) =>
    step(`lease(${at}, ${JSON.stringify({ only, ...claim })})`, (side) =>
      take(side, at, { ...claim, queues: { only } }),
    ),
  );

const settling = fc
  .record({ pick, outcome, isTwice: fc.boolean(), hooks: fc.subarray(["failure", "cancel"] as const) })
  .map(({ pick, outcome, isTwice, hooks }) =>
    onLease(`settle ${JSON.stringify(outcome)} ${hooks.join()}`, pick, async (side, given) => {
      const isFirst = given.outcome === null;
      const said = (given.outcome ??= outcome); // a repeat says the same
      const flow = side.flows.has(given.lease.id);
      const settlement = settled(given.lease, said, {
        hooks,
        flow,
        ...(said.to === "released" && { startedMs: null }),
      });
      const { settle } = side.store.runs;
      const answers = [await settle([settlement])];
      if (isTwice) answers.push(await settle([settlement]));
      if (said.to === "canceled") answers.splice(1); // whose cancel it was, a repeat may not know
      return isFirst && answers; // a late repeat may hear that the run has moved on
    }),
  );

const holding = fc.record({ pick, isStart: fc.boolean() }).map(({ pick, isStart }) =>
  onLease(`hold ${isStart ? "started" : ""}`, pick, async (side, { lease, node }) => {
    const lost = await side.store.runs.hold(node, [{ ...lease, startedMs: isStart ? lease.dueMs : null }]);
    const noted = await side.store.runs.note([{ ...lease, progress: { value: pick, detail: null } }]);
    return [lost.length, noted.length];
  }),
);

const canceling = pick.map((n) =>
  onRun("cancel", n, async (side, id) => only(await side.store.desk.cancel([id])).done),
);

const reviving = fc
  .record({ pick, from: fc.constantFrom("failed", "canceled") })
  .map(({ pick, from }) =>
    onRun(`revive ${from}`, pick, async (side, id) => only(await side.store.desk.revive([id], from)).done),
  );

const editing = fc
  .record({ pick, priority: place.priority, delayMs: fc.option(delay, { nil: undefined }) })
  .map(({ pick, priority, delayMs }) =>
    onRun(`edit ${priority} ${delayMs}`, pick, async (side, id) => {
      const { done } = await side.store.desk.edit(id, delayMs === undefined ? { priority } : { priority, delayMs });
      return done;
    }),
  );

const pausing = fc
  .record({ queue: place.queue, paused: fc.boolean() })
  .map(({ queue, paused }) => step(`pause(${queue}, ${paused})`, (side) => side.store.desk.pause(queue, paused)));

const beating = fc.nat(1).map((at) =>
  step(`beat(${at})`, async (side) => {
    const { alive, asks } = await side.store.nodes.beat(side.acting[at]!, leaseMs, aState(), []);
    const told = side.given.flatMap(({ lease }) => (lease.canceling ? `${lease.id} ${lease.token}` : [])); // need not be told again
    const asked = asks.filter(({ id, token }) => !told.includes(`${id} ${token}`));
    return { alive, asks: sorted(asked.map(({ id, ...ask }) => ({ ...ask, id: side.place(id) }))) };
  }),
);

const sweeping = fc.constant(
  step("sweep", async (side) => {
    const { nodes, recovered, crashed, canceled, expired } = await side.store.runs.sweep({ maxCrashes: 3 });
    const places = (ids: readonly number[]): readonly number[] => ids.map((id) => side.place(id)).sort((a, b) => a - b);
    return { nodes, ended: [recovered, crashed, canceled, expired].map(places) };
  }),
);

const advancing = fc
  .constantFrom("1m", "1m", "2m", "10m")
  .map((text) => command(`advance(${text})`, ({ clock }) => clock.advance(text)));

const dying = fc.record({ at: fc.nat(1), isClean: fc.boolean() }).map(({ at, isClean }) =>
  step(`${isClean ? "leave" : "crash"}(${at})`, async (side) => {
    if (isClean) await side.store.nodes.leave(side.acting[at]!);
    await side.join(at);
  }),
);

const scheduling = fc
  .record({
    job: place.job,
    act: fc.constantFrom("put", "put", "pause", "resume", "remove"),
    everyMs: fc.constantFrom(60_000, 120_000),
  })
  .map(({ job, act, everyMs }) =>
    step(`${act}(${job}, ${everyMs})`, async ({ store: { schedules } }) => {
      const schedule = aSchedule({ job, rule: aRule({ everyMs }) });
      if (act === "put") return schedules.put([schedule]);
      return act === "remove" ? schedules.remove(schedule) : schedules.pause(schedule, act === "pause");
    }),
  );

/** All commands, and how often each comes beside the others. */
const telling = fc
  .record({ count: fc.integer({ min: 1, max: 60 }), watches: fc.boolean() })
  .map(({ count, watches }) => step(`tell(${count}, ${watches})`, (side) => side.tell(count, watches), "feed"));

export const steps: readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<Step> }[] = [
  { weight: 4, arbitrary: adding },
  { weight: 3, arbitrary: keyed },
  { weight: 6, arbitrary: leasing },
  { weight: 7, arbitrary: settling },
  { weight: 4, arbitrary: holding },
  { weight: 3, arbitrary: canceling },
  { weight: 3, arbitrary: reviving },
  { weight: 2, arbitrary: editing },
  { weight: 1, arbitrary: pausing },
  { weight: 2, arbitrary: beating },
  { weight: 3, arbitrary: sweeping },
  { weight: 3, arbitrary: advancing },
  { weight: 1, arbitrary: dying },
  { weight: 1, arbitrary: scheduling },
  { weight: 1, arbitrary: telling },
];

/** Those of workflows, and what else may befall them. */
export const workflows: typeof steps = [
  ...flows,
  { weight: 2, arbitrary: settling },
  { weight: 1, arbitrary: holding },
  { weight: 1, arbitrary: canceling },
  { weight: 2, arbitrary: reviving },
  { weight: 1, arbitrary: editing },
  { weight: 2, arbitrary: sweeping },
  { weight: 2, arbitrary: advancing },
  { weight: 1, arbitrary: dying },
];
