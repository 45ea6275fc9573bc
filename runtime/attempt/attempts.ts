import { slot } from "../../sdk/client/scope.ts";
import { merge, policy } from "../../sdk/define/retry.ts";
import type { RetryPolicy } from "../../sdk/define/retry.ts";
import { AttemptTimeout, LeaseLost, RunCanceled, Stopping } from "../../sdk/port/error.ts";
import { formatId } from "../../sdk/port/id.ts";
import { errorRecord } from "../../sdk/port/text.ts";
import { expect, type Core } from "../core/core.ts";
import { fence, type Accepted, type Leased } from "../core/lease.ts";
import { Lines } from "../core/log.ts";
import { ProgressWriter, toProgress } from "../core/progress.ts";
import type { Progress } from "../../sdk/port/target.ts";
import { expired } from "../store/guard.ts";
import type { Ask, Fence, Lease, Outcome, NewEntry } from "../store/port.ts";
import { begin, next, type Ending, type Tools } from "./attempt.ts";
import { Completer, type Answer } from "./completer.ts";
import { Reporter } from "./report.ts";
import { Services } from "./service.ts";
import { Timeouts } from "./timeout.ts";
import { cameOf, lostTo, trace } from "./trace.ts";
import { Turn } from "./turn.ts";
import { verbsOf, type Durable } from "../flow/verbs.ts";
import { parked, Workflow, type FlowTools } from "../flow/workflow.ts";
import { Writer } from "../flow/writer.ts";

/** Hooks are tried three times, whatever their job's policy says. */
const hookRetry = policy();
const tooLate: Outcome = { to: "failed", reason: "expired", error: expired };
const canceled: Outcome = { to: "canceled", reason: "user", error: null };

/** What becomes of each lease that comes: it starts at its instant or not, it ends, it is stopped. */
export class Attempts {
  readonly services = new Services();
  readonly lines: Lines;
  readonly completer: Completer;
  readonly #core: Core;
  readonly #reporter: Reporter;
  readonly #timeouts: Timeouts;
  readonly #tools: Tools;
  readonly #flowTools: FlowTools;
  readonly #turn: Turn;
  /** Runs `work` so that what handlers trigger goes to the store of this runtime. */
  readonly #scope: (work: () => void) => void;
  /** What is asked of leases that are not here, by run: the answer to their claim may be under way, for a lease's time. */
  readonly #asked = new Map<number, { readonly ask: Ask; readonly until: number }>();
  /** Runs whose start is to be recorded first. */
  #recording: Leased[] = [];
  #starting = false;

  constructor(core: Core, scope: (work: () => void) => void) {
    this.#core = core;
    this.#scope = scope;
    this.#reporter = new Reporter(core);
    this.lines = new Lines(core, (leased) => this.lose(leased));
    this.completer = new Completer(core, this.lines, (leased, answer) => this.#answered(leased, answer));
    this.#timeouts = new Timeouts(core.clock, (leased) => this.#overdue(leased));
    this.#turn = new Turn(core.clock, () => this.start());
    this.#tools = {
      ...{ lines: this.lines, services: this.services, find: core.store.find },
      progress: (leased, value, detail) => this.#progress(leased, value, detail),
      flow: (leased) => this.#flow(leased),
      ended: (leased, ending) => this.#ended(leased, ending),
    };
    this.#flowTools = {
      ...{ core, writer: new Writer(core) },
      suspend: (leased, waiting, entries) => this.#over(leased, waiting, entries),
      stopped: (leased, error) => this.#ended(leased, { how: "threw", error }),
      lost: (leased) => this.lose(leased),
      resumed: (leased, reason) => this.#reporter.resumed(leased, reason),
      warn: (leased, message, data) => this.lines.of(leased).warn(message, data),
      stepped: (leased, step) => this.#reporter.stepped(leased, step),
    };
    core.leases.onDue(() => this.start());
  }

  /** Whether there is nothing to do, and nothing to be written. */
  get idle(): boolean {
    const { leases } = this.#core;
    return leases.empty && !leases.wants && this.completer.size === 0 && !this.lines.waiting;
  }

  /** Takes leases in, and starts what is due. Returns how many were released at once. */
  accept(batch: readonly Lease[], about: Accepted): number {
    const { leases, registry, standing, beats, drain } = this.#core;
    if (standing.sleep) beats.stir(); // they were leased as they were added, while the node fell asleep
    let refused = 0;
    for (const lease of batch.toSorted(byInstant)) {
      const job = registry.get(lease.job);
      if (!job || drain.aborted) {
        refused++;
        this.completer.release(lease, job?.hooks ?? []);
        continue;
      }
      const older = leases.add(lease, job, about);
      if (older) {
        this.lose(older);
        leases.add(lease, job, about);
      }
      const { id, token, canceling } = lease;
      const ask = canceling ? ({ id, token, kind: "cancel" } as const) : this.#askOf(lease);
      if (ask) this.hear(ask);
    }
    this.start();
    return refused;
  }

  /** Starts what is due and has a slot. */
  start(): void {
    const { leases, storeClock, drain } = this.#core;
    if (this.#starting || drain.aborted) return;
    this.#starting = true;
    try {
      if (leases.due(storeClock.now())) this.#scope(() => this.#startDue(storeClock.now()));
    } finally {
      this.#starting = false;
    }
    leases.rest();
  }

  /** An act asks for a lease. A canceled run does not start, or its handler hears of it and its result no longer counts. One that is to go
   *  back does so unless it has a slot. The store repeats itself until the lease ends; only the first time counts. */
  hear(ask: Ask): void {
    const leased = this.#core.leases.find(ask);
    if (!leased) return this.#remember(ask);
    if (ask.kind === "back") return leased.phase === "waiting" ? this.#release(leased) : undefined;
    if (leased.settling) return;
    this.#end(leased, canceled);
    this.#abandon(leased, new RunCanceled(formatId(ask.id)));
  }

  /** Something was sent to runs that nodes have. Those that it woke, and that wait here for their instant, start. */
  mailed(runs: readonly number[], woken: boolean): void {
    const { leases } = this.#core;
    for (const id of runs) {
      const leased = leases.get(id);
      leased?.begun?.flow?.mailed();
      if (leased && woken) leases.hasten(leased);
    }
    if (woken) this.start();
  }

  /** The lease was lost: what the handler does no longer counts. */
  lose(leased: Leased): void {
    if (leased.settling) return; // the answer to its outcome says so, too
    const { lease, attempt } = leased;
    const run = formatId(lease.id);
    this.#core.logger.warn({ run, job: lease.job, attempt }, "Lease lost: it was not renewed in time");
    this.#core.leases.drop(leased);
    const lost = new LeaseLost(run);
    leased.begun?.span?.end(lostTo(lost));
    this.#abandon(leased, lost);
  }

  /** Gives back what waits here in vain: due for longer than `waitMs` without a slot, or past its lease. */
  tend(waitMs: number): void {
    for (const leased of this.#core.leases.stuck(waitMs)) this.#release(leased);
  }

  /** Gives back what has not started: all of it, or some. */
  releaseWaiting(isMeant: (lease: Lease) => boolean = () => true): void {
    for (const leased of this.#core.leases.all())
      if (leased.phase === "waiting" && isMeant(leased.lease)) this.#release(leased);
  }

  /** Aborts all handlers; what ends by that is given back unspent. */
  abort(reason: Stopping): void {
    for (const leased of this.#core.leases.all()) if (leased.phase === "running") leased.abort(reason);
  }

  /** Leaves deaf handlers behind: whatever they answer is ignored, and their leases expire. Answers how many there are. */
  leave(): number {
    this.#timeouts.clear();
    const deaf = [...this.#core.leases.all()].filter(({ phase }) => phase === "running");
    for (const leased of deaf) {
      this.#core.leases.drop(leased);
      leased.begun!.span?.end(lostTo(leased.stopped));
    }
    return deaf.length;
  }

  #startDue(nowMs: number): void {
    const { leases } = this.#core;
    while (leases.due(nowMs) && this.#turn.lasts()) {
      const leased = leases.next();
      if (!leased) return;
      this.#startOne(leased, nowMs);
    }
  }

  /** Starts a lease that has a slot, unless it is too late for that. A run that has crashed before has its start recorded first. */
  #startOne(leased: Leased, nowMs: number): void {
    const { leases, registry, clock } = this.#core;
    const { lease } = leased;
    const job = registry.get(lease.job);
    if (!job || clock.ticks() >= leases.deadline(leased)) return this.#release(leased);
    leased.job = job;
    if (lease.expiresMs !== null && lease.expiresMs <= nowMs) return this.#end(leased, tooLate);
    leases.begin(leased, retryOf(leased));
    if (lease.crashes === 0) return this.#run(leased);
    if (this.#recording.push(leased) === 1) setImmediate(() => void this.#record());
  }

  #run(leased: Leased): void {
    this.#core.leases.run(leased);
    const { tracer } = slot();
    const span = tracer && trace(leased, tracer);
    this.#reporter.started(leased);
    if (span) span.run(() => begin(leased, this.#tools));
    else begin(leased, this.#tools);
    // Afterwards: what has ended by now needs no watch, and no alarm rings in between.
    if (leased.phase === "running") this.#timeouts.watch(leased, leased.begun!.at + timeoutOf(leased));
  }

  async #record(): Promise<void> {
    const { store, health, standing, leases, drain } = this.#core;
    const batch = this.#recording;
    this.#recording = [];
    const starts = batch.map((leased) => ({ ...fence(leased), startedMs: leased.begun!.atMs }));
    const lost = await store.runs.hold(standing.id, starts).catch((error: unknown) => {
      health.failed("Recording starts", error);
      return null;
    });
    const gone = new Set(lost?.map(({ id }) => id));
    for (const leased of batch) {
      if (leased.phase !== "starting") continue; // canceled meanwhile
      if (gone.has(leased.lease.id)) this.lose(leased);
      else if (lost === null || drain.aborted) this.#release(leased);
      else {
        leases.hold(leased, true);
        this.#run(leased);
      }
    }
  }

  #ended(leased: Leased, ending: Ending): void {
    const diverged = leased.begun?.flow?.close();
    if (diverged && ending.how === "returned") return this.#over(leased, parked(diverged));
    const stopped = ending.how === "threw" && leased.stopped instanceof Stopping;
    this.#over(leased, outcomeOf(stopped ? { how: "stopped", error: ending.error } : ending, leased));
  }

  /** Nothing of the handler goes on. */
  #over(leased: Leased, outcome: Outcome, entries?: readonly NewEntry[]): void {
    this.#timeouts.forget(leased);
    if (leased.phase === "running") this.#end(leased, outcome, entries);
    this.#core.leases.free(leased);
  }

  #flow(leased: Leased): Durable {
    const flow = new Workflow(leased, this.#flowTools);
    leased.begun!.flow = flow;
    return verbsOf(leased, flow);
  }

  /** An attempt outlived its timeout, or a handler that was left its grace. */
  #overdue(leased: Leased): void {
    const { lease, attempt } = leased;
    if (leased.phase === "running") {
      const error = new AttemptTimeout(formatId(lease.id), timeoutOf(leased));
      this.#end(leased, outcomeOf({ how: "timeout", error }, leased));
      return this.#abandon(leased, error);
    }
    if (!this.#core.leases.free(leased)) return;
    this.#core.logger.warn(
      { run: formatId(lease.id), job: lease.job, attempt },
      "Handler goes on after its attempt is over; its slot is given to others",
    );
  }

  /** Its outcome is decided. */
  #end(leased: Leased, outcome: Outcome, entries?: readonly NewEntry[]): void {
    this.#core.leases.end(leased);
    leased.begun?.span?.end(cameOf(outcome));
    this.completer.end(leased, outcome, entries);
  }

  /** Releases a lease: no attempt is spent. */
  #release(leased: Leased): void {
    this.#core.leases.drop(leased);
    this.completer.release(leased.lease, leased.hooks);
  }

  /** What a handler still does counts no more: it keeps its slot until it ends, or for a grace. */
  #abandon(leased: Leased, reason: Error): void {
    const { clock, settings } = this.#core;
    if (leased.phase !== "left" && leased.phase !== "adrift") return;
    this.#timeouts.watch(leased, clock.ticks() + settings.graceMs);
    leased.abort(reason);
  }

  #answered(leased: Leased, { outcome, settled, runMs }: Answer): void {
    const { leases, clock, settings } = this.#core;
    const anew = leases.settled(leased);
    if (settled !== "refused") this.#reporter.ended(leased, outcome, settled, runMs);
    if (anew) this.accept([anew.lease], anew.about);
    const delayMs = this.#delayOf(outcome);
    if (settled === "settled" && delayMs <= settings.pollMs * 2) expect(this.#core, clock.ticks() + delayMs);
  }

  /** How soon the run is due again; ms. */
  #delayOf(outcome: Outcome): number {
    if (outcome.to === "pending") return outcome.delayMs;
    if (outcome.to !== "waiting" || outcome.untilMs === null) return Infinity;
    return outcome.untilMs - this.#core.storeClock.now();
  }

  #remember(ask: Ask): void {
    const { clock, settings } = this.#core;
    this.#asked.delete(ask.id);
    this.#asked.set(ask.id, { ask, until: clock.ticks() + settings.leaseMs });
    for (const [other, { until }] of this.#asked) {
      if (until > clock.ticks()) return; // the oldest come first
      this.#asked.delete(other);
    }
  }

  /** What was asked of a lease before the answer came that brought it here. */
  #askOf({ id, token }: Fence): Ask | null {
    const ask = this.#asked.size > 0 ? this.#asked.get(id)?.ask : undefined;
    if (ask?.token !== token) return null;
    this.#asked.delete(id);
    return ask;
  }

  #progress(leased: Leased, value: number, detail: string | undefined): void {
    const progress = toProgress(value, detail);
    if (leased.phase !== "running") return;
    const begun = leased.begun!;
    begun.progress ??= new ProgressWriter(this.#core.clock, (latest) => this.#write(leased, latest));
    begun.progress.set(progress);
    this.#reporter.progress(leased, progress);
  }

  async #write(leased: Leased, progress: Progress): Promise<void> {
    const { store, health } = this.#core;
    try {
      const lost = await store.runs.note([{ ...fence(leased), progress }]);
      if (lost.length > 0 && leased.phase === "running") this.lose(leased);
    } catch (error) {
      health.failed("Writing progress", error);
    }
  }
}

function retryOf({ job, lease: { options } }: Leased): RetryPolicy {
  return merge(options?.hook ? hookRetry : job.spec.retry, options?.retry);
}

function timeoutOf({ job, lease: { options } }: Leased): number {
  return options?.timeoutMs ?? job.spec.timeoutMs;
}

/** What becomes of the run. Whatever a policy or an error does, the attempt ends: else its slot would never come back. */
function outcomeOf(ending: Ending, { lease, begun }: Leased): Outcome {
  try {
    return next(ending, lease.spent + 1, begun!.retry);
  } catch (error) {
    return { to: "failed", reason: "error", error: errorRecord(error) };
  }
}

function byInstant(a: Lease, b: Lease): number {
  return a.dueMs - b.dueMs || a.id - b.id;
}
