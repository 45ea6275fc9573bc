import { statSync } from "node:fs";
import { resolve } from "node:path";
import { configure } from "../sdk/config.ts";
import { humanMs } from "../sdk/duration.ts";
import type { JobSpec } from "../sdk/spec.ts";
import type { Logger } from "../runtime/index.ts";
import type { Command, Given } from "./command.ts";
import type { Settings } from "./config.ts";
import { announce, locate, type Database } from "./database.ts";
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
    const [{ logger: loggerOf }, { loadJobs }] = await Promise.all([import("./logger.ts"), import("./load.ts")]);
    const logger = loggerOf(wanted);
    const jobs = await loadJobs(wanted); // first: a file that can't be loaded shall not wait for a database
    const database = locate(wanted);
    const act = (chosen: Database): Promise<number> => serve(wanted, { database: chosen, jobs, script, logger });
    return database ? act(database) : withEmbedded(wanted, logger, act);
  },
};

interface Parts {
  readonly database: Database;
  readonly jobs: readonly JobSpec[];
  readonly script: Script | null;
  readonly logger: Logger;
}

/** The file of `--run`, and whether to stop after it. */
interface Script {
  readonly file: string;
  readonly once: boolean;
}

async function serve(settings: Settings, { database, jobs, script, logger }: Parts): Promise<number> {
  const { runtimeOf, work } = await import("./worker.ts");
  const runtime = await runtimeOf(settings, { database, jobs, logger });
  logger.info({ database: runtime.store.name, from: database.from }, "Database chosen");
  configure({ store: runtime.store });
  let note: ReturnType<typeof announce> = null;
  try {
    return await work(runtime, {
      grace: settings.grace,
      logger,
      ready: () => {
        note = announce(database, "dev");
        logger.info(
          {},
          `Ready after ${humanMs(performance.now())}; add a run from another terminal with: tasker trigger <job> [payload]; restart to load changed jobs; Ctrl-C stops`,
        );
      },
      until: (stop) => (script ? play(script, stop) : never),
    });
  } finally {
    (note as ReturnType<typeof announce>)?.remove(); // TypeScript doesn't see that `ready` is called
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
