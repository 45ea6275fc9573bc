import { chunked, load, type Contender, type Payload, type Place, type Session } from "../contender.ts";

interface Bulk {
  readonly name: string;
  readonly data: Payload;
  readonly opts?: { readonly delay: number };
}
interface Queue {
  waitUntilReady(): Promise<unknown>;
  add(name: string, data: Payload): Promise<unknown>;
  addBulk(jobs: readonly Bulk[]): Promise<unknown>;
  close(): Promise<void>;
  on(event: "error", listener: () => void): void;
}
interface Worker {
  waitUntilReady(): Promise<unknown>;
  close(): Promise<void>;
  on(event: "error", listener: () => void): void;
}
interface Classes {
  Queue: new (name: string, options: object) => Queue;
  Worker: new (name: string, handler: (job: { readonly data: Payload }) => Promise<void>, options: object) => Worker;
}
interface Library extends Classes {
  createPostgresBackend: unknown;
  withBackend(factory: unknown): Classes;
}

/** On Redis one worker of 100; `postgres`, its own Postgres backend, one of 8 with a pool of 24. `default`: one job at a time. */
export const { open }: Contender = {
  async open(place, variant) {
    const library = await load<Library>("bullmq");
    if (variant?.startsWith("postgres"))
      return session(library.withBackend(library.createPostgresBackend), {
        connection: { connectionString: place.url, max: 24, migrate: true },
        concurrency: 8,
      });
    return session(library, { connection: redis(place), concurrency: variant === "default" ? 1 : 100 });
  },
};

function redis({ redisPort }: Place): object {
  if (redisPort === null) throw new Error("no redis-server was found");
  return { host: "127.0.0.1", port: redisPort, maxRetriesPerRequest: null };
}

function session(
  { Queue, Worker }: Classes,
  { connection, concurrency }: { readonly connection: object; readonly concurrency: number },
): Session {
  let queue: Queue | null = null;
  let worker: Worker | null = null;
  const adding = (): Queue => {
    if (queue) return queue;
    queue = new Queue("noop", { connection });
    queue.on("error", () => undefined);
    return queue;
  };
  const bulk = (payloads: readonly Payload[], toJob: (data: Payload) => Bulk): Promise<void> =>
    chunked(payloads, { size: 1000 }, (slice) => adding().addBulk(slice.map(toJob)));
  return {
    install: async () => void (await adding().waitUntilReady()),
    add: (payload) => adding().add("noop", payload),
    addMany: (payloads) => bulk(payloads, (data) => ({ name: "noop", data })),
    addAt: (payloads) =>
      bulk(payloads, (data) => ({ name: "noop", data, opts: { delay: Math.max(0, data.t - Date.now()) } })),
    async work(handle) {
      worker = new Worker("noop", async ({ data }) => handle(data), { connection, concurrency });
      worker.on("error", () => undefined);
      await worker.waitUntilReady();
    },
    async close() {
      await worker?.close();
      await queue?.close();
    },
  };
}
