import { chunked, load, type Contender, type Payload } from "../contender.ts";

interface Spec {
  readonly identifier: string;
  readonly payload: Payload;
  readonly runAt?: Date;
}
interface Utils {
  migrate(): Promise<void>;
  addJob(identifier: string, payload: Payload): Promise<unknown>;
  addJobs(specs: readonly Spec[]): Promise<unknown>;
  release(): Promise<void>;
}
interface Library {
  Logger: new (factory: () => () => void) => unknown;
  WorkerPreset: unknown;
  makeWorkerUtils(options: object): Promise<Utils>;
  run(options: object): Promise<{ stop(): Promise<void> }>;
}

/** For throughput the project's own performance preset, wider: a local queue of 2000 and batched completions. For latency: no local queue,
 *  polls each 100 ms. `default`: as it comes, one job at a time. */
function settings(goal: "rate" | "latency", variant: string | null): object {
  if (variant === "default") return {};
  if (goal === "latency") return { concurrentJobs: 100, maxPoolSize: 25, pollInterval: 100 };
  return {
    concurrentJobs: 100,
    maxPoolSize: 25,
    localQueue: { size: 2000, refetchDelay: { durationMs: 10 } },
    completeJobBatchDelay: 10,
    failJobBatchDelay: 10,
  };
}

export const { open }: Contender = {
  async open(place, variant) {
    const { Logger, WorkerPreset, makeWorkerUtils, run } = await load<Library>("graphile-worker");
    const logger = new Logger(() => () => undefined);
    const preset = {
      extends: [WorkerPreset],
      worker: { connectionString: place.url, logger, ...settings(place.goal, variant) },
    };
    let utils: Utils | null = null;
    const adding = async (): Promise<Utils> => (utils ??= await makeWorkerUtils({ preset }));
    let runner: { stop(): Promise<void> } | null = null;
    return {
      install: async () => (await adding()).migrate(),
      add: async (payload) => (await adding()).addJob("noop", payload),
      async addMany(payloads) {
        const to = await adding();
        await chunked(payloads, { size: 1000 }, (slice) =>
          to.addJobs(slice.map((payload) => ({ identifier: "noop", payload }))),
        );
      },
      async addAt(payloads) {
        const to = await adding();
        await chunked(payloads, { size: 1000 }, (slice) =>
          to.addJobs(slice.map((payload) => ({ identifier: "noop", payload, runAt: new Date(payload.t) }))),
        );
      },
      async work(handle) {
        const taskList = { noop: (payload: Payload) => handle(payload) };
        runner = await run({ preset, taskList, noHandleSignals: true, parsedCronItems: [] });
      },
      async close() {
        await runner?.stop();
        await utils?.release();
      },
    };
  },
};
