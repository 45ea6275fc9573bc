import { toMs, type DurationText } from "../../sdk/port/duration.ts";
import { WaitTimeout } from "../../sdk/port/error.ts";
import { revive } from "../../sdk/port/text.ts";
import type { Target } from "../../sdk/port/target.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import type { Run } from "../../sdk/client/run.ts";
import { each } from "../../sdk/client/page.ts";
import { queuesOf, runsOf } from "../../sdk/client/runs.ts";
import { createRuntime, type Runtime } from "../runtime.ts";
import type { RuntimeOptions } from "../setting.ts";
import { memory } from "../store/memory/index.ts";
import type { Guarded } from "../store/port.ts";
import type { FakeClock } from "./clock.ts";
import { Life } from "./life.ts";
import { turns } from "./turn.ts";
import { Watch, type Ways } from "./watch.ts";

/** How often the runtime polls, by the fake clock. Longer ways without work are jumped over. */
const pollMs = 30_000;
const patienceMs = 10_000;
/** After this time the engine takes a handler that does not ask for what its journal has next for another one; ms. */
const stallMs = 1000;

export type StageOptions = Omit<RuntimeOptions, "store" | "clock" | "poll" | "lease" | "sweep" | "jobs">;

/** A store in memory, a clock, and the node that lives; another one after each that died. */
export class Stage {
  readonly clock: FakeClock;
  readonly #store: Guarded;
  readonly #options: StageOptions;
  readonly #ways: Ways;
  readonly #watch: Watch;
  #life!: Life;
  #runtime!: Runtime;
  /** Writes of nodes that have died. */
  #written = 0;
  /** The latest node goes on with what the one before had. */
  #taken: Promise<void> = Promise.resolve();

  constructor(clock: FakeClock, options: StageOptions, jobs: readonly JobSpec[], ways: Ways) {
    this.clock = clock;
    this.#store = memory({ now: () => clock.nowMs() });
    this.#options = options;
    this.#ways = ways;
    this.#watch = new Watch(ways);
    this.#begin(jobs);
  }

  get runtime(): Runtime {
    return this.#runtime;
  }

  /** The store, by whatever node lives. */
  get target(): Target {
    const store = (): Guarded => this.#runtime.store;
    return {
      add: (...args) => store().add(...args),
      close: () => this.#store.close(),
      get find() {
        return store().find;
      },
      get desk() {
        return store().desk;
      },
      get schedules() {
        return store().schedules;
      },
      get flow() {
        return store().flow;
      },
      get feed() {
        return store().feed;
      },
    };
  }

  register(job: JobSpec): void {
    this.#runtime.register(this.#watch.job(job));
  }

  jobs(): JobSpec[] {
    return this.#runtime.jobs().map((job) => this.#watch.original(job));
  }

  get writes(): number {
    return this.#written + this.#life.writes;
  }

  /** The node dies, and another one takes over. */
  async crash(): Promise<void> {
    this.#life.die();
    await this.quiet();
  }

  crashAfter(writes: number): void {
    this.#life.left = writes;
  }

  async advance(by: DurationText): Promise<void> {
    const { clock } = this;
    const endMs = clock.nowMs() + toMs(by);
    for (;;) {
      const live = await this.quiet();
      const left = endMs - clock.nowMs();
      if (left <= 0) return this.#check();
      const due = [await this.#nextTick(), ...live.map(({ dueAt }) => dueAt.getTime())];
      const soonest = Math.min(endMs, ...due.filter((ms) => ms > clock.nowMs()));
      const empty = this.#runtime.stats().busy === 0 ? soonest - clock.nowMs() - pollMs : 0;
      if (empty > 0) clock.jump(Math.min(empty, left));
      else clock.advance(Math.min(left, Math.max(0, clock.nextMs() - clock.nowMs())));
    }
  }

  async idle(): Promise<void> {
    const end = performance.now() + patienceMs;
    let stallsMs = this.#ways.replays ? stallMs : 0;
    for (;;) {
      const live = await this.quiet();
      const [run] = await this.#stirring(live);
      const resting = live.filter(({ id }) => this.#watch.rests(id)).length;
      const isOver = !run && this.#runtime.stats().busy <= resting;
      if (isOver && (resting === 0 || stallsMs === 0)) return this.#check();
      if (isOver) {
        this.clock.advance(stallsMs);
        stallsMs = 0;
        continue;
      }
      if (performance.now() > end)
        throw new WaitTimeout(run ? `the end of run "${run.id}" of job "${run.job}"` : "the end of a handler", "10s");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Gives what is due its turns of the event loop, but no more than it can use. Answers the runs that are live. */
  async quiet(): Promise<readonly Run[]> {
    for (let rounds = 1; ; rounds++) {
      await this.#taken;
      await turns();
      const live = await this.#liveRuns();
      if (rounds === 5 || (await this.#stirring(live)).length === 0) return live;
    }
  }

  #begin(jobs: readonly JobSpec[]): void {
    this.#life = new Life(this.#store, this.clock, () => this.#takeOver(), this.#ways.tx);
    this.#runtime = createRuntime({
      grace: "0ms",
      ...this.#options,
      store: this.#life.store,
      clock: this.#life.clock,
      jobs: jobs.map((job) => this.#watch.job(job)),
      ...{ poll: "30s", lease: "5m", sweep: "1m" },
    });
  }

  /** Another node goes on: all that the dead one had leased is put under its lease, and that has ended, so that the first sweep takes it back. */
  #takeOver(): void {
    const { node, writes } = this.#life;
    this.#written += writes;
    const { slots } = this.#runtime.stats();
    this.#begin(this.jobs());
    this.#runtime.resize(slots);
    const next = this.#runtime;
    this.#taken = this.#taken.then(async () => {
      const { find, runs, nodes } = this.#store;
      for await (const { id, token } of each((paging) => find.list({ status: ["leased", "running"] }, paging)))
        await runs.hold(node, [{ id, token, startedMs: null }]);
      await nodes.leave(node);
      await next.start();
    });
  }

  /** With replays, a run whose handler can't be replayed is an error. */
  async #check(): Promise<void> {
    if (!this.#ways.replays) return;
    const runs = runsOf(() => Promise.resolve(this.#store));
    const { items } = await runs.list({ status: "waiting", reason: "parked" }, { limit: 1 });
    if (!items[0]) return;
    const attempts = await runs.attempts(items[0].id, { limit: 1 });
    throw revive(attempts.items[0]!.error!);
  }

  /** When the next schedule is due; epoch ms, Infinity if none is. */
  async #nextTick(): Promise<number> {
    const { due, next } = await this.#store.ticks.due({ node: 0, aheadMs: 0, limit: 1 });
    return due[0]?.nextMs ?? next?.atMs ?? Infinity;
  }

  /** Runs that are due, and that nothing keeps from starting and ending. */
  async #stirring(live: readonly Run[]): Promise<readonly Run[]> {
    const jobs = new Set(this.#runtime.jobs().map(({ id }) => id));
    const queues = await queuesOf(() => Promise.resolve(this.#store)).list();
    const paused = new Set(queues.filter((queue) => queue.paused).map(({ name }) => name));
    return live.filter(
      ({ id, job, dueAt, status, queue }) =>
        dueAt.getTime() <= this.clock.nowMs() &&
        jobs.has(job) &&
        status !== "waiting" &&
        (status === "pending" ? !paused.has(queue) : !this.#watch.rests(id)),
    );
  }

  async #liveRuns(): Promise<readonly Run[]> {
    const runs: Run[] = [];
    const query = { status: ["pending", "leased", "running", "waiting"], hooks: true } as const;
    for await (const run of runsOf(() => Promise.resolve(this.#store)).each(query)) runs.push(run);
    return runs;
  }
}
