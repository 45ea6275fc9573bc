import { chunked, load, type Contender, type Payload } from "../contender.ts";

interface Boss {
  on(event: "error" | "warning", listener: () => void): void;
  start(): Promise<unknown>;
  stop(options: object): Promise<void>;
  createQueue(name: string, options?: object): Promise<void>;
  send(name: string, data: Payload): Promise<unknown>;
  insert(name: string, jobs: readonly { readonly data: Payload; readonly startAfter?: Date }[]): Promise<unknown>;
  work(
    name: string,
    options: object,
    handler: (jobs: readonly { readonly data: Payload }[]) => Promise<void>,
  ): Promise<unknown>;
}
interface Library {
  PgBoss: new (options: object) => Boss;
}

/** Batches of 1000 by two fetchers, woken by NOTIFY; polls at the least interval that it takes. `default`: as it comes. */
export const { open }: Contender = {
  async open(place, variant) {
    const { PgBoss } = await load<Library>("pg-boss");
    const tuned = variant !== "default";
    const boss = new PgBoss({ connectionString: place.url, ...(tuned && { useListenNotify: true }) });
    boss.on("error", () => undefined);
    boss.on("warning", () => undefined);
    let starting: Promise<unknown> | null = null;
    const started = (): Promise<unknown> => (starting ??= boss.start());
    const rate = { batchSize: 1000, localConcurrency: 2, burstWhenBatchFull: true };
    const quick = { batchSize: 100, localConcurrency: 4, burstWhenBatchFull: true };
    const poll = { pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5 };
    const options = tuned ? { ...(place.goal === "rate" ? rate : quick), ...poll } : {};
    return {
      async install() {
        await started();
        await boss.createQueue("noop", tuned ? { notify: true } : {});
      },
      async add(payload) {
        await started();
        await boss.send("noop", payload);
      },
      async addMany(payloads) {
        await started();
        await chunked(payloads, { size: 5000 }, (slice) =>
          boss.insert(
            "noop",
            slice.map((data) => ({ data })),
          ),
        );
      },
      async addAt(payloads) {
        await started();
        await chunked(payloads, { size: 5000 }, (slice) =>
          boss.insert(
            "noop",
            slice.map((data) => ({ data, startAfter: new Date(data.t) })),
          ),
        );
      },
      async work(handle) {
        await started();
        await boss.work("noop", options, async (jobs) => {
          for (const { data } of jobs) handle(data);
        });
      },
      async close() {
        if (starting) await boss.stop({ graceful: true, timeout: 3000 });
      },
    };
  },
};
