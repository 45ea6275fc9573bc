/** Builders of what stores take: each hides only what does not matter to a test. */
import type { Wire } from "../../sdk/port/codec.ts";
import type { Mail, Sent } from "../../sdk/port/flow.ts";
import type { NewEntry } from "../../runtime/store/port.ts";
import type { Added, NewKey, NewRun, NewSchedule, Rule, ScheduleName, ScheduleRecord } from "../../sdk/port/target.ts";
import type { ErrorRecord } from "../../sdk/port/text.ts";
import type {
  Claim,
  Due,
  Fence,
  Lease,
  NodeInfo,
  NodeState,
  Outcome,
  Published,
  Released,
  Settlement,
  Guarded,
  Journal,
  Recorded,
  Tally,
  Tick,
  TickRun,
} from "../../runtime/store/port.ts";

/** The wire form of a plain JSON value. */
export function wire(value: unknown): Wire {
  return { json: JSON.stringify(value), meta: null };
}

/** A run of job `job` in queue `default`, due now, with input `{}`. */
export function aRun(overrides: Partial<NewRun> = {}): NewRun {
  return {
    job: "job",
    queue: "default",
    priority: 5,
    dueAt: null,
    delayMs: 0,
    input: wire({}),
    tags: [],
    key: null,
    ttlMs: null,
    options: null,
    replayOf: null,
    ...overrides,
  };
}

/** An idempotency key that a completed run holds for a day; a repeat returns the run. */
export function aKey(key: string, overrides: Partial<NewKey> = {}): NewKey {
  return { key, keepMs: 86_400_000, onConflict: "return", hash: "same", ...overrides };
}

/** A claim of up to 100 runs of job `job`, in all queues, due within a second, for 15 s. */
export function aClaim(overrides: Partial<Claim> & Pick<Claim, "node">): Claim {
  return {
    jobs: ["job"],
    queues: { not: [] },
    limit: 100,
    aheadMs: 1000,
    ttlMs: 15_000,
    order: "priority",
    poll: true,
    ...overrides,
  };
}

export const completed: Outcome = { to: "completed", result: null, reason: null, note: null };

export function anError(message = "boom"): ErrorRecord {
  return { name: "Error", message, stack: `Error: ${message}\n    at handler (job.ts:1:1)` };
}

/** Given back. */
export const released: Released = { to: "released" };

/** Failed for good. */
export function failed(message = "boom"): Outcome {
  return { to: "failed", reason: "error", error: anError(message) };
}

/** Failed, to be tried again after `delayMs`. */
export function again(delayMs = 0, message = "boom"): Outcome {
  return { to: "pending", delayMs, spent: true, outcome: "error", error: anError(message) };
}

/** Puts itself off without spending an attempt. */
export function snoozed(delayMs = 0): Outcome {
  return { to: "pending", delayMs, spent: false, outcome: "snoozed", error: null };
}

/** Waits for a signal without end, and knows of nothing that was sent. */
export function waiting(overrides: Partial<Extract<Outcome, { to: "waiting" }>> = {}): Outcome {
  return { to: "waiting", reason: "signal", untilMs: null, seen: 0, wants: 0, error: null, ...overrides };
}

/** The end of a lease whose handler was called when the run fell due. */
export function settled(
  lease: Lease,
  outcome: Outcome | Released = completed,
  overrides: Partial<Settlement> = {},
): Settlement {
  return { id: lease.id, token: lease.token, job: lease.job, outcome, startedMs: lease.dueMs, hooks: [], ...overrides };
}

/** Gives leases back. */
export async function release(store: Guarded, ...fences: readonly Fence[]): Promise<void> {
  const about = { job: "job", outcome: released, startedMs: null, hooks: [] };
  await store.runs.settle(fences.map(({ id, token }) => ({ id, token, ...about })));
}

export function aNode(overrides: Partial<NodeInfo> = {}): NodeInfo {
  return { name: "host:1", app: "app", version: "0", ...overrides };
}

/** What a node publishes of job `job`, whose schedules stay as they are. */
export function aJob(overrides: Partial<Published> = {}): Published {
  return {
    id: "job",
    description: null,
    queue: "default",
    priority: 5,
    schema: null,
    tags: [],
    ttlMs: null,
    hooks: [],
    attempts: 3,
    schedules: null,
    ...overrides,
  };
}

export function aState(overrides: Partial<NodeState> = {}): NodeState {
  return { slots: 50, busy: 0, heap: 0, draining: false, jobs: ["job"], ...overrides };
}

export function aTally(overrides: Partial<Tally> = {}): Tally {
  return {
    queue: "default",
    job: "job",
    completed: 0,
    failed: 0,
    canceled: 0,
    retried: 0,
    waitMs: 0,
    runMs: 0,
    waits: [],
    runs: [],
    ...overrides,
  };
}

/** The one item of a list.
 *  @throws {Error} if there is none, or more than one. */
export function only<T>(list: readonly T[]): T {
  if (list.length !== 1) throw new Error(`expected one item, got ${list.length}`);
  return list[0]!;
}

/** Adds runs that must all be taken. */
export async function addAll(store: Guarded, runs: readonly NewRun[]): Promise<readonly Added[]> {
  const answers = await store.add(runs);
  return answers.map((answer) => {
    if (answer instanceof Error) throw answer;
    return answer;
  });
}

/** Adds one run and answers its id. */
export async function addOne(store: Guarded, overrides: Partial<NewRun> = {}): Promise<number> {
  return only(await addAll(store, [aRun(overrides)])).id;
}

/** Adds runs that are alike, and answers their ids. */
export async function addMany(
  store: Guarded,
  count: number,
  overrides: Partial<NewRun> = {},
): Promise<readonly number[]> {
  const runs = Array.from({ length: count }, () => aRun(overrides));
  return (await addAll(store, runs)).map(({ id }) => id);
}

/** Claims, and answers the leases. */
export async function lease(store: Guarded, node: number, overrides: Partial<Claim> = {}): Promise<readonly Lease[]> {
  return (await store.runs.lease(aClaim({ node, ...overrides }))).leases;
}

/** Adds one run and leases it. */
export async function leased(store: Guarded, node: number, run: Partial<NewRun> = {}): Promise<Lease> {
  const id = await addOne(store, run);
  const leases = await lease(store, node, { jobs: [run.job ?? "job"], queues: { only: [run.queue ?? "default"] } });
  const found = leases.find((each) => each.id === id);
  if (!found) throw new Error(`run ${id} was not leased`);
  return found;
}

/** An entry of a step `a`, `b` … that ended well. */
export function anEntry(n: number, overrides: Partial<NewEntry> = {}): NewEntry {
  return { n, kind: "step", key: String.fromCharCode(96 + n), value: wire(n), data: null, ...overrides };
}

/** Records entries of a leased run; null: the lease was lost.
 *  @throws {Error} if a run of one can't be added */
export async function recordOf(
  store: Guarded,
  { id, token }: Fence,
  entries: readonly NewEntry[],
  floorMs = 0,
): Promise<Recorded | null> {
  const answer = only(await store.flow.record([{ id, token, entries, floorMs }]));
  if (answer instanceof Error) throw answer;
  return answer;
}

/** Takes in what was sent to a leased run, and answers its journal past place `after`; null: the lease was lost. */
export async function journalOf(store: Guarded, { id, token }: Fence, after = 0): Promise<Journal | null> {
  return only(await store.flow.load([{ id, token, after }]));
}

/** Sends one signal. */
export async function sendTo(store: Guarded, to: Mail["to"], overrides: Partial<Mail> = {}): Promise<Sent> {
  return only(await store.flow.send([{ to, name: "go", value: null, data: null, ...overrides }]));
}

/** Adds one run, leases it and lets it wait; answers the lease that it had. */
export async function suspended(store: Guarded, node: number, how?: Parameters<typeof waiting>[0]): Promise<Lease> {
  const taken = await leased(store, node);
  await store.runs.settle([settled(taken, waiting(how))]);
  return taken;
}

/** A run of job `child` that a workflow makes under a key. */
export function aChild(parent: number, key: string, overrides: Partial<NewRun> = {}): NewRun {
  return aRun({ job: "child", options: { parent: { run: parent, key } }, ...overrides });
}

/** Records the first entry of a leased run, `a`, with children of job `child`; answers their ids. */
export async function withChildren(
  store: Guarded,
  parent: Fence,
  count = 1,
  overrides: Partial<NewRun> = {},
): Promise<readonly number[]> {
  const adds = Array.from({ length: count }, () => aChild(parent.id, "a", overrides));
  return only((await recordOf(store, parent, [anEntry(1, { kind: "child", value: null, adds })]))!.entries).runs!;
}

/** Adds one run, leases and settles it; answers its id. */
export async function ended(
  store: Guarded,
  node: number,
  outcome: Outcome = completed,
  run: Partial<NewRun> = {},
): Promise<number> {
  const taken = await leased(store, node, run);
  await store.runs.settle([settled(taken, outcome)]);
  return taken.id;
}

/** Every minute, overlap allowed, one missed tick caught up. */
export function aRule(overrides: Partial<Rule> = {}): Rule {
  return { everyMs: 60_000, overlap: "allow", catchUp: { max: 1, withinMs: 86_400_000 }, ...overrides };
}

/** Once, at an instant in epoch ms. */
export function aOneShot(atMs: number): Rule {
  return { atMs, overlap: "allow", catchUp: { max: 1, withinMs: null } };
}

/** The schedule of job `job` with key "": every minute, with input `{}`, in the job's own queue. */
export function aSchedule(overrides: Partial<NewSchedule> = {}): NewSchedule {
  return {
    job: "job",
    key: "",
    rule: aRule(),
    input: wire({}),
    queue: null,
    priority: null,
    tags: [],
    ...overrides,
  };
}

/** Puts one schedule that must be taken. */
export async function putOne(store: Guarded, overrides: Partial<NewSchedule> = {}): Promise<ScheduleRecord> {
  const answer = only(await store.schedules.put([aSchedule(overrides)]));
  if (answer instanceof Error) throw answer;
  return answer;
}

/** The id of the run that holds a key now, or null. */
export async function keyed(store: Pick<Guarded, "find">, job: string, key: string): Promise<number | null> {
  const { items } = await store.find.list({ job: [job], key, holds: true });
  return items[0]?.id ?? null;
}

/** The schedule of this name, or null. */
export async function scheduleOf(
  store: Pick<Guarded, "schedules">,
  name: ScheduleName,
): Promise<ScheduleRecord | null> {
  const { items } = await store.schedules.list({ job: [name.job], key: name.key });
  return items[0] ?? null;
}

/** A schedule as a node reads it now.
 *  @throws {Error} if it is not due. */
export async function dueOf(store: Guarded, node: number, { job, key }: ScheduleName = aSchedule()): Promise<Due> {
  const { due } = await store.ticks.due({ node, aheadMs: 0, limit: 1000 });
  const found = due.find((each) => each.job === job && each.key === key);
  if (!found) throw new Error(`schedule "${job}" with key "${key}" is not due`);
  return found;
}

/** A run for a tick, due at it, in queue `default`. */
export function aTickRun(tickMs: number, overrides: Partial<TickRun> = {}): TickRun {
  const options = { schedule: { key: "", tick: tickMs, previous: null, next: null } };
  return { tickMs, dueMs: tickMs, queue: "default", priority: 5, tags: [], ttlMs: null, options, ...overrides };
}

/** Moves a schedule on by a minute, without a run. */
export function aTick({ job, key, rev, nextMs }: Due, overrides: Partial<Tick> = {}): Tick {
  return { job, key, rev, nextMs: nextMs + 60_000, lastMs: null, runs: [], ...overrides };
}

/** Moves a schedule that is due on, and answers its runs. */
export async function tickOne(
  store: Guarded,
  due: Due,
  overrides: Partial<Tick> = {},
): Promise<readonly (number | null)[]> {
  const runs = only(await store.ticks.tick([aTick(due, overrides)]));
  if (!runs) throw new Error(`the tick of schedule "${due.job}" with key "${due.key}" came too late`);
  return runs;
}

/** Puts a schedule whose next tick a node has worked out: it is due at `nextMs`, epoch ms; null: it has ended. */
export async function planOne(
  store: Guarded,
  node: number,
  nextMs: number | null,
  overrides: Partial<NewSchedule> = {},
): Promise<ScheduleRecord> {
  const record = await putOne(store, overrides);
  await tickOne(store, await dueOf(store, node, record), { nextMs });
  return (await scheduleOf(store, record))!;
}

/** Declares schedules of a job for a new node that lives 30 s; answers the node. */
export async function declareOn(store: Guarded, schedules: readonly NewSchedule[], job = "job"): Promise<number> {
  const node = await store.nodes.join(aNode(), 30_000);
  await store.nodes.publish(node, [aJob({ id: job, schedules })]);
  return node;
}

/** Leaves behind a schedule of job `job` that was declared, and that newer code took out. No node lives on. */
export async function takeOut(store: Guarded, schedule: NewSchedule = aSchedule()): Promise<void> {
  const nodes = [await declareOn(store, [schedule]), await declareOn(store, [])];
  for (const node of nodes) await store.nodes.leave(node);
}
