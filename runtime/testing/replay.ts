import { inRuntime } from "../../sdk/client/scope.ts";
import type { Context } from "../../sdk/define/context.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import { WaitTimeout } from "../../sdk/port/error.ts";
import type { History } from "../../sdk/client/history.ts";
import { parseId } from "../../sdk/port/id.ts";
import { revive } from "../../sdk/port/text.ts";
import { createRuntime } from "../runtime.ts";
import { memory } from "../store/memory/index.ts";
import type { Guarded, Lease, Outcome, Released } from "../store/port.ts";
import { fakeClock } from "./clock.ts";
import { ticking, turns } from "./turn.ts";

export interface ReplayOptions {
  /** What the job's services and middleware would add to `ctx`; they are not opened then. */
  readonly context?: object | undefined;
}

/** What new code makes of an old journal. */
export interface Replayed {
  /** Why the run would be parked: names the entry of the journal, and what the code asks for instead, with both places. Null if the code asks for all
   *  that the journal has. */
  readonly diverged: Error | null;
  /** What the handler threw, if it did. */
  readonly error: Error | null;
}

const patienceMs = 10_000;
const never = new Promise<never>(() => undefined);

/** Runs the handler of a job against the journal of a run that `runs.history` exported. Steps answer what they answered then, and none is called; the
 *  replay is over where the journal ends. What the handler triggers beside steps goes nowhere.
 *  @throws {WaitTimeout} if the handler waits for something that is not durable for longer than 10 s */
export async function replay(history: History, job: JobSpec, options: ReplayOptions = {}): Promise<Replayed> {
  const lastMs = history.entries.at(-1)?.atMs ?? Date.parse(history.run.createdAt);
  const clock = fakeClock(new Date(lastMs));
  let ended: Replayed | null = null;
  const end = (outcome: Outcome | Released | null): void => {
    const error = outcome && "error" in outcome && outcome.error ? revive(outcome.error) : null;
    const isParked = outcome?.to === "waiting" && outcome.reason === "parked";
    ended ??= isParked ? { diverged: error, error: null } : { diverged: null, error };
  };
  const runtime = createRuntime({
    store: replaying(history, () => clock.nowMs(), end),
    jobs: [silenced(job, options, () => end(null))],
    ...{ clock, grace: "0ms", poll: "30s", lease: "5m", steps: Number.MAX_SAFE_INTEGER },
  });
  const until = performance.now() + patienceMs;
  await runtime.start();
  try {
    for (let round = 1; ; round++) {
      await turns();
      if (ended) return ended;
      if (performance.now() > until) throw new WaitTimeout(`the replay of run "${history.run.id}"`, "10s");
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (round % 20 === 0) clock.advance("1s"); // for short sleeps, and for the engine to lose its patience
    }
  } finally {
    await ticking(clock, runtime.stop());
  }
}

/** A store that has one run, with its journal. `end` hears what becomes of that, or null if it goes on beyond its journal. */
function replaying(
  { run, entries }: History,
  now: () => number,
  end: (outcome: Outcome | Released | null) => void,
): Guarded {
  const store = memory({ now });
  let lease: Lease | null = { ...leaseOf(run), dueMs: now() };
  return {
    ...store,
    runs: {
      ...store.runs,
      lease: async () => {
        const leases = lease ? [lease] : [];
        lease = null;
        return { leases, nowMs: now() };
      },
      settle: async (batch) => {
        for (const { outcome } of batch) end(outcome);
        return batch.map(() => "settled");
      },
      hold: async () => [],
      note: async () => [],
    },
    flow: {
      ...store.flow,
      load: async (batch) =>
        batch.map(({ after }) => ({
          entries: entries.filter(({ n }) => n > after),
          inbox: entries.length,
          waited: null,
        })),
      record: () => {
        end(null);
        return never;
      },
    },
  };
}

function leaseOf(run: History["run"]): Omit<Lease, "dueMs"> {
  const { job, queue, priority, attempt, input, tags, key, options } = run;
  return {
    ...{ id: parseId(run.id), token: 2, job, queue, priority, attempt, input, tags, key, options },
    ...{ createdMs: Date.parse(run.createdAt), expiresMs: null, spent: 0, crashes: 0, canceling: false },
  };
}

/** The job, but for what it does beside its handler, and without its steps: the first one that the journal does not have is told. */
function silenced(job: JobSpec, { context }: ReplayOptions, told: () => void): JobSpec {
  const step = () => {
    told();
    return never;
  };
  const nowhere = memory();
  const handler: JobSpec["handler"] = (payload, ctx) =>
    inRuntime(nowhere, () => job.handler(payload, stepless(ctx, step, context)));
  return Object.create(job, {
    handler: { value: handler },
    hooks: { value: { ...job.hooks, onStart: null } },
    ...(context && { use: { value: [] } }),
  }) as JobSpec;
}

function stepless(ctx: Context, step: () => Promise<never>, context: object = {}): Context {
  return new Proxy(ctx, {
    get(_, name) {
      if (name === "step") return (key: string, __: unknown, ...options: []) => ctx.step(key, step, ...options);
      if (name === "tx") return (__: unknown, fn: () => unknown, ...options: []) => ctx.tx(step, fn, ...options);
      return Reflect.get(name in context ? context : ctx, name, ctx) as unknown; // its fields are private: it must be itself
    },
  });
}
