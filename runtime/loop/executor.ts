import { AttemptTimeout, LeaseLost, RunCanceled, Stopping } from "../../sdk/port/error.ts";
import { formatId } from "../../sdk/port/id.ts";
import { merge, policy } from "../../sdk/define/retry.ts";
import type { Progress } from "../../sdk/port/target.ts";
import type { ErrorRecord } from "../../sdk/port/text.ts";
import { errorRecord } from "../../sdk/port/text.ts";
import { begin, next, type Ending, type Tools } from "../attempt/attempt.ts";
import type { Clock, StoreClock } from "../core/clock.ts";
import type { Health } from "../core/health.ts";
import { fence, type Leased } from "../core/lease.ts";
import type { Lines, Logger } from "../core/log.ts";
import { ProgressWriter, toProgress } from "../core/progress.ts";
import type { Registry } from "../core/registry.ts";
import type { Reporter } from "../attempt/report.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Services } from "../attempt/service.ts";
import type { Settler } from "../attempt/settle.ts";
import type { Fence, Outcome, Store } from "../store/port.ts";
import { Timeouts } from "../attempt/timeout.ts";

export interface ExecutorParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly health: Health;
  readonly registry: Registry;
  readonly settler: Settler;
  readonly lines: Lines;
  readonly services: Services;
  readonly reporter: Reporter;
  readonly logger: Logger;
  readonly leaseMs: number;
  /** How long a handler that no longer matters may keep its slot; ms. */
  readonly graceMs: number;
  readonly drain: AbortSignal;
  node(): number;
  scheduler(): Scheduler;
}

/** Hooks are tried three times, whatever their job's policy says. */
const hookRetry = policy();
const canceled: Outcome = { to: "canceled", reason: "user", error: null };

/** What becomes of each lease: it starts or not, it ends, it is stopped. */
export class Executor {
  readonly #parts: ExecutorParts;
  readonly #timeouts: Timeouts;
  readonly #tools: Tools;
  /** Cancels of leases that are not here, by run: the answer to their claim may be under way, for a lease's time. */
  readonly #asked = new Map<number, { readonly token: number; readonly until: number }>();
  /** Runs whose start is to be recorded first. */
  #recording: Leased[] = [];

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    this.#timeouts = new Timeouts(parts.clock, (leased) => this.#overdue(leased));
    this.#tools = {
      lines: parts.lines,
      services: parts.services,
      find: parts.store.find,
      progress: (leased, value, detail) => this.#progress(leased, value, detail),
      ended: (leased, ending) => this.#ended(leased, ending),
    };
  }

  /** Whether a due lease may start. If not, it is given back or settled here. */
  admit(leased: Leased, nowMs: number): boolean {
    const { clock, registry, settler } = this.#parts;
    const { lease } = leased;
    const job = registry.get(lease.job);
    if (!job || clock.ticks() >= this.#parts.scheduler().deadline(leased)) {
      this.#drop(leased);
      settler.release(leased);
      return false;
    }
    leased.job = job;
    if (lease.expiresMs === null || lease.expiresMs > nowMs) return true;
    settler.end(leased, expired(lease));
    this.#drop(leased);
    return false;
  }

  /** Starts a lease that has a slot. A run that has crashed before has its start recorded first. */
  start(leased: Leased): void {
    const { clock, storeClock } = this.#parts;
    leased.startedAt = clock.ticks();
    leased.startedMs = Math.max(leased.lease.dueMs, Math.floor(storeClock.now()));
    if (leased.lease.crashes === 0) return this.#run(leased);
    leased.phase = "recording";
    if (this.#recording.push(leased) === 1) setImmediate(() => void this.#record());
  }

  /** Somebody canceled the run: it does not start, or its handler hears of it and its result no longer counts. The store
   *  repeats itself until the lease ends; only the first time counts. */
  cancel({ id, token }: Fence): void {
    const leased = this.#parts.scheduler().find(id, token);
    if (!leased) return this.#remember(id, token);
    if (leased.settling) return;
    this.#stop(leased, new RunCanceled(formatId(id)), canceled);
  }

  /** Whether somebody canceled a lease before the answer came that brought it here. */
  isAsked({ id, token }: Fence): boolean {
    return this.#asked.size > 0 && this.#asked.get(id)?.token === token && this.#asked.delete(id);
  }

  /** The lease was lost: what the handler does no longer counts. */
  lost(leased: Leased): void {
    if (leased.settling) return; // the answer to its outcome says so, too
    const run = formatId(leased.lease.id);
    this.#parts.logger.warn({ run, job: leased.lease.job, attempt: leased.attempt }, "Lease lost");
    this.#stop(leased, new LeaseLost(run), null);
  }

  /** Aborts all handlers; what ends by that is given back unspent. */
  abort(reason: Stopping): void {
    for (const leased of this.#parts.scheduler().held()) if (leased.phase === "running") leased.abort(reason);
  }

  /** Leaves deaf handlers behind: whatever they answer is ignored, and their leases expire. Answers how many there are. */
  leave(): number {
    this.#timeouts.clear();
    const deaf = [...this.#parts.scheduler().held()].filter(({ phase }) => phase === "running");
    for (const leased of deaf) this.#drop(leased);
    return deaf.length;
  }

  #remember(id: number, token: number): void {
    const now = this.#parts.clock.ticks();
    this.#asked.delete(id);
    this.#asked.set(id, { token, until: now + this.#parts.leaseMs });
    for (const [other, { until }] of this.#asked) {
      if (until > now) return; // the oldest come first
      this.#asked.delete(other);
    }
  }

  async #record(): Promise<void> {
    const { store, health } = this.#parts;
    const batch = this.#recording;
    this.#recording = [];
    try {
      const starts = batch.map(({ lease: { id, token }, startedMs }) => ({ id, token, startedMs }));
      const lost = new Set((await store.runs.hold(this.#parts.node(), starts)).map(({ id }) => id));
      for (const leased of batch) this.#recorded(leased, lost.has(leased.lease.id));
    } catch (error) {
      health.failed("Recording starts", error);
      for (const leased of batch) this.#giveBack(leased);
    }
  }

  #recorded(leased: Leased, lost: boolean): void {
    if (lost) this.lost(leased);
    if (leased.phase === "recording" && !this.#parts.drain.aborted) {
      leased.held = true;
      return this.#run(leased);
    }
    this.#giveBack(leased);
  }

  /** A lease that has a slot does not start after all. */
  #giveBack(leased: Leased): void {
    if (leased.phase === "recording") {
      this.#drop(leased);
      this.#parts.settler.release(leased);
    }
    this.#parts.scheduler().free(leased);
  }

  #run(leased: Leased): void {
    const { spec } = leased.job;
    const { options } = leased.lease;
    leased.phase = "running";
    leased.retry = merge(options?.hook ? hookRetry : spec.retry, options?.retry);
    this.#parts.reporter.started(leased);
    begin(leased, this.#tools);
    // Afterwards: what has ended by now needs no watch, and no alarm rings in between.
    if (leased.phase === "running")
      this.#timeouts.watch(leased, leased.startedAt + (options?.timeoutMs ?? spec.timeoutMs));
  }

  #ended(leased: Leased, ending: Ending): void {
    this.#timeouts.forget(leased);
    if (leased.phase === "running") {
      const stopped = ending.how === "threw" && leased.stopped instanceof Stopping;
      this.#settle(leased, stopped ? { how: "stopped", error: ending.error } : ending);
    } else if (leased.phase !== "left") return;
    this.#drop(leased);
    this.#parts.scheduler().free(leased);
  }

  #settle(leased: Leased, ending: Ending): void {
    this.#parts.settler.end(leased, outcomeOf(ending, leased));
  }

  /** An attempt outlived its timeout, or a handler that was left its grace. */
  #overdue(leased: Leased): void {
    const { lease, job, attempt } = leased;
    if (leased.phase === "running") {
      const error = new AttemptTimeout(formatId(lease.id), lease.options?.timeoutMs ?? job.spec.timeoutMs);
      this.#settle(leased, { how: "timeout", error });
      return this.#leave(leased, error);
    }
    if (leased.phase !== "left") return;
    this.#drop(leased);
    this.#parts.logger.warn(
      { run: formatId(lease.id), job: lease.job, attempt },
      "Handler goes on after its attempt is over; its slot is given to others",
    );
    this.#parts.scheduler().free(leased);
  }

  #stop(leased: Leased, reason: Error, outcome: Outcome | null): void {
    const running = leased.phase === "running";
    if (!running) leased.startedMs = null; // its handler was not called
    if (outcome) this.#parts.settler.end(leased, outcome);
    if (running) this.#leave(leased, reason);
    else this.#drop(leased);
  }

  /** The outcome is decided, but the handler goes on: it keeps its slot until it ends, or for a grace. */
  #leave(leased: Leased, reason: Error): void {
    leased.phase = "left";
    this.#parts.scheduler().forget(leased);
    this.#timeouts.watch(leased, this.#parts.clock.ticks() + this.#parts.graceMs);
    leased.abort(reason);
  }

  #drop(leased: Leased): void {
    this.#parts.scheduler().forget(leased);
    leased.phase = "over";
  }

  #progress(leased: Leased, value: number, detail: string | undefined): void {
    const progress = toProgress(value, detail);
    if (leased.phase !== "running") return;
    leased.progress ??= new ProgressWriter(this.#parts.clock, (latest) => this.#write(leased, latest));
    leased.progress.set(progress);
    this.#parts.reporter.progress(leased, progress);
  }

  async #write(leased: Leased, progress: Progress): Promise<void> {
    const { store, health } = this.#parts;
    try {
      const lost = await store.runs.note([{ ...fence(leased), progress }]);
      if (lost.length > 0 && leased.phase === "running") this.lost(leased);
    } catch (error) {
      health.failed("Writing progress", error);
    }
  }
}

/** What becomes of the run. Whatever a policy or an error does, the attempt ends: else its slot would never come back. */
function outcomeOf(ending: Ending, { attempt, retry }: Leased): Outcome {
  try {
    return next(ending, attempt, retry!); // set when it began to run
  } catch (error) {
    return { to: "failed", reason: "error", error: errorRecord(error) };
  }
}

function expired({ id }: { readonly id: number }): Outcome {
  const error: ErrorRecord = {
    name: "Expired",
    message: `run "${formatId(id)}" had not started when its ttl was over`,
    stack: null,
  };
  return { to: "failed", reason: "expired", error };
}
