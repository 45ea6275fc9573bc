/** A runtime on a store in memory, with a clock that stands still until a test moves it. */
import { onTestFinished } from "vitest";
import { z } from "zod";
import { defineJob } from "../../sdk/job.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import type { NewRun, RunRecord } from "../../sdk/port/target.ts";
import type { Logger } from "../../runtime/core/log.ts";
import { createRuntime, type Runtime } from "../../runtime/runtime.ts";
import type { RuntimeOptions } from "../../runtime/setting.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import type { Runs, Guarded } from "../../runtime/store/port.ts";
import { fakeClock, type FakeClock } from "../../runtime/testing/clock.ts";
import { addOne } from "../kit/build.ts";

export interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Bench {
  readonly runtime: Runtime;
  readonly clock: FakeClock;
  readonly store: Guarded;
  readonly lines: Line[];
  /** Adds a run of job `job` from outside, and lets the runtime take note. */
  add(run?: Partial<NewRun>): Promise<number>;
  get(id: number): Promise<RunRecord>;
  /** Moves the clock, in steps of at most a second; the runtime takes note of each. */
  pass(ms: number): Promise<void>;
  stop(): Promise<void>;
}

type Options = Omit<RuntimeOptions, "store" | "clock" | "logger">;

/** Makes a runtime and starts it. `store` wraps the memory store, to let it fail. */
export async function aBench(options: Options, wrap: (store: Guarded) => Guarded = (store) => store): Promise<Bench> {
  const bench = idleBench(options, wrap);
  await bench.runtime.start();
  await turns();
  return bench;
}

/** Makes a runtime that is not started yet. */
export function idleBench(
  options: Options,
  wrap: (store: Guarded) => Guarded = (store) => store,
  clock = fakeClock(),
): Bench {
  const store = memory({ now: () => clock.nowMs() });
  const lines: Line[] = [];
  const runtime = createRuntime({ ...options, store: wrap(store), clock, logger: recorder(lines) });
  const stop = (): Promise<void> => moving(clock, runtime.stop({ grace: "0ms" }));
  onTestFinished(stop);
  return {
    runtime,
    clock,
    store,
    lines,
    stop,
    async add(run = {}) {
      const id = await addOne(store, run);
      await turns();
      return id;
    },
    async get(id) {
      const run = await store.find.get(id);
      if (!run) throw new Error(`run ${id} is not there`);
      return run;
    },
    async pass(ms) {
      for (let left = ms; left > 0; left -= 1000) {
        clock.advance(Math.min(1000, left));
        await turns();
      }
    },
  };
}

/** Moves a clock, a millisecond a turn, until the work is done. */
export async function moving<T>(clock: FakeClock, work: Promise<T>, stepMs = 1): Promise<T> {
  let over = false;
  const done = work.finally(() => (over = true));
  while (!over) {
    await turns(3);
    if (!over) clock.advance(stepMs);
  }
  return done;
}

/** Turns of the event loop: enough for all that needs no clock. */
export async function turns(count = 12): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

type Handler = JobSpec["handler"];

/** A job that takes anything. No jitter, so that instants are known. */
export function aJob(
  handler: Handler,
  overrides: Partial<Parameters<typeof defineJob>[0]> & { readonly id?: string } = {},
): JobSpec {
  return defineJob({
    id: "job",
    schema: z.any(),
    retry: { attempts: 3, delay: "1s", jitter: false },
    handler,
    ...overrides,
  });
}

/** The store with some of its `runs` port replaced. */
export function withRuns(store: Guarded, change: (runs: Runs) => Partial<Runs>): Guarded {
  return { ...store, runs: { ...store.runs, ...change(store.runs) } };
}

/** A promise that a test settles. */
export function deferred<T = void>(): {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
} {
  return Promise.withResolvers ? Promise.withResolvers<T>() : made<T>();
}

function made<T>(): ReturnType<typeof deferred<T>> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

function recorder(lines: Line[]): Logger {
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, message, fields: { ...fields } });
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}
