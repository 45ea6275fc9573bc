import type { DurationText } from "../sdk/port/duration.ts";
import { InvalidInput, Stopping, StoreUnavailable } from "../sdk/port/error.ts";
import { checkDuration } from "../sdk/port/option.ts";
import { inRuntime } from "../sdk/client/scope.ts";
import type { JobSpec } from "../sdk/define/spec.ts";
import { Attempts } from "./attempt/attempts.ts";
import { watchStrays } from "./attempt/stray.ts";
import { traced } from "./attempt/trace.ts";
import { wait, within } from "./core/clock.ts";
import { coreOf, type Core } from "./core/core.ts";
import type { Bus } from "./core/event.ts";
import { logged } from "./core/log.ts";
import type { Inbox, InboxCounts } from "./inbox/inbox.ts";
import type { Meter } from "./core/meter.ts";
import { Fetcher } from "./loop/fetch.ts";
import { Node } from "./loop/node.ts";
import { Sweeper } from "./loop/sweep.ts";
import { Ticker } from "./loop/ticker.ts";
import { Own } from "./own.ts";
import { Publisher } from "./schedule/publish.ts";
import type { Outbox } from "./webhook/outbox.ts";
import { checkSlots, settingsOf, type RuntimeOptions, type Settings } from "./setting.ts";
import type { Guarded } from "./store/port.ts";

/** Where a runtime stands. A stopped one can't start again. */
export type RuntimeState = "idle" | "starting" | "running" | "stopping" | "stopped";

/** How busy a runtime is. */
export interface RuntimeStats {
  /** How many runs may run at once. */
  readonly slots: number;
  /** Slots taken. */
  readonly busy: number;
  /** Leased runs that have not started. */
  readonly heap: number;
  /** How long the one among them that has been due here longest waits for a slot; 0 where none is due. */
  readonly lagMs: number;
  /** Since start; 0 before. */
  readonly uptimeMs: number;
  /** How many jobs are registered. */
  readonly jobs: number;
  /** What became of job files since start; null without an inbox. */
  readonly inbox: Readonly<InboxCounts> | null;
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
  /** The jobs that are registered now, in the order of registration. */
  jobs(): JobSpec[];
  /** Changes how many runs may run at once; running ones go on. @throws {InvalidInput} unless it is a whole number from 0 on. */
  resize(slots: number): void;
  readonly state: RuntimeState;
  /** Whether its lease stands, or it sleeps until there is something to do: false once its loops stall or the store does not answer them. */
  readonly alive: boolean;
  /** What happens in this runtime, as it happens. */
  readonly events: Bus;
  /** The store, for application code: what is added through it is seen by the bus and by this runtime at once. */
  readonly store: Guarded;
  /** How busy it is now. */
  stats(): RuntimeStats;
  /** Calls a meter at all that is measured here, until what it answers is called. `metrics` of `tasker/metrics` is one for Prometheus. */
  measure(meter: Meter): () => void;
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
  readonly store: Guarded;
  readonly #core: Core;
  readonly #attempts: Attempts;
  readonly #publisher: Publisher;
  readonly #node: Node;
  readonly #own: Own;
  /** Aborts when nothing new may start, and when nothing goes on at all. */
  readonly #drain = new AbortController();
  readonly #over = new AbortController();
  #state: RuntimeState = "idle";
  #starting: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  #loops: Promise<unknown> = Promise.resolve();
  #beats: Promise<unknown> = Promise.resolve();
  #startedAt = Number.NaN;
  #unwatch: (() => void) | null = null;
  #inbox: Inbox | null = null;
  #outbox: Outbox | null = null;
  readonly #unheard: () => void;

  constructor(settings: Settings) {
    const core = coreOf(settings, this.#drain.signal);
    for (const job of settings.jobs) core.registry.add(job);
    this.#core = core;
    this.#attempts = new Attempts(core, (work) => inRuntime(this.store, work));
    this.#publisher = new Publisher(core);
    this.#node = new Node(core, this.#attempts, this.#publisher);
    this.#own = new Own(core, this.#attempts, () => this.#state === "running");
    this.store = this.#own.store;
    const { bus, storeClock } = core;
    this.events = bus;
    this.#unheard = settings.store.outlet.attach({
      get active() {
        return bus.heard;
      },
      hear: (event) => bus.tell({ ...event, at: storeClock.date() }),
    });
  }

  get state(): RuntimeState {
    return this.#state;
  }

  get alive(): boolean {
    const { standing } = this.#core;
    return standing.alive || standing.sleep !== null;
  }

  start(): Promise<void> {
    if (this.#state === "stopping" || this.#state === "stopped")
      return Promise.reject(
        new InvalidInput("a runtime that was stopped can't start again; make another with createRuntime"),
      );
    return (this.#starting ??= this.#start());
  }

  async stop(options: { readonly grace?: DurationText | undefined } = {}): Promise<void> {
    const graceMs = options.grace === undefined ? this.#core.settings.graceMs : checkDuration("grace", options.grace);
    return (this.#stopping ??= this.#stop(graceMs));
  }

  register(job: JobSpec): void {
    this.#core.registry.add(job);
    if (this.#state !== "idle") this.#sayRegistered(job);
    this.#jobsChanged();
  }

  unregister(id: string): boolean {
    if (!this.#core.registry.remove(id)) return false;
    this.#attempts.releaseWaiting(({ job }) => job === id);
    this.#jobsChanged();
    return true;
  }

  jobs(): JobSpec[] {
    return this.#core.registry.specs();
  }

  resize(slots: number): void {
    this.#core.leases.resize(checkSlots(slots));
    this.#core.leases.want("poll");
  }

  stats(): RuntimeStats {
    const { clock, leases } = this.#core;
    const { slots, busy, heap } = leases.load();
    const lagMs = heap === 0 ? 0 : leases.lagMs();
    const uptimeMs = Number.isNaN(this.#startedAt) ? 0 : clock.ticks() - this.#startedAt;
    return {
      ...{ slots, busy, heap, lagMs, uptimeMs },
      jobs: this.#core.registry.ids().length,
      inbox: this.#inbox && { ...this.#inbox.counts },
    };
  }

  measure(meter: Meter): () => void {
    this.#core.meters.add(meter);
    return () => void this.#core.meters.delete(meter);
  }

  async #start(): Promise<void> {
    const { store, clock, logger, drain } = this.#core;
    this.#state = "starting";
    const slow = clock.alarm(() => logger.warn({ store: store.name }, "Waiting for the store"));
    slow.set(clock.ticks() + 2000);
    try {
      await this.#patiently(() => store.open(drain));
      await this.#patiently(() => this.#node.join());
      await Promise.all([this.#patiently(() => this.#publisher.start()), this.#node.listen()]);
      await this.#openMore();
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

  /** What most processes do without, and so is loaded late. */
  async #openMore(): Promise<void> {
    const { inbox, hooks, telemetry } = this.#core.settings;
    if (telemetry) await traced();
    if (hooks.length > 0) {
      const { Outbox } = await import("./webhook/outbox.ts");
      this.#outbox = new Outbox(this.#core, this.store, hooks);
    }
    if (inbox === null) return;
    const { Inbox } = await import("./inbox/inbox.ts");
    this.#inbox = new Inbox(this.#core, this.store, inbox);
    await this.#inbox.open();
  }

  /** Tries again while the store is away, until it answers or the runtime is stopped. */
  async #patiently(work: () => Promise<void>): Promise<void> {
    const { clock, health, drain } = this.#core;
    while (!drain.aborted) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        health.failed("Starting", error);
        await wait(clock, clock.ticks() + 500 + Math.random() * 500, drain);
      }
    }
  }

  #run(): void {
    const { clock, store, logger, drain, registry, settings } = this.#core;
    this.#state = "running";
    this.#startedAt = clock.ticks();
    this.#unwatch = watchStrays(this.store, (reason) =>
      logger.error(
        { err: logged(reason) },
        "A promise that a handler left behind was rejected; await it in the handler",
      ),
    );
    const fetcher = new Fetcher(this.#core, this.#attempts);
    const [ticker, sweeper] = [new Ticker(this.#core), new Sweeper(this.#core, this.#publisher)];
    const ticking = store.lacks.ticks === undefined ? ticker.run(drain) : null;
    this.#loops = Promise.all([fetcher.run(drain), ticking, sweeper.run(drain), this.#inbox?.run(drain)]);
    this.#beats = this.#node.run(this.#over.signal);
    for (const job of registry.specs()) this.#sayRegistered(job);
    logger.info({ jobs: registry.ids().length, node: settings.info.name }, "Runtime started");
    this.#tell("node.started");
  }

  async #stop(graceMs: number): Promise<void> {
    const { clock, logger } = this.#core;
    const { completer, lines } = this.#attempts;
    const graceEnd = clock.ticks() + graceMs;
    if (this.#state === "running") this.#tell("node.stopping");
    this.#state = "stopping";
    this.#drain.abort(); // 1. nothing new is leased, nothing new starts
    this.#attempts.releaseWaiting(); // at once: it would only wait here, and starts elsewhere
    const over = Promise.all([this.#starting, this.#loops, this.#own.landed()]);
    await within(clock, over, graceEnd); // 2. the loops are over, and what is being added under a lease is in the books
    await this.#endHandlers(graceMs, graceEnd); // 3. handlers end, or hear it on ctx.signal
    const end = graceEnd + lastMs;
    await completer.drained(end - 300); // 4. what never started has gone back, what ended is settled
    if (this.#outbox) await within(clock, this.#outbox.close(), end - 200);
    this.#over.abort();
    await within(clock, this.#close(end), end); // 5. last: every step above needed the store
    this.#attempts.leave(); // no timer stays behind
    lines.clear();
    completer.clear();
    this.#unwatch?.();
    this.#state = "stopped";
    logger.info({}, "Runtime stopped");
    this.#tell("node.stopped");
    this.#unheard();
    this.events.close();
  }

  async #endHandlers(graceMs: number, graceEnd: number): Promise<void> {
    const { leases, logger } = this.#core;
    if (await leases.idle(graceEnd)) return;
    this.#attempts.abort(new Stopping(`${graceMs} ms`));
    if (await leases.idle(graceEnd + promptMs)) return;
    const deaf = this.#attempts.leave();
    if (deaf > 0)
      logger.warn(
        { runs: deaf },
        "Handlers did not end; they are left behind, and start elsewhere when their leases expire",
      );
  }

  /** Each step has its own share of the time that is left, so that one that hangs does not cost the others theirs. */
  async #close(end: number): Promise<void> {
    const { clock, store, logger, settings } = this.#core;
    const { services, lines } = this.#attempts;
    const step = (work: Promise<unknown>): Promise<boolean> => within(clock, work, Math.min(end, clock.ticks() + 100));
    await step(services.close(logger));
    await step(lines.flush());
    await step(Promise.all([this.#node.silence(), this.#beats.then(() => this.#node.leave())]));
    store.outlet.take({ type: "node.stopped", node: settings.info.name }); // closing writes it
    await within(clock, store.close(), end);
  }

  #jobsChanged(): void {
    if (this.#state !== "running") return;
    void this.#publisher.follow();
    this.#core.leases.want("poll");
  }

  #sayRegistered({ id, queue }: JobSpec): void {
    this.#core.logger.info({ job: id, queue }, "Job registered");
  }

  #tell(type: "node.started" | "node.stopping" | "node.stopped"): void {
    const { storeClock, settings } = this.#core;
    this.events.publish({ type, at: storeClock.date(), node: settings.info.name });
  }
}
