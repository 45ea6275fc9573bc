import { toMs, type DurationText } from "../sdk/port/duration.ts";
import { InvalidInput, Stopping, StoreUnavailable } from "../sdk/port/error.ts";
import { inRuntime } from "../sdk/client/scope.ts";
import type { JobSpec } from "../sdk/define/spec.ts";
import { StoreClock, wait, within } from "./core/clock.ts";
import { Publisher } from "./schedule/publish.ts";
import { Bus } from "./core/event.ts";
import { Executor } from "./loop/executor.ts";
import { Fetcher } from "./loop/fetch.ts";
import { Health } from "./core/health.ts";
import { Lines, logged } from "./core/log.ts";
import { Node } from "./loop/node.ts";
import { own } from "./own.ts";
import { Registry } from "./core/registry.ts";
import { Reporter } from "./attempt/report.ts";
import { Scheduler } from "./loop/scheduler.ts";
import { Services } from "./attempt/service.ts";
import { checkSlots, settingsOf, type RuntimeOptions, type Settings } from "./setting.ts";
import { Settler } from "./attempt/settle.ts";
import type { Store } from "./store/port.ts";
import { watchStrays } from "./attempt/stray.ts";
import { Sweeper } from "./loop/sweep.ts";
import { Ticker } from "./loop/ticker.ts";

export type RuntimeState = "idle" | "starting" | "running" | "stopping" | "stopped";

export interface RuntimeStats {
  readonly slots: number;
  /** Slots taken. */
  readonly busy: number;
  /** Leased runs that have not started. */
  readonly heap: number;
  /** Since start; 0 before. */
  readonly uptimeMs: number;
  /** How many jobs are registered. */
  readonly jobs: number;
}

/** What a process starts and stops: it leases due runs of its jobs and runs them. */
export interface Runtime {
  /** Opens the store (waiting for one that is away), joins the other nodes, and begins to lease. A second call answers as the first.
   *  Resolves, too, if `stop` came first: look at `state`.
   *  @throws {StoreUnusable} if the store answers but can't be used. @throws {InvalidInput} after `stop`. */
  start(): Promise<void>;
  /** Ends in order, within `grace` and a second whatever handlers and store do: nothing new is leased, what never started goes
   *  back unspent, handlers end or hear `Stopping` on their signal, the store closes. May be called at any time, and twice.
   *  Never rejects but for a `grace` that is no duration. */
  stop(options?: { readonly grace?: DurationText | undefined }): Promise<void>;
  /** Adds a job, on a live runtime too: its waiting runs start.
   *  @throws {DuplicateJob} if its id is taken */
  register(job: JobSpec): void;
  /** Removes a job: what runs of it goes on, what waits is left to others. Answers false if there was none. */
  unregister(id: string): boolean;
  jobs(): JobSpec[];
  /** Changes how many runs may run at once; running ones go on. @throws {InvalidInput} unless it is a whole number from 0 on. */
  resize(slots: number): void;
  readonly state: RuntimeState;
  readonly events: Bus;
  /** The store, for application code: what is added through it is seen by the bus and by this runtime at once. */
  readonly store: Store;
  stats(): RuntimeStats;
}

/** Makes a runtime; `start()` starts it.
 *  @throws {InvalidInput} naming the option that is out of its range. @throws {DuplicateJob} */
export function createRuntime(options: RuntimeOptions): Runtime {
  return new Engine(settingsOf(options));
}

/** How long a handler has to end after it was told to stop, and when, after the grace, all is over at the latest; ms. */
const promptMs = 400;
const lastMs = 900;

class Engine implements Runtime {
  readonly events: Bus;
  readonly store: Store;
  readonly #settings: Settings;
  readonly #storeClock: StoreClock;
  readonly #health: Health;
  readonly #registry = new Registry();
  readonly #services = new Services();
  readonly #lines: Lines;
  readonly #settler: Settler;
  readonly #executor: Executor;
  readonly #scheduler: Scheduler;
  readonly #fetcher: Fetcher;
  readonly #node: Node;
  readonly #publisher: Publisher;
  readonly #ticker: Ticker;
  readonly #landed: () => Promise<void>;
  readonly #sweeper: Sweeper;
  /** Aborts when nothing new may start, and when nothing goes on at all. */
  readonly #drain = new AbortController();
  readonly #over = new AbortController();
  #state: RuntimeState = "idle";
  #starting: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  #loops: Promise<unknown> = Promise.resolve();
  #beats: Promise<unknown> = Promise.resolve();
  #startedAt = Number.NaN;
  #unlisten: (() => Promise<void>) | null = null;
  #unwatch: (() => void) | null = null;

  constructor(settings: Settings) {
    this.#settings = settings;
    const { store, clock, logger, leaseMs, pollMs, sweepMs, graceMs, maxCrashes } = settings;
    this.events = new Bus((error) => logger.error({ err: logged(error) }, "A listener of events failed"));
    this.#storeClock = new StoreClock(clock);
    const storeClock = this.#storeClock;
    const registry = this.#registry;
    for (const job of settings.jobs) registry.add(job);
    const health = (this.#health = new Health(clock, logger, () => storeClock.drop()));
    const lines = (this.#lines = new Lines({
      write: (batch) => store.runs.note(batch),
      lost: (leased) => this.#executor.lost(leased),
      logger,
      clock,
      now: () => storeClock.date(),
    }));
    const reporter = new Reporter({ logger, bus: this.events, storeClock, registry });
    const settler = (this.#settler = new Settler({
      store,
      clock,
      health,
      before: () => (lines.waiting ? lines.flush() : null),
      report: (leased, outcome, settled, runMs) => {
        reporter.ended(leased, outcome, settled, runMs);
        if (settled === "settled" && outcome.to === "pending") this.#goesOn(outcome.delayMs);
      },
      settled: (leased) => this.#scheduler.settled(leased),
      claimed: () => this.#fetcher.claimed(),
      drained: () => this.#fetcher.freed(),
    }));
    const drain = this.#drain.signal;
    // Less than the lease: what is decided just before the end must still get out.
    const goodMs = leaseMs - Math.min(1000, leaseMs / 10);
    const shared = {
      store,
      clock,
      storeClock,
      health,
      registry,
      settler,
      lines,
      services: this.#services,
      reporter,
      logger,
      drain,
    };
    const later = { node: () => this.#node.id, scheduler: () => this.#scheduler, executor: () => this.#executor };
    this.#executor = new Executor({ ...shared, ...later, leaseMs, graceMs });
    this.#node = new Node({
      ...shared,
      ...later,
      ...{ info: settings.info, pollMs, leaseMs, goodMs },
      periodMs: Math.max(pollMs, Math.min(leaseMs / 3, sweepMs)), // no sweep without a beat that asks for it
      silent: () => settings.silent && this.#unlisten !== null,
      idle: () => this.#idle(),
      tidyAt: () => this.#sweeper.pruneAt,
      revived: (lapsed) => {
        if (lapsed) this.#fetcher.wake();
        if (lapsed) this.#ticker.lapsed();
        this.#ticker.rouse();
      },
      heard: ({ tickMs, publish, sweep }) => {
        this.#ticker.expect(tickMs);
        if (publish) this.#publish(true);
        if (sweep) this.#sweeper.want();
        this.#fetcher.beaten();
      },
    });
    const standing = {
      alive: () => this.#node.alive,
      asleep: () => this.#node.asleep,
      revive: () => this.#node.revive(),
    };
    this.#scheduler = new Scheduler({
      ...shared,
      slots: settings.slots,
      queues: settings.queues,
      maxCrashes,
      goodMs,
      scope: (work) => inRuntime(this.store, work),
      heldUntil: () => this.#node.heldUntil,
      admit: (leased, nowMs) => this.#executor.admit(leased, nowMs),
      start: (leased) => {
        if (this.#node.asleep) this.#node.revive(); // it was leased as it was added, while the node fell asleep
        this.#executor.start(leased);
      },
      release: (leased) => settler.release(leased),
      lost: (leased) => this.#executor.lost(leased),
      isAsked: (lease) => this.#executor.isAsked(lease),
      cancel: (lease) => this.#executor.cancel(lease),
      freed: () => this.#fetcher.freed(),
    });
    this.#fetcher = new Fetcher({
      ...shared,
      ...standing,
      node: later.node,
      scheduler: this.#scheduler,
      pollMs,
      leaseMs,
      beat: () => this.#node.seen,
      beats: (ms) => this.#node.early(ms),
      unsettled: () => settler.size,
    });
    const owned = own(store, {
      ...shared,
      ...later,
      bus: this.events,
      pollMs,
      leaseMs,
      scheduler: this.#scheduler,
      fetcher: this.#fetcher,
      alive: () => this.#state === "running" && this.#node.alive,
      asleep: () => this.#node.asleep,
    });
    this.store = owned.store;
    this.#landed = owned.landed;
    this.#publisher = new Publisher({ ...shared, node: later.node, timezone: settings.timezone });
    this.#ticker = new Ticker({
      ...shared,
      ...standing,
      node: later.node,
      bus: this.events,
      pollMs,
      made: () => this.#fetcher.wake(),
    });
    this.#sweeper = new Sweeper({
      ...shared,
      ...standing,
      ...{ node: later.node, publisher: this.#publisher, sweepMs, maxCrashes, keep: settings.keep },
      recovered: () => this.#fetcher.wake(),
    });
  }

  get state(): RuntimeState {
    return this.#state;
  }

  start(): Promise<void> {
    if (this.#state === "stopping" || this.#state === "stopped")
      return Promise.reject(
        new InvalidInput("a runtime that was stopped can't start again; make another with createRuntime"),
      );
    return (this.#starting ??= this.#start());
  }

  async stop(options: { readonly grace?: DurationText | undefined } = {}): Promise<void> {
    const graceMs = options.grace === undefined ? this.#settings.graceMs : toMs(options.grace);
    return (this.#stopping ??= this.#stop(graceMs));
  }

  register(job: JobSpec): void {
    this.#registry.add(job);
    if (this.#state !== "idle") this.#sayRegistered(job);
    this.#jobsChanged();
  }

  unregister(id: string): boolean {
    if (!this.#registry.remove(id)) return false;
    this.#scheduler.releaseWaiting(id);
    this.#jobsChanged();
    return true;
  }

  jobs(): JobSpec[] {
    return this.#registry.specs();
  }

  resize(slots: number): void {
    this.#scheduler.resize(checkSlots(slots));
    this.#fetcher.wake();
  }

  stats(): RuntimeStats {
    const { slots, busy, heap } = this.#scheduler.load();
    const uptimeMs = Number.isNaN(this.#startedAt) ? 0 : this.#settings.clock.ticks() - this.#startedAt;
    return { slots, busy, heap, uptimeMs, jobs: this.#registry.ids().length };
  }

  async #start(): Promise<void> {
    const { store, clock, logger } = this.#settings;
    const drain = this.#drain.signal;
    this.#state = "starting";
    const slow = clock.alarm(() => logger.warn({ store: store.name }, "Waiting for the store"));
    slow.set(clock.ticks() + 2000);
    try {
      await this.#patiently(() => store.open(drain));
      await this.#join();
    } catch (error) {
      if (drain.aborted) return;
      this.#state = "stopped";
      await within(clock, store.close(), clock.ticks() + lastMs);
      throw error;
    } finally {
      slow.clear();
    }
    if (!drain.aborted) this.#run();
  }

  /** Gets the node's number, and does what needs it. */
  async #join(): Promise<void> {
    await this.#patiently(() => this.#node.join());
    if (this.#drain.signal.aborted) return;
    await Promise.all([this.#patiently(() => this.#publisher.start()), this.#listen()]);
  }

  /** Tries again while the store is away, until it answers or the runtime is stopped. */
  async #patiently(work: () => Promise<void>): Promise<void> {
    const { clock } = this.#settings;
    const drain = this.#drain.signal;
    while (!drain.aborted) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        this.#health.failed("Starting", error);
        await wait(clock, clock.ticks() + 500 + Math.random() * 500, drain);
      }
    }
  }

  #run(): void {
    const { clock, logger, info } = this.#settings;
    const drain = this.#drain.signal;
    this.#state = "running";
    this.#startedAt = clock.ticks();
    this.#unwatch = watchStrays(this.store, (reason) =>
      logger.error(
        { err: logged(reason) },
        "A promise that a handler left behind was rejected; await it in the handler",
      ),
    );
    this.#loops = Promise.all([this.#fetcher.run(drain), this.#ticker.run(drain), this.#sweeper.run(drain)]);
    this.#beats = this.#node.run(this.#over.signal);
    for (const job of this.#registry.specs()) this.#sayRegistered(job);
    logger.info({ jobs: this.#registry.ids().length, node: info.name }, "Runtime started");
    this.events.publish({ type: "node.started", at: this.#storeClock.date(), node: info.name });
  }

  async #stop(graceMs: number): Promise<void> {
    const { clock, logger, info } = this.#settings;
    const graceEnd = clock.ticks() + graceMs;
    if (this.#state === "running")
      this.events.publish({ type: "node.stopping", at: this.#storeClock.date(), node: info.name });
    this.#state = "stopping";
    this.#drain.abort(); // 1. nothing new is leased, nothing new starts
    this.#scheduler.releaseWaiting(); // at once: it would only wait here, and starts elsewhere
    const over = Promise.all([this.#starting, this.#loops, this.#landed()]);
    await within(clock, over, graceEnd); // 2. the loops are over, and what is being added under a lease is in the books
    await this.#endHandlers(graceMs, graceEnd); // 3. handlers end, or hear it on ctx.signal
    const end = graceEnd + lastMs;
    await this.#settler.drained(end - 300); // 4. what never started has gone back, what ended is settled
    this.#over.abort();
    await within(clock, this.#close(end), end); // 5. last: every step above needed the store
    this.#executor.leave(); // no timer stays behind
    this.#lines.clear();
    this.#settler.clear();
    this.#unwatch?.();
    this.#state = "stopped";
    logger.info({}, "Runtime stopped");
    this.events.publish({ type: "node.stopped", at: this.#storeClock.date(), node: info.name });
    this.events.close();
  }

  async #endHandlers(graceMs: number, graceEnd: number): Promise<void> {
    const { logger } = this.#settings;
    if (await this.#scheduler.idle(graceEnd)) return;
    this.#executor.abort(new Stopping(`${graceMs} ms`));
    if (await this.#scheduler.idle(graceEnd + promptMs)) return;
    const deaf = this.#executor.leave();
    if (deaf > 0)
      logger.warn(
        { runs: deaf },
        "Handlers did not end; they are left behind, and start elsewhere when their leases expire",
      );
  }

  /** Each step has its own share of the time that is left, so that one that hangs does not cost the others theirs. */
  async #close(end: number): Promise<void> {
    const { clock, store, logger } = this.#settings;
    const step = async (work: Promise<unknown> | undefined): Promise<void> => {
      if (work) await within(clock, work, Math.min(end, clock.ticks() + 100));
    };
    await step(this.#services.close(logger));
    await step(this.#lines.flush());
    await step(Promise.all([this.#unlisten?.(), this.#beats.then(() => this.#node.leave())]));
    await within(clock, store.close(), end);
  }

  async #listen(): Promise<void> {
    const { store, logger } = this.#settings;
    try {
      this.#unlisten = await store.runs.listen(this.#node.id, (what) => {
        if (what === "due") this.#fetcher.hint();
        else if (what === "tick") this.#ticker.wake();
        else this.#node.hear();
      });
    } catch (error) {
      logger.warn({ err: logged(error) }, "The store does not wake this node; it polls");
    }
  }

  /** Whether nothing is held, to be written, or known to wait. */
  #idle(): boolean {
    const { busy, heap } = this.#scheduler.load();
    const holds = busy + heap > 0 || this.#settler.size > 0 || !this.#scheduler.held().next().done;
    return !holds && this.#fetcher.quiet && !this.#lines.waiting;
  }

  /** A run will start again after a delay: at its instant, not at the next poll after it. */
  #goesOn(delayMs: number): void {
    const { clock, pollMs } = this.#settings;
    if (delayMs <= pollMs * 2) this.#fetcher.expect(clock.ticks() + delayMs);
  }

  #jobsChanged(): void {
    if (this.#state !== "running") return;
    this.#publish(false);
    this.#fetcher.wake();
  }

  #publish(again: boolean): void {
    this.#publisher.follow(again).catch((error: unknown) => this.#health.failed("Publishing jobs", error));
  }

  #sayRegistered({ id, queue }: JobSpec): void {
    this.#settings.logger.info({ job: id, queue }, "Job registered");
  }
}
