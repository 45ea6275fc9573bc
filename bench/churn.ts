/** Whether cost stays flat under steady churn: `node --import tsx bench/churn.ts [--minutes 30] [--rate 5000] [--hold-minutes 10]`.
 *
 *  A producer process triggers at a fixed rate, whatever the answers take; a worker process runs what comes. For `--minutes` nothing
 *  disturbs them; its halves are compared. Then another session sits idle in a transaction with a snapshot for `--hold-minutes`, so that
 *  vacuum can remove nothing; then it ends, and recovery is watched. `--hold-at` (minutes) puts the hold elsewhere. A row each 10 s
 *  (`--every` seconds), as a table or, with `--json`, as JSON lines. The database is `--url`, else a server of its own with fsync on. */
import { parseArgs } from "node:util";
import type { Report } from "./growth/child.ts";
import { quantile } from "./growth/measure.ts";
import { openPlace, type Place } from "./growth/place.ts";
import { endAll, start } from "./growth/process.ts";

const { values: flags } = parseArgs({
  options: {
    ...{ url: { type: "string" }, json: { type: "boolean", default: false }, every: { type: "string", default: "10" } },
    ...{ minutes: { type: "string", default: "30" }, rate: { type: "string", default: "5000" } },
    ...{ "hold-minutes": { type: "string", default: "10" }, "hold-at": { type: "string" } },
    ...{ "recover-minutes": { type: "string", default: "2" } },
  },
});
const [everyMs, steadyMs, holdMs, recoverMs] = [
  Number(flags.every) * 1000,
  ...[flags.minutes, flags["hold-minutes"], flags["recover-minutes"]].map((minutes) => Number(minutes) * 60_000),
] as [number, number, number, number];
const holdAt = flags["hold-at"] === undefined ? steadyMs : Number(flags["hold-at"]) * 60_000;
const rate = Number(flags.rate);
const name = "churn";

type Phase = "steady" | "hold" | "after";
interface Row {
  readonly seconds: number;
  readonly phase: Phase;
  readonly triggered: number;
  readonly completed: number;
  readonly backlog: number;
  readonly open: number;
  readonly claims: number;
  readonly claimP50: number;
  readonly claimP99: number;
  readonly triggerP50: number;
  readonly triggerP99: number;
  readonly pickP50: number;
  readonly pickP99: number;
  readonly heapMb: number;
  readonly readyMb: number;
  readonly idMb: number;
  readonly dead: number;
  readonly walPerRun: number;
  readonly rssMb: number;
  readonly loopP99: number;
}

interface Size {
  readonly heap: number;
  readonly ready: number;
  readonly id: number;
  readonly dead: number;
  readonly wal: number;
}

async function sizes({ control }: Place): Promise<Size> {
  const { rows } = await control.query<Record<keyof Size, string>>(`
    select pg_relation_size('${name}.runs') heap, pg_relation_size('${name}.runs_ready') ready, pg_relation_size('${name}.runs_id') id,
      coalesce((select n_dead_tup from pg_stat_user_tables where relid = '${name}.runs'::regclass), 0) dead, pg_current_wal_lsn() - '0/0' wal`);
  const [row] = rows;
  return { heap: +row!.heap, ready: +row!.ready, id: +row!.id, dead: +row!.dead, wal: +row!.wal };
}

function rowOf(seconds: number, phase: Phase, ms: number, made: Report, done: Report, size: Size, wal: number): Row {
  return {
    ...{ seconds, phase, triggered: (made.count / ms) * 1000, completed: (done.count / ms) * 1000 },
    ...{ backlog, open: made.open, claims: done.claims, claimP50: done.claimP50, claimP99: done.claimP99 },
    ...{ triggerP50: made.p50, triggerP99: made.p99, pickP50: done.p50, pickP99: done.p99 },
    ...{ heapMb: size.heap / 2 ** 20, readyMb: size.ready / 2 ** 20, idMb: size.id / 2 ** 20, dead: size.dead },
    ...{ walPerRun: (size.wal - wal) / made.count, rssMb: done.rssMb, loopP99: done.loopP99 },
  };
}

const columns: readonly (keyof Row)[] = [
  ...([
    "seconds",
    "phase",
    "triggered",
    "completed",
    "backlog",
    "claims",
    "claimP50",
    "claimP99",
    "triggerP50",
  ] as const),
  ...([
    "triggerP99",
    "pickP50",
    "pickP99",
    "heapMb",
    "readyMb",
    "idMb",
    "dead",
    "walPerRun",
    "rssMb",
    "loopP99",
  ] as const),
];
const shown = (value: number | string): string =>
  typeof value === "string" ? value : value.toFixed(Math.abs(value) < 100 ? 2 : 0);

function tell(row: Row): void {
  if (flags.json) console.log(JSON.stringify(row));
  else console.log(`| ${columns.map((column) => shown(row[column])).join(" | ")} |`);
}

let backlog = 0;
const rows: Row[] = [];

async function churn(place: Place): Promise<void> {
  await place.make(name);
  const url = place.url;
  const worker = await start({ role: "work", url, schema: name });
  const producer = await start({ role: "produce", url, schema: name, rate });
  if (!flags.json) console.log(`| ${columns.join(" | ")} |\n|${columns.map(() => "---").join("|")}|`);
  await new Promise((resolve) => setTimeout(resolve, 2000)); // code and connections are warm
  await Promise.all([worker.report(), producer.report()]);
  let { wal } = await sizes(place);
  const startedAt = performance.now();
  const ends = Math.max(steadyMs, holdAt + holdMs) + (holdMs > 0 ? recoverMs : 0);
  let phase: Phase = "steady";
  let letGo: (() => Promise<void>) | null = null;
  for (let at = 0, lookedAt = startedAt; at < ends;) {
    if (holdMs > 0 && at >= holdAt && phase === "steady") [letGo, phase] = [await place.hold(name), "hold"];
    if (phase === "hold" && at >= holdAt + holdMs) {
      await letGo?.();
      phase = "after";
    }
    await new Promise((resolve) => setTimeout(resolve, at + everyMs - (performance.now() - startedAt)));
    const [made, done, size] = await Promise.all([producer.report(), worker.report(), sizes(place)]);
    backlog += made.count - done.count;
    const now = performance.now();
    rows.push(rowOf(Math.round((now - startedAt) / 1000), phase, now - lookedAt, made, done, size, wal));
    tell(rows.at(-1)!);
    [wal, lookedAt, at] = [size.wal, now, at + everyMs];
  }
  await producer.stop();
  await worker.stop();
}

const median = (of: readonly Row[], column: keyof Row): number =>
  quantile(
    of.map((row) => Number(row[column])),
    0.5,
  );

/** Second half against the first, then the hold and what follows against what came before. */
function verdict(): string {
  const steady = rows.filter(({ phase }) => phase === "steady");
  const [first, second] = [steady.slice(0, steady.length / 2), steady.slice(steady.length / 2)];
  const held = rows.filter(({ phase }) => phase === "hold");
  const after = rows.filter(({ phase }) => phase === "after");
  const lines = [
    "",
    "| measure (median) | first half | second half | ratio | hold, last minute | ratio | after, last minute |",
    "|---|---|---|---|---|---|---|",
  ];
  const minute = Math.max(1, Math.round(60_000 / everyMs));
  for (const column of columns.slice(2)) {
    const [a, b, c, d] = [first, second, held.slice(-minute), after.slice(-minute)].map((of) => median(of, column));
    lines.push(`| ${column} | ${[a!, b!, b! / a!, c!, c! / b!, d!].map(shown).join(" | ")} |`);
  }
  const calm = 1.2 * median(second, "claimP50");
  const again = after.findIndex((row) => row.claimP50 <= calm);
  if (after.length > 0)
    lines.push(
      "",
      again < 0 ? "Claims did not recover." : `Claims (p50) were back after ${((again + 1) * everyMs) / 1000} s.`,
    );
  return lines.join("\n");
}

const place = await openPlace(flags.url);
process.on("SIGINT", () => process.exit(130));
process.on("exit", endAll);
try {
  const idle = await place.setting("autovacuum");
  if (idle !== "on") console.error(`autovacuum is ${idle} on this server: dead rows will pile up`);
  await churn(place);
  console.log(flags.json ? JSON.stringify({ verdict: verdict() }) : verdict());
} finally {
  endAll();
  await place.drop(name);
  await place.close();
}
