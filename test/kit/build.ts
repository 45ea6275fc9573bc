/** Builders of what stores take: each hides only what does not matter to a test. */
import type { Wire } from "../../sdk/codec.ts";
import type { Added, ErrorRecord, NewKey, NewRun } from "../../sdk/target.ts";
import type {
  Claim,
  Lease,
  NodeInfo,
  NodeState,
  Outcome,
  Settlement,
  Store,
  Tally,
} from "../../runtime/store/store.ts";

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
    ...overrides,
  };
}

export const completed: Outcome = { to: "completed", result: null, reason: null, note: null };

export function anError(message = "boom"): ErrorRecord {
  return { name: "Error", message, stack: `Error: ${message}\n    at handler (job.ts:1:1)` };
}

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

/** The end of a lease whose handler was called when the run fell due. */
export function settled(lease: Lease, outcome: Outcome = completed, overrides: Partial<Settlement> = {}): Settlement {
  return { id: lease.id, token: lease.token, job: lease.job, outcome, startedMs: lease.dueMs, hooks: [], ...overrides };
}

export function aNode(overrides: Partial<NodeInfo> = {}): NodeInfo {
  return { name: "host:1", app: "app", version: "0", ...overrides };
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
export async function addAll(store: Store, runs: readonly NewRun[]): Promise<readonly Added[]> {
  const answers = await store.add(runs);
  return answers.map((answer) => {
    if (answer instanceof Error) throw answer;
    return answer;
  });
}

/** Adds one run and answers its id. */
export async function addOne(store: Store, overrides: Partial<NewRun> = {}): Promise<number> {
  return only(await addAll(store, [aRun(overrides)])).id;
}

/** Claims, and answers the leases. */
export async function lease(store: Store, node: number, overrides: Partial<Claim> = {}): Promise<readonly Lease[]> {
  return (await store.runs.lease(aClaim({ node, ...overrides }))).leases;
}

/** Adds one run and leases it. */
export async function leased(store: Store, node: number, run: Partial<NewRun> = {}): Promise<Lease> {
  const id = await addOne(store, run);
  const leases = await lease(store, node, { jobs: [run.job ?? "job"], queues: { only: [run.queue ?? "default"] } });
  const found = leases.find((each) => each.id === id);
  if (!found) throw new Error(`run ${id} was not leased`);
  return found;
}

/** Adds one run, leases and settles it; answers its id. */
export async function ended(
  store: Store,
  node: number,
  outcome: Outcome = completed,
  run: Partial<NewRun> = {},
): Promise<number> {
  const taken = await leased(store, node, run);
  await store.runs.settle([settled(taken, outcome)]);
  return taken.id;
}
