/** For tests of jobs: a runtime on a store in memory, with a clock that the test moves. */
import { configured } from "../../sdk/client/config.ts";
import { toMs, type DurationText } from "../../sdk/port/duration.ts";
import { WaitTimeout } from "../../sdk/port/error.ts";
import type { Run } from "../../sdk/client/run.ts";
import { queuesOf, runsOf } from "../../sdk/client/runs.ts";
import { createRuntime, type Runtime } from "../runtime.ts";
import type { RuntimeOptions } from "../setting.ts";
import { memory } from "../store/memory/index.ts";
import { fakeClock, type FakeClock } from "./clock.ts";

export { fakeClock, type FakeClock };

export interface TestRuntimeOptions extends Omit<RuntimeOptions, "store" | "clock" | "poll" | "lease" | "sweep"> {
  /** What the clock shows first; 2030-01-01 by default. */
  readonly now?: string | Date | undefined;
}

export interface TestRuntime extends Runtime, AsyncDisposable {
  readonly clock: FakeClock;
  /** Moves the clock, running on the way what falls due, each run at its instant. Handlers that wait for something real are not waited for. */
  advance(by: DurationText): Promise<void>;
  /** Waits until nothing that is due waits or runs. Patient for 10 s of real time.
   *  @throws {WaitTimeout} naming a run that does not end */
  idle(): Promise<void>;
}

/** How often the runtime polls, by the fake clock. Longer ways without work are jumped over. */
const pollMs = 30_000;
const patienceMs = 10_000;

/** Makes and starts a runtime for tests. Until it stops, `trigger` of this process goes to it. With `await using` it stops by itself.
 *  @throws {DuplicateJob} {InvalidInput} as `createRuntime` does */
export async function testRuntime({ now, ...options }: TestRuntimeOptions): Promise<TestRuntime> {
  const clock = fakeClock(now);
  const runtime = createRuntime({
    grace: "0ms",
    ...options,
    store: memory({ now: () => clock.nowMs() }),
    clock,
    poll: "30s",
    lease: "5m",
    sweep: "1m",
  });
  const forget = configured(runtime.store);
  await runtime.start();
  const halt = runtime.stop.bind(runtime);
  const stop: Runtime["stop"] = async (stopping) => {
    forget();
    await ticking(clock, halt(stopping));
  };
  return Object.assign(runtime, {
    clock,
    advance: (by: DurationText) => advance(runtime, clock, toMs(by)),
    idle: () => idle(runtime, clock),
    stop,
    [Symbol.asyncDispose]: () => stop(),
  });
}

async function advance(runtime: Runtime, clock: FakeClock, byMs: number): Promise<void> {
  const endMs = clock.nowMs() + byMs;
  for (;;) {
    const live = await quiet(runtime, clock);
    const left = endMs - clock.nowMs();
    if (left <= 0) return;
    const due = [await nextTick(runtime), ...live.map(({ dueAt }) => dueAt.getTime())];
    const soonest = Math.min(endMs, ...due.filter((ms) => ms > clock.nowMs()));
    const empty = runtime.stats().busy === 0 ? soonest - clock.nowMs() - pollMs : 0;
    if (empty > 0) clock.jump(Math.min(empty, left));
    else clock.advance(Math.min(left, Math.max(0, clock.nextMs() - clock.nowMs())));
  }
}

/** When the next schedule is due; epoch ms, Infinity if none is. */
async function nextTick({ store }: Runtime): Promise<number> {
  const { due, next } = await store.ticks.due({ node: 0, aheadMs: 0, limit: 1 });
  return due[0]?.nextMs ?? next?.atMs ?? Infinity;
}

/** Gives what is due its turns of the event loop, but no more than it can use. Answers the runs that are live. */
async function quiet(runtime: Runtime, clock: FakeClock): Promise<readonly Run[]> {
  for (let turns = 1; ; turns++) {
    for (let i = 0; i < 5; i++) await turn();
    const live = await liveRuns(runtime);
    if (turns === 5 || (await stirring(runtime, clock, live)).length === 0) return live;
  }
}

async function idle(runtime: Runtime, clock: FakeClock): Promise<void> {
  const end = performance.now() + patienceMs;
  for (;;) {
    const [run] = await stirring(runtime, clock, await quiet(runtime, clock));
    if (!run && runtime.stats().busy === 0) return;
    if (performance.now() > end)
      throw new WaitTimeout(run ? `the end of run "${run.id}" of job "${run.job}"` : "the end of a handler", "10s");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Runs that are due, and that nothing keeps from starting and ending. */
async function stirring(runtime: Runtime, clock: FakeClock, live: readonly Run[]): Promise<readonly Run[]> {
  const jobs = new Set(runtime.jobs().map(({ id }) => id));
  const paused = new Set(
    (await queuesOf(async () => runtime.store).list()).filter((queue) => queue.paused).map(({ name }) => name),
  );
  return live.filter(
    (run) =>
      run.dueAt.getTime() <= clock.nowMs() && jobs.has(run.job) && (run.status !== "pending" || !paused.has(run.queue)),
  );
}

async function liveRuns({ store }: Runtime): Promise<readonly Run[]> {
  const runs: Run[] = [];
  for await (const run of runsOf(async () => store).each({ status: ["pending", "leased", "running"], hooks: true }))
    runs.push(run);
  return runs;
}

/** Moves the clock for work that waits for it, a millisecond a turn. */
async function ticking(clock: FakeClock, work: Promise<void>): Promise<void> {
  let over = false;
  const done = work.finally(() => (over = true));
  while (!over) {
    for (let i = 0; i < 5 && !over; i++) await turn();
    if (!over) clock.advance(1);
  }
  await done;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
