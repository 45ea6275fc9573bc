/** What is read at a scrape. */
import { codeOf } from "../../sdk/define/signal.ts";
import type { Open } from "../../sdk/client/config.ts";
import type { NodeStat, QueueStat, Stats } from "../../sdk/port/target.ts";
import type { Runtime } from "../runtime.ts";
import { Family, type About, type Sample } from "./family.ts";
import { most, others } from "./tally.ts";

/** How long an answer of the store counts, and how long a scrape waits for one; ms. */
const freshMs = 5000;
const patienceMs = 2000;
/** How often the event loop is looked at; ms. */
const lookMs = 50;

/** How busy a process is. The event loop is looked at from `start` on, until what that answers is called. */
export function busyness(runtime: Runtime): { readonly families: readonly Family[]; start(): () => void } {
  const delay = new Delay();
  const one = (name: string, help: string, read: () => number, aggregator?: "max"): Family =>
    new Family({ ...gauge(name, help), ...(aggregator && { aggregator }) }, () => [{ labels: {}, value: read() }]);
  const families = [
    new Family(gauge("tasker_worker_slots", "How many runs may run at once in this process: taken, and free"), () => {
      const { slots, busy } = runtime.stats();
      return [
        { labels: { state: "busy" }, value: busy },
        { labels: { state: "free" }, value: Math.max(0, slots - busy) },
      ];
    }),
    one("tasker_heap_size", "Runs that this process has leased and not started", () => runtime.stats().heap),
    one(
      "tasker_heap_head_lag_seconds",
      "How long the run that has been due here longest waits for a slot",
      () => runtime.stats().lagMs / 1000,
      "max",
    ),
    one(
      "tasker_event_loop_lag_seconds",
      "The longest time for which the event loop was blocked since the last scrape",
      () => delay.take() / 1000,
      "max",
    ),
  ];
  return { families, start: () => delay.start() };
}

/** The longest delay of the event loop since it was taken. Node's own monitor forgets what it is in the midst of when it is reset. */
class Delay {
  #ms = 0;
  #lookedAt = 0;

  start(): () => void {
    this.#lookedAt = performance.now();
    const timer = setInterval(() => this.#look(), lookMs);
    timer.unref();
    return () => clearInterval(timer);
  }

  take(): number {
    this.#look();
    const ms = this.#ms;
    this.#ms = 0;
    return ms;
  }

  #look(): void {
    const now = performance.now();
    this.#ms = Math.max(this.#ms, now - this.#lookedAt - lookMs);
    this.#lookedAt = now;
  }
}

/** What the store says, whoever reads it: read at most every five seconds, however many scrape. */
export function depths(open: Open): readonly Family[] {
  const read = reader(open);
  const of = (name: string, help: string, samples: (stats: Stats) => readonly Sample[]): Family =>
    new Family({ ...gauge(name, help), aggregator: "first" }, async () => {
      const stats = await read();
      return stats && stats !== "uncounted" ? samples(stats) : [];
    });
  return [
    new Family({ ...gauge("tasker_store_up", "Whether the store answers"), aggregator: "first" }, async () => [
      { labels: {}, value: (await read()) ? 1 : 0 },
    ]),
    of(
      "tasker_queue_depth",
      "Runs by queue: ready, delayed, leased; counted up to 10,000 a job and priority",
      (stats) =>
        byQueue(stats, (queue, lanes) =>
          (["ready", "delayed", "leased"] as const).map((state) => ({
            labels: { queue, state },
            value: lanes.reduce((sum, lane) => sum + lane[state], 0),
          })),
        ),
    ),
    of("tasker_queue_oldest_ready_age_seconds", "How long the oldest due run of a queue waits for a process", (stats) =>
      byQueue(stats, (queue, lanes) => {
        const since = Math.min(...lanes.map(({ readyAt }) => readyAt?.getTime() ?? Infinity), stats.at.getTime());
        return [{ labels: { queue }, value: (stats.at.getTime() - since) / 1000 }];
      }),
    ),
    of("tasker_queue_paused", "1 for a paused queue", ({ queues }) =>
      queues.slice(0, most).map(({ name, paused }) => ({ labels: { queue: name }, value: paused ? 1 : 0 })),
    ),
    of("tasker_nodes", "Processes that share the store; dead: in the last ten minutes", ({ nodes }) =>
      states.map((state) => ({
        labels: { state },
        value: nodes.filter((node) => stateOf(node) === state).length,
      })),
    ),
  ];
}

/** The counts of a store, if it has any. */
type Answer = Stats | "uncounted";

/** Reads the counts of a store; null while it does not answer. */
function reader(open: Open): () => Promise<Answer | null> {
  let known: { readonly stats: Stats; readonly atMs: number } | null = null;
  let asking: Promise<Answer | null> | null = null;
  const ask = async (): Promise<Answer | null> => {
    try {
      const stats = await (await open()).find.stats({ look: false });
      known = { stats, atMs: performance.now() };
      return stats;
    } catch (error) {
      return codeOf(error) === "NOT_SUPPORTED" ? "uncounted" : null;
    }
  };
  return () => {
    if (known && performance.now() - known.atMs < freshMs) return Promise.resolve(known.stats);
    asking ??= ask().finally(() => (asking = null));
    return orNull(asking);
  };
}

/** What it comes to, or null if that takes too long. */
async function orNull<T>(work: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), patienceMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What is to be said of each queue and its lanes. Past a thousand, the rest is one. */
function byQueue(
  { queues, lanes }: Stats,
  say: (queue: string, lanes: readonly QueueStat[]) => readonly Sample[],
): readonly Sample[] {
  const all = new Map<string, QueueStat[]>(queues.map(({ name }) => [name, []]));
  for (const lane of lanes) {
    const own = all.get(lane.queue);
    if (own) own.push(lane);
    else all.set(lane.queue, [lane]);
  }
  const list = [...all];
  const samples = list.slice(0, most).flatMap(([queue, own]) => say(queue, own));
  return list.length > most
    ? [
        ...samples,
        ...say(
          others,
          list.slice(most).flatMap(([, own]) => own),
        ),
      ]
    : samples;
}

const states = ["live", "asleep", "draining", "dead"] as const;

function stateOf({ alive, asleep, draining }: NodeStat): (typeof states)[number] {
  if (!alive) return "dead";
  return draining ? "draining" : asleep ? "asleep" : "live";
}

function gauge(name: string, help: string): About {
  return { name, help, type: "gauge" };
}
