import { expect } from "vitest";
import type { Reason, Status } from "../../../sdk/port/status.ts";
import type { RunRecord } from "../../../sdk/port/target.ts";
import type { Outcome, Guarded } from "../../../runtime/store/port.ts";
import { aNode } from "../../kit/build.ts";
import type { SuiteClock } from "../suite.ts";

/** Spans end half a minute off the minutes that the clock moves by, so that a store may let real time flow on top. */
export const leaseMs = 90_000;
export const delayMs = 330_000;
export const maxCrashes = 3;

/** What the model knows of a run. Instants are epoch ms. */
export interface Run {
  readonly id: number;
  readonly job: string;
  queue: string;
  priority: number;
  due: number;
  final: { status: Status; reason: Reason | null; at: number } | null;
  attempt: number;
  crashes: number;
  token: number;
  node: number;
  until: number | null;
  held: boolean;
  started: boolean;
  ask: boolean;
  /** Its key's name, and whether its last attempt ended without being spent. */
  readonly key: string | null;
  begun: boolean;
  /** Token → what its settle was answered. */
  readonly answers: Map<number, string>;
  /** The settle that made it what it is; null once something else has touched it. */
  last: { readonly token: number; readonly to: string; readonly answer: string } | null;
}
/** A lease that was given, stale or not. */
export interface Given {
  readonly id: number;
  readonly token: number;
  readonly dueMs: number;
}

/** The model: a map of runs, and plain rules. */
export class Model {
  readonly clock: SuiteClock;
  readonly runs = new Map<number, Run>();
  readonly keys = new Map<string, { run: number; hash: string; keepMs: number }>();
  readonly paused = new Set<string>();
  /** Node → end of its lease. */
  readonly nodes = new Map<number, number>();
  /** The two that act; a dead one is replaced. */
  readonly acting: number[] = [];
  readonly given: Given[] = [];

  constructor(clock: SuiteClock) {
    this.clock = clock;
  }
  get now(): number {
    return this.clock.nowMs();
  }
  add(id: number, run: Pick<Run, "job" | "queue" | "priority" | "due">, key: string | null = null): void {
    const fresh = {
      final: null,
      attempt: 0,
      crashes: 0,
      token: 0,
      node: 0,
      until: null,
      held: false,
      started: false,
      ask: false,
      begun: false,
      last: null,
    };
    this.runs.set(id, { id, key, ...run, ...fresh, answers: new Map() });
  }
  isHeld(run: Run): boolean {
    return run.final === null && (run.held || (run.until !== null && run.until >= this.now));
  }
  status(run: Run): Status {
    if (run.final) return run.final.status;
    if (!this.isHeld(run)) return "pending";
    return run.held && run.started ? "running" : "leased";
  }
  eligible(jobs: readonly string[]): readonly Run[] {
    return [...this.runs.values()].filter(
      (run) =>
        !run.final && run.due <= this.now && !this.isHeld(run) && jobs.includes(run.job) && !this.paused.has(run.queue),
    );
  }
  ours({ id, token }: Given): Run | null {
    const run = this.runs.get(id)!;
    return !run.final && run.token === token && (run.held || run.until !== null) ? run : null;
  }
  holder(name: string): Run | null {
    const claim = this.keys.get(name);
    const run = claim && this.runs.get(claim.run)!;
    if (!run) return null;
    const kept = run.final?.status === "completed" && run.final.at + claim.keepMs > this.now;
    return !run.final || kept ? run : null;
  }
  free(run: Run): void {
    Object.assign(run, { until: null, held: false, started: false });
  }
  end(run: Run, status: Status, reason: Reason | null): void {
    this.free(run);
    Object.assign(run, { final: { status, reason, at: this.now }, ask: false, last: null });
  }
  lease(run: Run, token: number, node: number): void {
    if (run.until !== null) run.crashes = Math.max(run.crashes, 1);
    Object.assign(run, { token, node, until: this.now + leaseMs, started: false, begun: false, last: null });
  }
  /** What a settle of a lease that is ours leads to; the answer. */
  settle(run: Run, outcome: Outcome): string {
    const answer = run.ask ? "canceled" : "settled";
    const last = { token: run.token, to: outcome.to, answer };
    run.answers.set(run.token, answer);
    if (run.ask || outcome.to !== "pending" || outcome.spent) run.attempt++;
    if (run.ask) this.end(run, "canceled", "user");
    else if (outcome.to !== "pending") this.end(run, outcome.to, outcome.reason);
    else {
      this.free(run);
      run.due = this.now + outcome.delayMs;
      run.begun = true;
    }
    run.last = last;
    return answer;
  }
  /** What a sweep makes of a run that a dead node held. */
  recover(run: Run): void {
    run.crashes = run.started ? run.crashes + 1 : Math.max(run.crashes, 1);
    const over = run.started && run.crashes >= maxCrashes;
    run.token++;
    if (run.ask) this.end(run, "canceled", "user");
    else if (over) this.end(run, "failed", "crashed");
    else this.free(run);
  }
  /** Runs that the node has leased, lapsed or not, and somebody asked to cancel. */
  asked(node: number): readonly Run[] {
    return [...this.runs.values()].filter(
      (run) => run.ask && !run.final && run.node === node && (run.held || run.until !== null),
    );
  }
  isDead(node: number): boolean {
    return this.nodes.get(node)! < this.now;
  }
}

/** Adds a node that acts, to the store and to the model. */
export async function join(model: Model, store: Guarded): Promise<number> {
  const node = await store.nodes.join(aNode(), leaseMs);
  model.nodes.set(node, model.now + leaseMs);
  return node;
}

type View = Pick<
  RunRecord,
  "id" | "status" | "reason" | "attempt" | "crashes" | "token" | "canceling" | "queue" | "priority"
>;

function view({ id, status, reason, attempt, crashes, token, canceling, queue, priority }: View): View {
  return { id, status, reason, attempt, crashes, token, canceling, queue, priority };
}

/** Compares all runs with the model's. */
export async function compare(model: Model, store: Guarded): Promise<void> {
  const { items } = await store.find.list({}, { limit: 200 });
  const meant = [...model.runs.values()].sort((a, b) => b.id - a.id);
  const views = meant.map((run) => ({
    ...run,
    status: model.status(run),
    reason: run.final?.reason ?? null,
    canceling: run.ask,
  }));
  expect(items.map(view)).toEqual(views.map(view));
  for (const [i, { dueAt }] of items.entries()) expect(Math.abs(dueAt.getTime() - meant[i]!.due)).toBeLessThan(20_000);
}
