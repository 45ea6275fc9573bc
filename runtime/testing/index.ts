/** For tests of jobs: a runtime on a store in memory, with a clock that the test moves. */
import { configured } from "../../sdk/client/config.ts";
import { parseId } from "../../sdk/port/id.ts";
import type { DurationText } from "../../sdk/port/duration.ts";
import { checkTx } from "../../sdk/client/option.ts";
import { runsOf, type RunRef } from "../../sdk/client/runs.ts";
import type { RunHandle } from "../../sdk/client/handle.ts";
import { completeOf, signalOf, type SignalOf } from "../../sdk/client/signal.ts";
import type { EventSpec } from "../../sdk/define/event.ts";
import type { Runtime } from "../runtime.ts";
import type { RuntimeOptions } from "../setting.ts";
import { fakeClock, type FakeClock } from "./clock.ts";
import { Stage } from "./stage.ts";
import { stepsOf, type Step } from "./step.ts";
import { ticking } from "./turn.ts";

export { replay, type Replayed, type ReplayOptions } from "./replay.ts";
export { fakeClock, type FakeClock };
export type { Step };

export interface TestRuntimeOptions extends Omit<RuntimeOptions, "store" | "clock" | "poll" | "lease" | "sweep"> {
  /** What the clock shows first; 2030-01-01 by default. */
  readonly now?: string | Date | undefined;
  /** Each attempt at a workflow ends after a step, and the next one replays it. A handler that does not ask for the same steps each time is found:
   *  `idle` and `advance` throw what it was parked for. */
  readonly alwaysReplay?: boolean | undefined;
  /** Stands for a transaction, such as a fake client: `ctx.tx` gives it to handlers, and does not touch their database. What is triggered or sent with
   *  it as `tx` takes effect at once. Without it, `ctx.tx` runs a transaction of the database that the handler names, and the journal, which is in
   *  memory, is no part of that. */
  readonly tx?: object | undefined;
}

export interface TestRuntime extends Runtime, AsyncDisposable {
  readonly clock: FakeClock;
  /** Moves the clock, running on the way what falls due, each run at its instant: sleeps, time limits of waits, retries of steps and runs, schedules.
   *  Handlers that wait for something real are not waited for. */
  advance(by: DurationText): Promise<void>;
  /** Waits until nothing that is due waits or runs; what sleeps, or waits for a signal, is not waited for. Patient for 10 s of real time.
   *  @throws {WaitTimeout} naming a run that does not end */
  idle(): Promise<void>;
  /** Sends an event to a run, as `signal` does, and lets it go on as far as it can without time.
   *  @throws as `signal` */
  signal<const E extends EventSpec | string>(
    run: RunRef | Pick<RunHandle, "id">,
    event: E,
    payload: SignalOf<E>,
  ): Promise<void>;
  /** Answers a token, as `complete` does, and lets its run go on as far as it can without time.
   *  @throws as `complete` */
  complete(token: string, payload?: unknown): Promise<void>;
  /** The node dies, as by `kill -9`, and another one goes on: what it held is taken back, what it had not written is lost. Code of a handler that is
   *  under way can't be stopped, but gets no answer any more. */
  crash(): Promise<void>;
  /** As `crash`, later: the node writes so many times more, and dies before the next time. */
  crashAfter(writes: number): void;
  /** How often nodes have written so far: starts, journals, and what runs came to. */
  readonly writes: number;
  /** What a run did in steps, in the order in which they ended; a step that failed and is to be tried again counts. */
  steps(run: RunRef | Pick<RunHandle, "id">): Promise<readonly Step[]>;
}

/** Makes and starts a runtime for tests. Until it stops, `trigger` of this process goes to it. With `await using` it stops by itself.
 *  @throws {DuplicateJob} {InvalidInput} as `createRuntime` does */
export async function testRuntime(options: TestRuntimeOptions): Promise<TestRuntime> {
  const { now, alwaysReplay = false, tx, jobs = [], ...rest } = options;
  checkTx(tx);
  const stage = new Stage(fakeClock(now), rest, jobs, { replays: alwaysReplay, tx });
  const { target } = stage;
  const open = (): Promise<typeof target> => Promise.resolve(target);
  const forget = configured(target);
  await stage.runtime.start();
  const stop: Runtime["stop"] = async (stopping) => {
    forget();
    await ticking(stage.clock, stage.runtime.stop(stopping));
  };
  return {
    start: () => stage.runtime.start(),
    register: (job) => stage.register(job),
    unregister: (id) => stage.runtime.unregister(id),
    jobs: () => stage.jobs(),
    resize: (slots) => stage.runtime.resize(slots),
    stats: () => stage.runtime.stats(),
    measure: (meter) => stage.runtime.measure(meter),
    get state() {
      return stage.runtime.state;
    },
    get alive() {
      return stage.runtime.alive;
    },
    get events() {
      return stage.runtime.events;
    },
    get store() {
      return stage.runtime.store;
    },
    clock: stage.clock,
    advance: (by) => stage.advance(by),
    idle: () => stage.idle(),
    async signal(run, event, payload) {
      await signalOf(open)(run, event, payload);
      await stage.quiet();
    },
    async complete(token, payload) {
      await completeOf(open)(token, payload);
      await stage.quiet();
    },
    crash: () => stage.crash(),
    crashAfter: (writes) => stage.crashAfter(writes),
    get writes() {
      return stage.writes;
    },
    async steps(run) {
      const ref = typeof run === "object" && "id" in run ? run.id : run;
      const { id } = await runsOf(open).need(ref);
      return stepsOf(await target.flow.read(parseId(id)));
    },
    stop,
    [Symbol.asyncDispose]: () => stop(),
  };
}
