import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { configure } from "../sdk/config.ts";
import { humanMs } from "../sdk/duration.ts";
import type { JobSpec } from "../sdk/spec.ts";
import type { Command, Given } from "./command.ts";
import type { Settings } from "./config.ts";
import { hidden, locate, running, type Database } from "./database.ts";
import { BadUsage, FileBroken, exit } from "./error.ts";
import { load } from "./module.ts";
import { withEmbedded, withPaths } from "./start.ts";

/** `tasker dev`: runs jobs on a laptop, with nothing installed. */
export const dev: Command = {
  usage: "dev [...paths]",
  about: "Run jobs while you write them, on an embedded Postgres in .tasker/",
  takes: "worker",
  flags: [
    {
      flag: "--run <file>",
      about: "Call this file's default export once all is ready; it may trigger runs and return them",
    },
    { flag: "--once", about: "With --run: stop when the runs that it returned are over" },
  ],
  examples: [
    "tasker dev",
    "tasker dev examples/demo --run examples/demo/_start.ts",
    "tasker dev --run start.ts --once",
  ],
  run: async ({ args, given, out, settings }) => {
    const read = withPaths(await settings(), args);
    const wanted: Settings = { ...read, logFormat: out.json ? "json" : (read.logFormat ?? "pretty") };
    const script = scriptOf(given);
    const { loadJobs } = await import("./load.ts");
    const jobs = await loadJobs(wanted); // first: a file that can't be loaded shall not wait for a database
    const database = locate(wanted);
    const act = (chosen: Database): Promise<number> => serve(wanted, { database: chosen, jobs, script });
    return database ? act(database) : withEmbedded(wanted, act);
  },
};

/** The file of `--run`, and whether to stop after it. */
interface Script {
  readonly file: string;
  readonly once: boolean;
}

async function serve(
  settings: Settings,
  {
    database,
    jobs,
    script,
  }: { readonly database: Database; readonly jobs: readonly JobSpec[]; readonly script: Script | null },
): Promise<number> {
  const [{ logger: loggerOf }, { runtimeOf, work }] = await Promise.all([import("./logger.ts"), import("./worker.ts")]);
  const logger = loggerOf(settings);
  const runtime = await runtimeOf(settings, { database, jobs, logger });
  logger.info({ database: runtime.store.name, from: database.from }, "Database chosen");
  configure({ store: runtime.store });
  let note: { remove(): void } | null = null;
  try {
    return await work(runtime, {
      grace: settings.grace,
      logger,
      ready: () => {
        note = writeNote(database);
        logger.info(
          {},
          `Ready after ${humanMs(performance.now())}; add a run from another terminal with: tasker trigger <job> [payload]`,
        );
      },
      until: (stop) => (script ? play(script, stop) : never),
    });
  } finally {
    (note as { remove(): void } | null)?.remove(); // TypeScript doesn't see that `ready` is called
  }
}

const never = new Promise<number>(() => undefined);

function scriptOf(given: Given): Script | null {
  const file = given.text("run");
  const once = given.on("once");
  if (file === null && once) throw new BadUsage("--once needs --run <file>, whose runs it waits for");
  if (file === null) return null;
  if (!statSync(file, { throwIfNoEntry: false })?.isFile())
    throw new BadUsage(`--run: "${file}" is no file; give one whose default export triggers runs`);
  return { file: resolve(file), once };
}

/** Calls the script, and with `--once` waits until all runs that it returned are over, failed ones included. */
async function play({ file, once }: Script, stop: AbortSignal): Promise<number> {
  const returned = await called(file);
  if (!once) return never;
  const handles = [returned].flat().filter(isHandle);
  await Promise.all(
    handles.map((run) =>
      run.result().catch((error: unknown) => {
        if ((error as { code?: unknown }).code !== "RUN_FAILED" && !stop.aborted) throw error; // a run that failed is over, too
      }),
    ),
  );
  return exit.ok;
}

async function called(file: string): Promise<unknown> {
  try {
    const { default: script } = await load(file);
    if (typeof script === "function") return await (script as () => unknown)();
  } catch (cause) {
    throw new FileBroken(`"${file}" failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  throw new BadUsage(
    `--run: "${file}" has no default export that is a function; write: export default async () => [await hello.trigger({ … })]`,
  );
}

interface Handle {
  readonly id: string;
  result(): Promise<unknown>;
}

function isHandle(value: unknown): value is Handle {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as Partial<Handle>).id === "string" &&
    typeof (value as Partial<Handle>).result === "function"
  );
}

/** Tells the commands and the triggers of this folder where the database is, readable by this user alone. Where another
 *  `tasker dev` has told so already, that stays. */
function writeNote({ url, schema }: Database): { remove(): void } | null {
  if (running(process.cwd())) return null;
  const path = resolve(join(hidden, "dev.json"));
  mkdirSync(resolve(hidden), { recursive: true });
  rmSync(path, { force: true }); // an old one would keep its mode
  writeFileSync(path, JSON.stringify({ url, schema, pid: process.pid }), { mode: 0o600 });
  return { remove: () => rmSync(path, { force: true }) };
}
