/** A process of its own in a growth test: a worker or a producer. It reads its `Role` from the environment, says "up", answers each
 *  "report" with what it saw since the last one, each "signals" and "heap", and ends at "stop". */
import { createRequire } from "node:module";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { z } from "zod";
import { createRuntime, postgres, type Guarded } from "../../runtime/index.ts";
import { close, configure, defineJob } from "../../sdk/index.ts";
import { quantile } from "./measure.ts";

export interface Role {
  readonly role: "work" | "produce";
  readonly url: string;
  readonly schema: string;
  readonly slots?: number;
  /** Runs a second of a producer, whether or not earlier ones have been answered. */
  readonly rate?: number;
}

/** What a process saw since its last report; times in ms, NaN where nothing was seen. */
export interface Report {
  /** Runs triggered (and answered), or handled. */
  readonly count: number;
  /** Triggers that nobody has answered yet, and those that failed. */
  readonly open: number;
  readonly failed: number;
  readonly claims: number;
  readonly claimP50: number;
  readonly claimP99: number;
  /** Producer: from call to answer. Worker: from call of `trigger` to start of the handler. */
  readonly p50: number;
  readonly p99: number;
  readonly rssMb: number;
  readonly loopP99: number;
  readonly loopMax: number;
  /** Longest pause between two beats, and longest beat. */
  readonly beatGap: number;
  /** Statements by name. */
  readonly statements: Readonly<Record<string, number>>;
}

/** What the handlers of `long` saw since the start. */
export interface Signals {
  /** How many of them run. */
  readonly running: number;
  /** When their signals aborted, epoch ms. */
  readonly aborted: readonly number[];
}

/** Epoch ms with a fraction; the same clock for all processes of a machine. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now();
}

export const schema = z.object({ to: z.string(), sentAt: z.number() });
/** What a run carries: about as much as a small job does. */
export const payload = (): z.infer<typeof schema> => ({ to: "someone@example.com", sentAt: wallMs() });

let count = 0;
let open = 0;
let failed = 0;
let beatAt = Number.NaN;
let beatGap = 0;
const claimMs: number[] = [];
const tookMs: number[] = [];
const aborted: number[] = [];
let running = 0;
let statements: Record<string, number> = {};
const delay = monitorEventLoopDelay({ resolution: 1 });

function report(): Report {
  const taken: Report = {
    ...{ count, open, failed, beatGap, statements, claims: claimMs.length },
    ...{ claimP50: quantile(claimMs, 0.5), claimP99: quantile(claimMs, 0.99) },
    ...{ p50: quantile(tookMs, 0.5), p99: quantile(tookMs, 0.99), rssMb: process.memoryUsage().rss / 2 ** 20 },
    ...{ loopP99: delay.percentile(99) / 1e6, loopMax: delay.max / 1e6 },
  };
  [count, failed, beatGap, statements] = [0, 0, 0, {}];
  claimMs.length = tookMs.length = 0;
  delay.reset();
  return taken;
}

/** Counts what the store sends, by the statement's name. The driver is the one that the runtime loads. */
function countStatements(): void {
  const load = createRequire(new URL("../../runtime/index.ts", import.meta.url));
  const { Client } = load("pg") as { Client: { prototype: { query: (...values: unknown[]) => unknown } } };
  const { query } = Client.prototype;
  Client.prototype.query = function (this: unknown, ...values: unknown[]) {
    const config = values[0] as string | { readonly name?: string; readonly text?: string };
    const name = typeof config === "string" ? config : (config.name ?? config.text ?? "?");
    const short = name.trim().slice(0, 40);
    statements[short] = (statements[short] ?? 0) + 1;
    return query.apply(this, values);
  };
}

/** The store, with claims and beats timed. */
function timed(store: Guarded): Guarded {
  return {
    ...store,
    runs: {
      ...store.runs,
      async lease(claim) {
        const sentAt = performance.now();
        const claimed = await store.runs.lease(claim);
        claimMs.push(performance.now() - sentAt);
        return claimed;
      },
    },
    nodes: {
      ...store.nodes,
      beat(...values) {
        const now = performance.now();
        if (beatAt > 0) beatGap = Math.max(beatGap, now - beatAt);
        beatAt = now;
        return store.nodes.beat(...values);
      },
    },
  };
}

const noop = defineJob({
  id: "noop",
  schema,
  handler: ({ sentAt }) => {
    count++;
    tookMs.push(wallMs() - sentAt);
  },
});

/** Runs until it is canceled. */
const long = defineJob({
  id: "long",
  schema,
  handler: (_, { signal }) =>
    new Promise<void>((resolve) => {
      running++;
      signal.addEventListener("abort", () => {
        aborted.push(wallMs());
        running--;
        resolve();
      });
    }),
});

const sleeper = defineJob({ id: "sleeper", schema, handler: (_, ctx) => ctx.sleep("30d") });

function heapMb(): number {
  (globalThis as { gc?: () => void }).gc!();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

async function work({ url, schema: name, slots }: Role): Promise<() => Promise<void>> {
  const runtime = createRuntime({ store: timed(postgres({ url, schema: name })), jobs: [noop, long, sleeper], slots });
  await runtime.start();
  return () => runtime.stop({ grace: "5s" });
}

/** Open loop: what is due by the clock is sent, however late the answers are. */
async function produce({ url, schema: name, rate = 1000 }: Role): Promise<() => Promise<void>> {
  configure({ store: postgres({ url, schema: name }) });
  await noop.trigger(payload());
  const startedAt = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    for (const due = ((performance.now() - startedAt) / 1000) * rate; sent < due; sent++) void one();
  }, 2);
  return async () => {
    clearInterval(timer);
    while (open > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await close();
  };
}

async function one(): Promise<void> {
  const sentAt = performance.now();
  open++;
  try {
    await noop.trigger(payload());
    count++;
    tookMs.push(performance.now() - sentAt);
  } catch {
    failed++;
  } finally {
    open--;
  }
}

if (process.env["TASKER_GROWTH"]) {
  const role = JSON.parse(process.env["TASKER_GROWTH"]) as Role;
  countStatements();
  const stop = role.role === "work" ? await work(role) : await produce(role);
  delay.enable();
  process.on("message", (word) => {
    if (word === "report") process.send!(report());
    else if (word === "signals") process.send!({ running, aborted } satisfies Signals);
    else if (word === "heap") process.send!(heapMb());
    else void stop().then(() => process.exit(0));
  });
  process.on("disconnect", () => process.exit(1)); // nobody is left to report to
  process.send!("up");
}
