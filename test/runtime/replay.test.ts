/** Random workflows, whose nodes die at random writes: nothing is done twice once it was recorded, and all of them end alike. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob, type Context } from "../../sdk/index.ts";
import { signalOf } from "../../sdk/client/signal.ts";
import { decode } from "../../sdk/port/codec.ts";
import { formatId } from "../../sdk/port/id.ts";
import { createRuntime, type Runtime } from "../../runtime/runtime.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { fakeClock } from "../../runtime/testing/clock.ts";
import { turns } from "./kit.ts";

/** Which signals a wait takes: all, or by a schema or a match those with an even number. */
type Takes = "all" | "even" | "even later" | "even match";
type Node =
  | { readonly do: "step"; readonly name: string; readonly fails: number }
  | { readonly do: "sleep"; readonly ms: number }
  | { readonly do: "wait"; readonly event: string; readonly timeoutMs: number | null; readonly takes: Takes }
  | { readonly do: "child"; readonly n: number }
  | { readonly do: "seq" | "all" | "race" | "any" | "settled"; readonly of: readonly Node[] };

const leaf: fc.Arbitrary<Node> = fc.oneof(
  fc.record({
    do: fc.constant("step" as const),
    name: fc.constantFrom("a", "b", "c"),
    fails: fc.constantFrom(0, 0, 0, 1, 3),
  }),
  fc.record({ do: fc.constant("sleep" as const), ms: fc.constantFrom(0, 300, 5000, 60_000) }),
  fc.record({
    do: fc.constant("wait" as const),
    event: fc.constantFrom("x", "y"),
    timeoutMs: fc.constantFrom(null, 2000, 100_000),
    takes: fc.constantFrom<Takes>("all", "even", "even later", "even match"),
  }),
  fc.record({ do: fc.constant("child" as const), n: fc.nat(3) }),
);
const { node } = fc.letrec<{ node: Node }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    fc.record({
      do: fc.constantFrom("seq" as const, "all" as const, "race" as const, "any" as const, "settled" as const),
      of: fc.array(tie("node"), { minLength: 1, maxLength: 3 }),
    }),
  ),
}));

const isEven = (sent: unknown): boolean => typeof sent === "number" && sent % 2 === 0;
const taking = {
  even: { schema: z.unknown().refine(isEven) },
  "even later": { schema: z.unknown().refine(async (sent) => (await turns(2), isEven(sent))) },
  "even match": { match: isEven },
};

/** Notes each answer that a handler gets. */
async function traced(trace: string[], what: string, answer: Promise<unknown>): Promise<unknown> {
  return answer.then(
    (value) => (trace.push(`${what} ${JSON.stringify(value)}`), value),
    (error: Error) => {
      trace.push(`${what} ${error.message}`);
      throw error;
    },
  );
}

/** How often each step was run after a run of it had been recorded. */
interface Tally {
  readonly runs: Map<string, number>;
  count: number;
}

async function play(node: Node, ctx: Context, tally: Tally, trace: string[]): Promise<unknown> {
  const kids = (of: readonly Node[]): Promise<unknown>[] => of.map((kid) => play(kid, ctx, tally, trace));
  switch (node.do) {
    case "step":
      return traced(
        trace,
        node.name,
        ctx.step(node.name, ({ attempt, idempotencyKey }) => {
          const key = `${idempotencyKey} ${attempt}`;
          tally.runs.set(key, (tally.runs.get(key) ?? 0) + 1);
          if (attempt <= node.fails) throw new Error(`${node.name} ${attempt}`);
          return ++tally.count;
        }),
      );
    case "sleep":
      return traced(trace, `sleep ${node.ms}`, ctx.sleep(`${node.ms}ms`));
    case "wait": {
      const { event, timeoutMs, takes } = node;
      const how = takes === "all" ? {} : taking[takes];
      const wait =
        timeoutMs === null ? ctx.waitFor(event, how) : ctx.waitFor(event, { ...how, timeout: `${timeoutMs}ms` });
      return traced(trace, `${event} ${takes}`, wait);
    }
    case "child":
      return traced(
        trace,
        `child ${node.n}`,
        child.batchTriggerAndWait(Array.from({ length: node.n }, (_, i) => ({ payload: i }))),
      );
    case "seq": {
      const results: unknown[] = [];
      for (const kid of node.of) results.push(await play(kid, ctx, tally, trace));
      return results;
    }
    case "all":
      return Promise.all(kids(node.of));
    case "race":
      return Promise.race(kids(node.of));
    case "any":
      return Promise.any(kids(node.of));
    default:
      return (await Promise.allSettled(kids(node.of))).map((one) =>
        one.status === "fulfilled" ? one.value : (one.reason as Error).message,
      );
  }
}

const child = defineJob({
  id: "child",
  schema: z.number(),
  retry: { attempts: 1 },
  handler: (n) => {
    if (n === 2) throw new Error("two");
    return n;
  },
});

/** The store as a node sees it that dies at a write: from then on nothing is sent, or answered. */
function mortal(
  store: Guarded,
  dies: () => "before" | "after" | null,
): { readonly store: Guarded; readonly isDead: () => boolean } {
  let dead = false;
  const never = new Promise<never>(() => undefined);
  const cut =
    <A extends unknown[], T>(call: (...args: A) => Promise<T>, isWrite: boolean) =>
    async (...args: A): Promise<T> => {
      if (dead) return never;
      const kills = isWrite ? dies() : null;
      if (kills !== null) dead = true;
      if (kills === "before") return never;
      const answer = await call(...args);
      return dead ? never : answer;
    };
  const port = <P extends object>(of: P, writes: readonly string[]): P =>
    Object.fromEntries(
      Object.entries(of).map(([name, call]) => [
        name,
        cut(call as (...args: unknown[]) => Promise<unknown>, writes.includes(name)),
      ]),
    ) as P;
  return {
    isDead: () => dead,
    store: {
      ...store,
      add: cut(store.add, true),
      runs: { ...port(store.runs, ["settle", "add"]), listen: store.runs.listen },
      flow: port(store.flow, ["record", "load"]),
      nodes: port(store.nodes, []),
      ticks: port(store.ticks, []),
      open: async () => undefined,
      close: async () => undefined,
    },
  };
}

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

test("random workflows end alike, however their nodes die, and do nothing twice that was recorded", async () => {
  await fc.assert(
    fc.asyncProperty(
      node,
      fc.array(fc.nat(12), { maxLength: 4 }),
      fc.array(fc.constantFrom("x", "y"), { minLength: 6, maxLength: 12 }),
      async (program, deaths, events) => {
        const clock = fakeClock();
        const store = memory({ now: () => clock.nowMs() });
        const tally: Tally = { runs: new Map(), count: 0 };
        const results: unknown[] = [];
        const traces: string[][] = [];
        const job = defineJob({
          id: "flow",
          schema: z.unknown(),
          retry: { attempts: 3, delay: "2s", jitter: false },
          handler: async (_, ctx) => {
            const trace: string[] = [];
            traces.push(trace);
            const result = await play(program, ctx, tally, trace);
            results.push(result);
            return [result];
          },
        });
        const left = [...deaths];
        const runtimes: Runtime[] = [];
        const up = async (): Promise<() => boolean> => {
          let writes = left.shift() ?? Infinity;
          const { store: own, isDead } = mortal(store, () =>
            writes-- === 0 ? (left.length % 2 === 0 ? "before" : "after") : null,
          );
          const runtime = createRuntime({ jobs: [job, child], store: own, clock, logger: silent, slots: 3 });
          runtimes.push(runtime);
          await runtime.start();
          await turns();
          return isDead;
        };
        let isDead = await up();
        const [added] = await store.add([
          {
            job: "flow",
            queue: "default",
            priority: 0,
            dueAt: null,
            delayMs: 0,
            input: { json: "null", meta: null },
            tags: [],
            key: null,
            ttlMs: null,
            options: null,
            replayOf: null,
          },
        ]);
        const id = (added as { id: number }).id;
        const send = signalOf(async () => store);
        const toSend = [...events];
        const recorded = new Map<string, string>();
        for (let round = 0; round < 900; round++) {
          clock.advance(1000);
          await turns(6);
          if (round % 10 === 5 && toSend.length > 0)
            await send(formatId(id), toSend.shift()!, Math.floor(round / 10)).catch(() => undefined);
          for (const { key, kind, n, value, data } of await store.flow.read(id)) {
            const now = JSON.stringify([kind, key, value, data]);
            expect(recorded.get(`${n}`) ?? now).toBe(now); // the journal only grows
            recorded.set(`${n}`, now);
          }
          if (isDead()) isDead = await up();
          const status = (await store.find.get(id))!.status;
          if (status === "completed" || status === "failed") break;
        }
        const run = (await store.find.get(id))!;
        for (const runtime of runtimes.slice(-1)) {
          const stopping = runtime.stop({ grace: "0ms" });
          let over = false;
          void stopping.finally(() => (over = true));
          while (!over) {
            clock.advance(50);
            await turns(3);
          }
        }
        const journal = await store.flow.read(id);
        const steps = journal
          .filter(({ kind }) => kind === "step" || kind === "failed")
          .map(({ kind, key }) => `${kind} ${key}`);
        expect(new Set(steps).size).toBe(steps.length);
        if (run.status === "completed") {
          expect(JSON.stringify(decode(run.result!))).toBe(JSON.stringify([results.at(-1)]));
        } else if (run.status !== "failed") {
          // it waits for a signal that never comes
          expect([run.status, run.reason]).toEqual(["waiting", "signal"]);
        }
        // each attempt got the same answers in the same order, as far as it went
        const longest = traces.reduce((a, b) => (b.length > a.length ? b : a));
        for (const trace of traces) expect(trace).toEqual(longest.slice(0, trace.length));
        // every attempt that got to an end saw the same
        for (const result of results) expect(JSON.stringify(result)).toBe(JSON.stringify(results[0]));
      },
    ),
    { numRuns: 300 },
  );
}, 240_000);
