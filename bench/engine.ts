/** What the engine costs on Postgres, beside raw SQL in the same run: `npm run bench -- [--runs 20000] [--json]`.
 *  The database is `TASKER_DATABASE_URL`, else an embedded one with fsync on. Read the ratios; absolute figures belong to one machine. */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import pg from "pg";
import { z } from "zod";
import { close, configure, defineJob } from "../sdk/index.ts";
import { createRuntime, postgres, startEmbedded } from "../runtime/index.ts";
import { raw } from "./raw.ts";

const { values: flags } = parseArgs({
  options: { runs: { type: "string", default: "20000" }, json: { type: "boolean", default: false } },
});
const runs = Number(flags.runs);

const embedded = process.env["TASKER_DATABASE_URL"] ? null : await startEmbedded({ dir: ".tasker/bench" });
const url = process.env["TASKER_DATABASE_URL"] ?? embedded!.url;
const schema = "bench_engine";
const control = new pg.Client({ connectionString: url });
await control.connect();
await control.query(`drop schema if exists ${schema} cascade`);
configure({ store: postgres({ url, schema }) });

let left = 0;
let finish: () => void = () => undefined;
const late: number[] = [];
const picked: number[] = [];
const noop = defineJob({
  id: "noop",
  schema: z.object({ id: z.number(), to: z.string(), sentAt: z.number() }),
  handler: (payload, ctx) => {
    if (payload.to === "pick-up") picked.push(performance.now() - payload.sentAt);
    if (payload.to === "late") late.push(Date.now() - ctx.run.dueAt.getTime());
    if (--left === 0) finish();
  },
});
const payload = (to = "someone@example.com") => ({ id: 123456, to, sentAt: performance.now() });

interface Row {
  readonly measure: string;
  readonly tasker: number;
  readonly raw: number | null;
  readonly unit: string;
  readonly walBytes: number | null;
}
const rows: Row[] = [];

async function wal(): Promise<number> {
  const { rows: found } = await control.query<{ bytes: string }>("select pg_current_wal_lsn() - '0/0' as bytes");
  return Number(found[0]!.bytes);
}

/** Runs per second of `work`, and the WAL of each run. */
async function rate(measure: string, count: number, work: () => Promise<unknown>, limit: number | null): Promise<void> {
  const [before, start] = [await wal(), performance.now()];
  await work();
  const perSecond = count / ((performance.now() - start) / 1000);
  rows.push({ measure, tasker: perSecond, raw: limit, unit: "runs/s", walBytes: ((await wal()) - before) / count });
}

async function callers(count: number, width: number): Promise<void> {
  const share = Math.ceil(count / width);
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let i = 0; i < share; i++) await noop.trigger(payload());
    }),
  );
}

async function drain(): Promise<void> {
  const { rows: found } = await control.query<{ n: string }>(`select count(*) n from ${schema}.runs`);
  left = Number(found[0]!.n);
  const runtime = createRuntime({ store: postgres({ url, schema }), jobs: [noop] });
  const drained = new Promise<void>((resolve) => (finish = resolve));
  const count = left;
  await rate(
    "drain, defaults",
    count,
    async () => {
      await runtime.start();
      await drained;
      await runtime.stop();
    },
    limits.drain,
  );
}

async function live(): Promise<void> {
  const runtime = createRuntime({ store: postgres({ url, schema }), jobs: [noop] });
  await runtime.start();
  for (let i = 0; i < 1000; i++) {
    left = 1;
    const done = new Promise<void>((resolve) => (finish = resolve));
    await noop.trigger(payload("pick-up"));
    await done;
  }
  left = 2000;
  const done = new Promise<void>((resolve) => (finish = resolve));
  await noop.batchTrigger(
    Array.from({ length: 2000 }, (_, i) => ({
      payload: payload("late"),
      options: { runAt: new Date(Date.now() + 3000 + i) },
    })),
  );
  await done;
  await runtime.stop();
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
}

const limits = await raw(url, runs);
await noop.trigger(payload()); // connects, migrates
await rate("trigger, 1 caller", Math.min(runs, 3000), () => callers(Math.min(runs, 3000), 1), limits.one);
await rate("trigger, 64 callers", runs, () => callers(runs, 64), limits.many);
await rate(
  "bulk trigger",
  runs,
  async () => {
    for (let from = 0; from < runs; from += 10_000)
      await noop.batchTrigger(Array.from({ length: Math.min(10_000, runs - from) }, () => ({ payload: payload() })));
  },
  limits.bulk,
);
await drain();
await live();
for (const q of [0.5, 0.99])
  rows.push({
    measure: `pick-up by another pool, p${q * 100}`,
    tasker: quantile(picked, q),
    raw: null,
    unit: "ms",
    walBytes: null,
  });
for (const q of [0.5, 0.99])
  rows.push({
    measure: `lateness of 2,000 delayed runs, p${q * 100}`,
    tasker: quantile(late, q),
    raw: null,
    unit: "ms",
    walBytes: null,
  });
rows.push({
  measure: "earliest start before its instant",
  tasker: Math.min(...late),
  raw: null,
  unit: "ms",
  walBytes: null,
});

const { rows: version } = await control.query<{ server_version: string }>("show server_version");
if (flags.json)
  console.log(
    JSON.stringify({
      node: process.version,
      postgres: version[0]!.server_version,
      cpu: cpus()[0]?.model,
      cores: cpus().length,
      rows,
    }),
  );
else print();
await close();
await control.query(`drop schema if exists ${schema} cascade`);
await control.end();
await embedded?.stop();

function print(): void {
  console.log(
    `Node ${process.version}, PostgreSQL ${version[0]!.server_version}, ${cpus().length} × ${cpus()[0]?.model}; ${runs} runs\n`,
  );
  console.log("| measure | tasker | raw SQL | of raw | WAL B/run |\n|---|---|---|---|---|");
  const shown = (value: number, unit: string) => (unit === "ms" ? `${value.toFixed(2)} ms` : `${Math.round(value)}/s`);
  for (const { measure, tasker, raw: limit, unit, walBytes } of rows)
    console.log(
      `| ${measure} | ${shown(tasker, unit)} | ${limit === null ? "" : shown(limit, unit)} | ${limit === null ? "" : `${Math.round((100 * tasker) / limit)} %`} | ${walBytes === null ? "" : Math.round(walBytes)} |`,
    );
}
