/** tasker beside its rivals and beside plain SQL: `npm run bench -- --help`. What is measured, and how, is told in bench/README.md. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import pg from "pg";
import { build } from "./build.ts";
import { regressions } from "./check.ts";
import { field, nearest, type Entrant } from "./field.ts";
import { gate, type Gate } from "./gate.ts";
import { measures, slow } from "./measures/index.ts";
import { sizeOf, type Measure } from "./measures/measure.ts";
import { plots } from "./plot.ts";
import { markdown } from "./report.ts";
import { machine, type Cell, type Machine, type Result } from "./result.ts";
import { startPostgres, startRedis } from "./server.ts";
import type { StageOptions } from "./stage.ts";
import { triesOf } from "./tries.ts";

/** What was asked for can't be done; no stack helps. */
class Usage extends Error {}

process.on("SIGINT", () => process.exit(130)); // what was started ends with this process
process.on("SIGTERM", () => process.exit(143));

const here = dirname(fileURLToPath(import.meta.url));
const results = join(here, "results");

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rivals: { type: "string" },
    measure: { type: "string" },
    reps: { type: "string" },
    json: { type: "string" },
    check: { type: "boolean", default: false },
    url: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

if (flags.help) help();
else
  process.exitCode = await main().catch((error: unknown) => {
    console.error(error instanceof Usage ? error.message : error);
    return 2;
  });

function help(): void {
  const name = ({ name, about }: Measure): string => `  ${name.padEnd(8)} ${about}`;
  console.log(`npm run bench -- [--quick] [--rivals a,b] [--measure a,b] [--reps n] [--json file] [--check] [--url postgres://…]

  --quick    two minutes: fewer jobs, one repetition, the nearest rivals (${nearest.join(", ")}), without ${slow.join(", ")}
  --rivals   who takes part, besides tasker and raw: ${field.map((each) => each.name).join(", ")}; or all
  --measure  what is measured, of the list below
  --reps     repetitions, interleaved: 3 by default, 1 with --quick
  --json     where the result is written as well
  --check    exits with 1 if tasker, as a share of raw, lost more than 15 % somewhere against results/latest.json
  --url      a server to use instead of a private one; its role must be allowed to make databases

A whole run (no --quick, --rivals, --measure) writes results/latest.json, latest.md and plots. Rivals are installed by "npm install --prefix bench".

${measures.map(name).join("\n")}`);
}

async function main(): Promise<number> {
  const entrants = chosen();
  const picked =
    flags.measure === undefined && flags.quick
      ? measures.filter(({ name }) => !slow.includes(name))
      : pick(flags.measure, measures, "measure");
  const reps = Number(flags.reps ?? (flags.quick ? 1 : 3));
  if (!Number.isInteger(reps) || reps < 1) throw new Usage(`--reps "${flags.reps}" is not a whole number from 1 on`);
  const earlier = flags.check ? latest() : null;
  const dist = build();
  const awake = setInterval(() => undefined, 1000); // servers do not keep a process up
  const server = flags.url === undefined ? await startPostgres() : null;
  const redis = await startRedis();
  const quiet = gate(
    flags.quick
      ? { windowMs: 150, patienceMs: 2000, budgetMs: 15_000 }
      : { windowMs: 500, patienceMs: 30_000, budgetMs: 900_000 },
  );
  const url = flags.url ?? server!.url;
  const admin = new pg.Client({ connectionString: url });
  try {
    await admin.connect();
    const statements = await countsStatements(admin);
    const stage: StageOptions = {
      admin,
      url,
      redisPort: redis?.port ?? null,
      dist,
      statements,
      timeoutMs: flags.quick ? 20_000 : 120_000,
    };
    const found = { ...machine(), ...(await serverFacts(admin)), redis: redis?.version ?? null };
    const resultOf = (cells: readonly Cell[]): Result => ({
      at: new Date().toISOString(),
      quick: flags.quick,
      reps,
      machine: { ...found, syncMs: quiet.floorMs(), versions: versions(entrants) },
      cells,
    });
    const cells = await all({ stage, entrants, picked, reps, quiet }, (soFar) => save(resultOf(soFar)));
    return finish(resultOf(cells), earlier);
  } finally {
    clearInterval(awake);
    quiet.close();
    await admin.end();
    await redis?.stop();
    await server?.stop();
  }
}

function chosen(): readonly Entrant[] {
  if (flags.rivals === undefined) return flags.quick ? pick(nearest.join(","), field, "rivals") : field;
  if (flags.rivals === "all") return field;
  return pick(["tasker", "raw", flags.rivals].join(","), field, "rivals");
}

/** Those whose names are listed, in their own order. @throws {Usage} for a name that is none */
function pick<T extends { readonly name: string }>(
  list: string | undefined,
  from: readonly T[],
  flag: string,
): readonly T[] {
  if (list === undefined) return from;
  const names = list.split(",").filter((name) => name !== "");
  const unknown = names.find((name) => !from.some((each) => each.name === name));
  if (unknown !== undefined)
    throw new Usage(`--${flag} "${unknown}" is none of ${from.map(({ name }) => name).join(", ")}`);
  return from.filter(({ name }) => names.includes(name));
}

function latest(): Result {
  const path = join(results, "latest.json");
  if (!existsSync(path)) throw new Usage(`there is no ${path} to check against; make a whole run first`);
  return JSON.parse(readFileSync(path, "utf8")) as Result;
}

interface Run {
  readonly stage: StageOptions;
  readonly entrants: readonly Entrant[];
  readonly picked: readonly Measure[];
  readonly reps: number;
  readonly quiet: Gate;
}

/** Interleaved, so that a busy moment of the machine meets all: each repetition of a measure goes through all contenders. `measured` hears of
 *  each measure that is done. */
async function all(
  { stage, entrants, picked, reps, quiet }: Run,
  measured: (soFar: readonly Cell[]) => void,
): Promise<Cell[]> {
  const cells: Cell[] = [];
  const size = sizeOf(flags.quick);
  const total =
    picked.reduce((sum, measure) => sum + entrants.filter((each) => takesPart(each, measure)).length, 0) * reps;
  let done = 0;
  for (const measure of picked) {
    const part = entrants.filter((each) => takesPart(each, measure)).map((entrant) => triesOf(entrant, measure));
    for (let rep = 0; rep < reps; rep++)
      for (const tries of part) {
        const said = await tries.next(stage, { size, quiet: () => quiet.quiet() });
        console.error(`${String(++done).padStart(4)}/${total}  ${measure.name.padEnd(7)} ${said}`);
      }
    cells.push(...part.map((tries) => tries.cell()));
    measured(cells);
  }
  return cells;
}

function takesPart(entrant: Entrant, { name, takes }: Measure): boolean {
  return (entrant.only === null || entrant.only.includes(name)) && (takes?.(entrant) ?? true);
}

async function countsStatements(admin: pg.Client): Promise<boolean> {
  try {
    await admin.query("create extension if not exists pg_stat_statements");
    await admin.query("select from pg_stat_statements limit 1");
    return true;
  } catch {
    return false;
  }
}

async function serverFacts(admin: pg.Client): Promise<Pick<Machine, "postgres" | "settings">> {
  const names = ["fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "max_wal_size", "jit"];
  const { rows } = await admin.query<{ name: string; value: string }>(
    "select name, current_setting(name) as value from pg_settings where name = any($1) order by array_position($1, name)",
    [names],
  );
  const { rows: version } = await admin.query<{ server_version: string }>("show server_version");
  return {
    postgres: version[0]!.server_version.split(" ")[0]!,
    settings: Object.fromEntries(rows.map(({ name, value }) => [name, value])),
  };
}

/** Of the rivals that took part, as they are pinned. */
function versions(entrants: readonly Entrant[]): Record<string, string> {
  const { dependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  const packages: Record<string, string> = {
    graphile: "graphile-worker",
    pgboss: "pg-boss",
    dbos: "@dbos-inc/dbos-sdk",
  };
  const names = entrants.map(({ file }) => packages[file] ?? file);
  return Object.fromEntries(names.filter((name) => name in dependencies).map((name) => [name, dependencies[name]!]));
}

function finish(result: Result, earlier: Result | null): number {
  console.log(markdown(result));
  if (save(result)) console.error(`written to ${results}`);
  const lost = earlier === null ? [] : regressions(result, earlier);
  for (const line of lost) console.error(`slower: ${line}`);
  return lost.length === 0 ? 0 : 1;
}

/** Writes a whole run's result, also while it goes on: a run that is cut short keeps what it has measured. Answers whether it is a whole run. */
function save(result: Result): boolean {
  const json = `${JSON.stringify(result, null, 1)}\n`;
  if (flags.json !== undefined) writeFileSync(flags.json, json);
  if (flags.quick || flags.rivals !== undefined || flags.measure !== undefined || flags.check) return false;
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, "latest.json"), json);
  writeFileSync(join(results, "latest.md"), `# Results\n\n${markdown(result)}`);
  for (const { file, svg } of plots(result)) writeFileSync(join(results, file), svg);
  return true;
}
