/** From a save to new code: `npm run bench:dev -- [--saves 40] [--quick]`. `tasker dev`, beside a restart of `tasker start` and `tsx watch`
 *  on a file that starts a runtime, each in a project of its own of 10 job files and 6 shared files (zod, kysely, pg, pino).
 *  The database is `TASKER_DATABASE_URL` (schema `bench_dev`), else an embedded one.
 *
 *  One of the shared files, which all jobs import, is saved with another word. From before the save, a run is triggered every 10 ms by this
 *  process, the same way for all; handlers answer with their word as a datagram. Two times count from the save: until the contender
 *  says that new code serves, and until the first answer has the new word. 900 ms later comes the next save. Contenders take turns of
 *  five saves, so that a busy moment of the machine meets all; who is not at turn idles. The restart needs no watcher here: it is sent
 *  SIGTERM at the save itself. Then: how long `tasker dev` takes in a new project, from spawn to "Ready". */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdirSync, rmSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import pg from "pg";
import { z } from "zod";
import { postgres, startEmbedded } from "../runtime/index.ts";
import { close, configure, defineJob } from "../sdk/index.ts";
import { dev, restart, tasker, tsxWatch, type Contender } from "./dev/contender.ts";
import { endAll, launch, memoryOf } from "./dev/process.ts";
import { place, project } from "./dev/project.ts";

const { values: flags } = parseArgs({
  options: { saves: { type: "string", default: "40" }, quick: { type: "boolean", default: false } },
});
const saves = flags.quick ? 15 : Number(flags.saves);
const turn = 5;
const betweenMs = 900;
const schema = "bench_dev";
process.on("SIGINT", () => process.exit(130));
process.on("SIGTERM", () => process.exit(143));

interface Entrant {
  readonly contender: Contender;
  readonly trigger: () => Promise<unknown>;
  readonly saidMs: number[];
  readonly answeredMs: number[];
  readonly memory: ReturnType<typeof memoryOf>[];
}

const embedded = process.env["TASKER_DATABASE_URL"] ? null : await startEmbedded({ dir: ".tasker/bench" });
const url = process.env["TASKER_DATABASE_URL"] ?? embedded!.url;
const control = new pg.Client({ connectionString: url });
await control.connect();
await control.query(`drop schema if exists ${schema} cascade`);
configure({ store: postgres({ url, schema }) });
const within = place();
const socket = createSocket("udp4");
socket.bind(0, "127.0.0.1");
await once(socket, "listening");

function entrant(id: string, make: (folder: string, env: NodeJS.ProcessEnv) => Contender): Entrant {
  const folder = project(within, id, socket.address().port);
  const contender = make(folder, { ...clean(), TASKER_DATABASE_URL: url, TASKER_SCHEMA: schema });
  const job = defineJob({ id: `${id}-job1`, schema: z.object({ n: z.int() }), handler: () => undefined });
  return { contender, trigger: () => job.trigger({ n: 1 }), saidMs: [], answeredMs: [], memory: [] };
}

/** The environment, without what would speak for tasker or this process' loader. */
function clean(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(TASKER_|NODE_OPTIONS$|CI$)/.test(name)));
}

async function save({ contender, trigger, saidMs, answeredMs }: Entrant, word: string): Promise<void> {
  const triggering = setInterval(() => void trigger().catch(() => undefined), 10);
  await sleep(50);
  const answered = answerOf(word);
  const savedAt = performance.now();
  const said = contender.save(word);
  const [saidAt, answeredAt] = await Promise.all([said, answered]).finally(() => clearInterval(triggering));
  saidMs.push(saidAt - savedAt);
  answeredMs.push(answeredAt - savedAt);
  await sleep(betweenMs);
}

/** When a handler answers with the word, by `performance.now()`. */
function answerOf(word: string): Promise<number> {
  return new Promise((resolve) => {
    const hear = (message: Buffer): void => {
      if (message.toString() !== word) return;
      socket.off("message", hear);
      resolve(performance.now());
    };
    socket.on("message", hear);
  });
}

/** Milliseconds from spawn to "Ready" in a new project, on an embedded server: the first time, and once more. */
async function starts(name: string): Promise<readonly number[]> {
  const folder = join(within, name);
  mkdirSync(folder);
  await launch([tasker, "init"], folder, clean()).ended;
  const took: number[] = [];
  for (let n = 0; n < 2; n++) {
    const spawnedAt = performance.now();
    const running = launch([tasker, "dev"], folder, clean());
    took.push((await running.says("Ready")) - spawnedAt);
    await running.end("SIGINT");
  }
  return took;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
}

function times(values: readonly number[]): string {
  return [0.5, 0.9, 1].map((q) => Math.round(quantile(values, q))).join(" / ");
}

function change([before, after]: Entrant["memory"]): string {
  return before && after ? `${before.mib.toFixed(0)} → ${after.mib.toFixed(0)} MiB (${after.processes})` : "";
}

function load(): string {
  return loadavg()
    .map((each) => each.toFixed(1))
    .join(" ");
}

const entrants = [entrant("dev", dev), entrant("restart", restart), entrant("tsx", tsxWatch)];
const loadBefore = load();
const rounds: (readonly number[])[] = [];
try {
  for (const { contender } of entrants) await contender.start();
  await sleep(3000); // memory at rest, and a spare that is warm
  for (const { contender, memory } of entrants) memory.push(memoryOf(contender.pid));
  for (let n = 0; n < saves; n += turn)
    for (const each of entrants) for (let i = n; i < Math.min(n + turn, saves); i++) await save(each, `word ${i}`);
  await sleep(3000);
  for (const { contender, memory } of entrants) memory.push(memoryOf(contender.pid));
  await Promise.all(entrants.map(({ contender }) => contender.stop()));
  for (let n = 0; n < (flags.quick ? 1 : 3); n++) rounds.push(await starts(`start${n}`));
  await print();
} finally {
  endAll();
  socket.close();
  await close();
  await control.query(`drop schema if exists ${schema} cascade`);
  await control.end();
  rmSync(within, { recursive: true, force: true });
  await embedded?.stop();
}

async function print(): Promise<void> {
  const { rows } = await control.query<{ server_version: string }>("show server_version");
  console.log(
    `Node ${process.version}, PostgreSQL ${rows[0]!.server_version}, ${cpus().length} × ${cpus()[0]?.model}; load ${loadBefore} before, ${load()} after; ${saves} saves\n`,
  );
  console.log(
    "| ms from a save, p50 / p90 / max | said | first answer of new code | memory, start → end (processes) |",
  );
  console.log("|---|---|---|---|");
  for (const { contender, saidMs, answeredMs, memory } of entrants)
    console.log(`| ${contender.name} | ${times(saidMs)} | ${times(answeredMs)} | ${change(memory)} |`);
  const [first, later] = [0, 1].map((n) => rounds.map((took) => took[n]!));
  console.log(`\n| ms from spawn to "Ready", embedded Postgres | p50 of ${rounds.length} | max |\n|---|---|---|`);
  console.log(
    `| first start in a new project | ${Math.round(quantile(first!, 0.5))} | ${Math.round(Math.max(...first!))} |`,
  );
  console.log(`| a later start | ${Math.round(quantile(later!, 0.5))} | ${Math.round(Math.max(...later!))} |`);
}
