/** Workflows beside those of rivals, and beside the raw limit: `node --import tsx bench/flow.ts [--reps 3] [--measure seq64,seq1] [--contenders
 *  tasker,raw] [--json FILE]`. Absurd needs `ABSURD_SQL`: see the README.
 *
 *  - `seq64`: 64 workflows at once, 50 steps each, one after another; steps/s
 *  - `seq1`: one workflow of 300 steps; steps/s
 *  - `parallel`: 8 workflows of 125 steps at once each; steps/s
 *  - `resume`: from a signal to the next line of the workflow that waits for it; ms, p50 and p99 of 200
 *  - `children`: a workflow that makes 1,000 runs and waits for them; runs/s
 *
 *  Steps do nothing. The raw limit is an insert of a row like a step's: one a step for one caller; all that is there at once for 64. Each
 *  repetition of each contender is a process of its own with a new database; repetitions are interleaved. tasker is its build. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import pg from "pg";
import type * as Engine from "../runtime/index.ts";
import type * as Sdk from "../sdk/index.ts";
import { load } from "./contender.ts";
import { absurd } from "./flow/absurd.ts";
import { all, quiet, range, type Session } from "./flow/session.ts";
import { median, quantile } from "./number.ts";
import { startPostgres } from "./server.ts";

const measures = ["seq64", "seq1", "parallel", "resume", "children"] as const;
type Measure = (typeof measures)[number];

const built = new URL("../dist/", import.meta.url).href;

async function tasker(url: string): Promise<Session> {
  const { configure, defineJob, signal } = (await import(`${built}sdk/index.js`)) as typeof Sdk;
  const { createRuntime, postgres } = (await import(`${built}runtime/index.js`)) as typeof Engine;
  const { z } = await import("zod");
  const marks: number[] = [];
  const any = z.object({ steps: z.number() });
  const sequence = defineJob({
    ...{ id: "sequence", schema: any },
    handler: async ({ steps }, ctx) => {
      for (const i of range(steps)) await ctx.step(`s${i}`, () => i);
    },
  });
  const parallel = defineJob({
    ...{ id: "parallel", schema: any },
    handler: async ({ steps }, ctx) => void (await all(steps, (i) => ctx.step(`s${i}`, () => i))),
  });
  const waits = defineJob({
    ...{ id: "waits", schema: any },
    handler: async ({ steps }, ctx) => {
      for (let i = 0; i < steps; i++) {
        await ctx.waitFor("go");
        marks[i] ??= performance.now();
      }
    },
  });
  const child = defineJob({ id: "child", schema: any, handler: ({ steps }) => steps });
  const parent = defineJob({
    ...{ id: "parent", schema: any },
    handler: async ({ steps }) =>
      void (await child.batchTriggerAndWait(range(steps).map((i) => ({ payload: { steps: i } })))),
  });
  const runtime = createRuntime({
    ...{ jobs: [sequence, parallel, waits, child, parent], store: postgres({ url }), slots: 64, logger: quiet },
  });
  await runtime.start();
  configure({ store: runtime.store });
  const each = async (workflows: number, trigger: () => Promise<{ result(): Promise<unknown> }>): Promise<void> => {
    const handles = await all(workflows, trigger);
    await Promise.all(handles.map((handle) => handle.result()));
  };
  return {
    sequence: (workflows, steps) => each(workflows, () => sequence.trigger({ steps })),
    parallel: (workflows, steps) => each(workflows, () => parallel.trigger({ steps })),
    async resume(count) {
      const run = await waits.trigger({ steps: count });
      const times: number[] = [];
      for (const i of range(count)) {
        while ((await run.get())?.status !== "waiting") await new Promise((resolve) => setTimeout(resolve, 2));
        const sent = performance.now();
        await signal(run, "go", null);
        while (marks[i] === undefined) await new Promise((resolve) => setImmediate(resolve));
        times.push(marks[i] - sent);
      }
      await run.result();
      return times;
    },
    children: async (count) => void (await (await parent.trigger({ steps: count })).result()),
    close: () => runtime.stop(),
  };
}

async function dbos(url: string): Promise<Session> {
  interface Handle {
    readonly workflowID: string;
    getResult(): Promise<unknown>;
  }
  interface Library {
    DBOS: {
      setConfig(config: object): void;
      registerWorkflow<A extends unknown[]>(
        fn: (...args: A) => Promise<unknown>,
        config: object,
      ): (...args: A) => Promise<unknown>;
      startWorkflow<A extends unknown[]>(fn: (...args: A) => Promise<unknown>): (...args: A) => Promise<Handle>;
      runStep(fn: () => Promise<unknown>, config: object): Promise<unknown>;
      recv(topic: string, timeoutSeconds: number): Promise<unknown>;
      send(id: string, message: unknown, topic: string): Promise<void>;
      launch(): Promise<void>;
      shutdown(): Promise<void>;
    };
  }
  const { DBOS } = await load<Library>("@dbos-inc/dbos-sdk");
  DBOS.setConfig({
    ...{ name: "bench", systemDatabaseUrl: url, systemDatabasePoolSize: 20, runAdminServer: false, logger: quiet },
  });
  const step = (i: number): Promise<unknown> => DBOS.runStep(() => Promise.resolve(i), { name: `s${i}` });
  const marks: number[] = [];
  const sequence = DBOS.registerWorkflow(
    async (steps: number) => {
      for (const i of range(steps)) await step(i);
    },
    { name: "sequence" },
  );
  const parallel = DBOS.registerWorkflow(async (steps: number) => void (await all(steps, step)), { name: "parallel" });
  const waits = DBOS.registerWorkflow(
    async (steps: number) => {
      for (const i of range(steps)) {
        await DBOS.recv("go", 60);
        marks[i] ??= performance.now();
      }
    },
    { name: "waits" },
  );
  const child = DBOS.registerWorkflow((n: number) => Promise.resolve(n), { name: "child" });
  const parent = DBOS.registerWorkflow(
    async (count: number) => {
      const handles = await all(count, (i) => DBOS.startWorkflow(child)(i));
      await Promise.all(handles.map((handle) => handle.getResult()));
    },
    { name: "parent" },
  );
  await DBOS.launch();
  const each = async (flow: typeof sequence, workflows: number, steps: number): Promise<void> => {
    const handles = await all(workflows, () => DBOS.startWorkflow(flow)(steps));
    await Promise.all(handles.map((handle) => handle.getResult()));
  };
  return {
    sequence: (workflows, steps) => each(sequence, workflows, steps),
    parallel: (workflows, steps) => each(parallel, workflows, steps),
    async resume(count) {
      const handle = await DBOS.startWorkflow(waits)(count);
      const times: number[] = [];
      for (const i of range(count)) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        const sent = performance.now();
        await DBOS.send(handle.workflowID, null, "go");
        while (marks[i] === undefined) await new Promise((resolve) => setImmediate(resolve));
        times.push(marks[i] - sent);
      }
      await handle.getResult();
      return times;
    },
    children: async (count) => void (await (await DBOS.startWorkflow(parent)(count)).getResult()),
    close: () => DBOS.shutdown(),
  };
}

async function openworkflow(url: string): Promise<Session> {
  interface Steps {
    run(config: object, fn: () => unknown): Promise<unknown>;
  }
  interface Flow {
    run(input: unknown): Promise<{ result(): Promise<unknown> }>;
  }
  interface Library {
    OpenWorkflow: new (options: object) => {
      defineWorkflow(spec: object, fn: (call: { input: number; step: Steps }) => Promise<unknown>): Flow;
      newWorker(options: object): { start(): Promise<void>; stop(): Promise<void> };
    };
  }
  interface Backend {
    BackendPostgres: { connect(url: string): Promise<{ stop(): Promise<void> }> };
  }
  const { OpenWorkflow } = await load<Library>("openworkflow");
  const { BackendPostgres } = await load<Backend>("openworkflow/postgres");
  const backend = await BackendPostgres.connect(url);
  const flows = new OpenWorkflow({ backend });
  const sequence = flows.defineWorkflow({ name: "sequence" }, async ({ input, step }) => {
    for (const i of range(input)) await step.run({ name: `s${i}` }, () => i);
  });
  const parallel = flows.defineWorkflow(
    { name: "parallel" },
    async ({ input, step }) => void (await all(input, (i) => step.run({ name: `s${i}` }, () => i))),
  );
  const worker = flows.newWorker({ concurrency: 64 });
  await worker.start();
  const each = async (flow: Flow, workflows: number, steps: number): Promise<void> => {
    const handles = await all(workflows, () => flow.run(steps));
    await Promise.all(handles.map((handle) => handle.result()));
  };
  return {
    sequence: (workflows, steps) => each(sequence, workflows, steps),
    parallel: (workflows, steps) => each(parallel, workflows, steps),
    async close() {
      await worker.stop();
      await backend.stop();
    },
  };
}

/** One row a step, durable before the next begins; what is there at once shares an insert, two of which are under way at most. */
async function raw(url: string): Promise<Session> {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  await pool.query(`create table step (run bigint not null, n int not null, at timestamptz not null, kind text not null, key text not null,
    value text, meta text, data text, runs bigint[], primary key (run, n))`);
  interface Waiting {
    readonly row: readonly [run: number, n: number];
    readonly done: () => void;
  }
  let waiting: Waiting[] = [];
  let flights = 0;
  const flush = async (): Promise<void> => {
    if (flights >= 2 || waiting.length === 0) return;
    flights++;
    const batch = waiting;
    waiting = [];
    await pool.query({
      name: "step",
      text: `insert into step (run, n, at, kind, key, value, data)
        select i.run, i.n, clock_timestamp(), 'step', 's' || i.n, i.n::text, '{"at":"bench/flow.ts:1","began":1,"took":0}'
        from unnest($1::bigint[], $2::int[]) i(run, n)`,
      values: [batch.map(({ row }) => row[0]), batch.map(({ row }) => row[1])],
    });
    flights--;
    for (const { done } of batch) done();
    setImmediate(() => void flush());
  };
  let runs = 0;
  const step = (run: number, n: number): Promise<void> =>
    new Promise((done) => {
      waiting.push({ row: [run, n], done });
      if (waiting.length === 1) setImmediate(() => void flush());
    });
  return {
    sequence: async (workflows, steps) =>
      void (await all(workflows, async () => {
        const run = ++runs;
        for (const i of range(steps)) await step(run, i);
      })),
    parallel: async (workflows, steps) =>
      void (await all(workflows, async () => {
        const run = ++runs;
        await all(steps, (i) => step(run, i));
      })),
    close: () => pool.end(),
  };
}

const contenders: Readonly<Record<string, (url: string) => Promise<Session>>> = {
  ...{ tasker, raw, dbos, openworkflow },
  ...(process.env["ABSURD_SQL"] && { absurd }), // see the README
};

/** One measure in this process; figures by name, null where the contender can't. */
async function measured(session: Session, measure: Measure): Promise<Readonly<Record<string, number>> | null> {
  const rate = async (count: number, work: () => Promise<void>): Promise<Readonly<Record<string, number>>> => {
    const from = performance.now();
    await work();
    return { rate: count / ((performance.now() - from) / 1000) };
  };
  const { sequence, parallel, resume, children } = session;
  if (measure === "seq64" || measure === "seq1") {
    if (!sequence) return null;
    const [workflows, steps] = measure === "seq64" ? [64, 50] : [1, 300];
    await sequence(workflows, 10);
    return rate(workflows * steps, () => sequence(workflows, steps));
  }
  if (measure === "parallel") {
    if (!parallel) return null;
    await parallel(8, 10);
    return rate(1000, () => parallel(8, 125));
  }
  if (measure === "children") {
    if (!children) return null;
    await children(10);
    return rate(1000, () => children(1000));
  }
  if (!resume) return null;
  const times = (await resume(200)).slice(20);
  return { p50: median(times), p99: quantile(times, 0.99) };
}

async function child(name: string, measure: Measure, url: string): Promise<void> {
  const session = await contenders[name]!(url);
  const figures = await measured(session, measure);
  process.stdout.write(`\nfigures ${JSON.stringify(figures)}\n`);
  await Promise.race([session.close(), new Promise((resolve) => setTimeout(resolve, 3000))]);
  process.exit(0);
}

async function repetition(
  name: string,
  measure: Measure,
  url: string,
): Promise<Readonly<Record<string, number>> | null> {
  const args = ["--import", "tsx", new URL(import.meta.url).pathname, "--child", `${name},${measure}`, "--url", url];
  const made = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  made.stdout.on("data", (text: Buffer) => (out += text.toString()));
  made.stderr.on("data", (text: Buffer) => (err += text.toString()));
  const timer = setTimeout(() => made.kill("SIGKILL"), 180_000);
  await once(made, "close");
  clearTimeout(timer);
  const found = /^figures (.*)$/m.exec(out);
  if (!found) throw new Error(`${name} ${measure} gave no figures: ${err.slice(-500)}`);
  return JSON.parse(found[1]!) as Readonly<Record<string, number>> | null;
}

const { values: flags } = parseArgs({
  options: {
    ...{ child: { type: "string" }, url: { type: "string" }, json: { type: "string" } },
    ...{ reps: { type: "string", default: "3" }, measure: { type: "string", default: measures.join(",") } },
    contenders: { type: "string", default: Object.keys(contenders).join(",") },
  },
});

async function main(): Promise<void> {
  const server = await startPostgres();
  const results: Record<string, Record<string, (Readonly<Record<string, number>> | null)[]>> = {};
  let databases = 0;
  try {
    for (const measure of flags.measure.split(",") as Measure[])
      for (let rep = 0; rep < Number(flags.reps); rep++)
        for (const name of flags.contenders.split(",")) {
          const admin = new pg.Client({ connectionString: server.url });
          await admin.connect();
          const database = `flow${++databases}`;
          await admin.query(`create database ${database}`);
          await admin.query("checkpoint");
          await admin.end();
          const url = server.url.replace(/\/[^/]*$/, `/${database}`);
          const figures = await repetition(name, measure, url).catch((error: unknown) => {
            console.error((error as Error).message);
            return null;
          });
          ((results[measure] ??= {})[name] ??= []).push(figures);
        }
  } finally {
    await server.stop();
  }
  for (const [measure, byName] of Object.entries(results)) {
    for (const [name, reps] of Object.entries(byName)) {
      const names = [...new Set(reps.flatMap((rep) => Object.keys(rep ?? {})))];
      const shown = names.map((figure) => {
        const values = reps.flatMap((rep) => rep?.[figure] ?? []);
        const digits = figure === "rate" ? 0 : 2;
        const [mid, least, most] = [median(values), Math.min(...values), Math.max(...values)];
        return `${figure} ${mid.toFixed(digits)} [${least.toFixed(digits)}..${most.toFixed(digits)}]`;
      });
      console.log(`${measure.padEnd(9)} ${name.padEnd(13)} ${shown.join("  ") || "-"}`);
    }
  }
  if (flags.json) writeFileSync(flags.json, JSON.stringify(results, null, 2));
}

if (flags.child) {
  const [name, measure] = flags.child.split(",") as [string, Measure];
  await child(name, measure, flags.url!);
} else await main();
