import type { Command, Given } from "./command.ts";
import type { Settings } from "./config.ts";
import { hidden, locate, noDatabase, type Database } from "./database.ts";
import { BadUsage } from "./error.ts";

/** `tasker start`: runs jobs, for production. */
export const start: Command = {
  usage: "start [...paths]",
  about: "Run jobs, in production: JSON logs, orderly stop at SIGTERM",
  takes: "worker",
  flags: [{ flag: "--embedded", about: "Without a database URL: use an embedded Postgres in .tasker/" }],
  examples: [
    "tasker start",
    "tasker start dist/jobs --slots 200",
    "tasker start --queues mail=5 --database-url postgres://app@db/app",
  ],
  run: async ({ args, given, out, settings }) => {
    const read = withPaths(await settings(), args);
    const wanted = out.json ? ({ ...read, logFormat: "json" } as const) : read;
    const [{ logger: loggerOf }, { loadJobs }, { runtimeOf, work }] = await Promise.all([
      import("./logger.ts"),
      import("./load.ts"),
      import("./worker.ts"),
    ]);
    const logger = loggerOf(wanted);
    const jobs = await loadJobs(wanted);
    return withDatabase(wanted, given, async (database) => {
      const runtime = await runtimeOf(wanted, { database, jobs, logger });
      logger.info({ database: runtime.store.name, from: database.from }, "Database chosen");
      return work(runtime, { grace: wanted.grace, logger });
    });
  },
};

/** Settings whose jobs are the paths that were given, if any were. */
export function withPaths(settings: Settings, paths: readonly string[]): Settings {
  if (paths.length === 0) return settings;
  if (settings.source("jobs") === "--jobs") throw new BadUsage("paths and --jobs were given; give one of them");
  return { ...settings, jobs: paths, base: process.cwd() };
}

async function withDatabase(
  settings: Settings,
  given: Given,
  act: (database: Database) => Promise<number>,
): Promise<number> {
  const database = locate(settings);
  if (database) return act(database);
  if (!given.on("embedded")) throw noDatabase();
  return withEmbedded(settings, act);
}

/** Starts the embedded Postgres of the folder, calls, and stops it whatever happens. One that another process had started is
 *  shared, and left running. */
export async function withEmbedded(settings: Settings, act: (database: Database) => Promise<number>): Promise<number> {
  const { startEmbedded } = await import("../runtime/store/postgres/embedded.ts");
  const embedded = await startEmbedded({ dir: hidden });
  try {
    return await act({
      url: embedded.url,
      schema: settings.schema,
      from: `embedded Postgres ${embedded.version} in ${hidden}/`,
    });
  } finally {
    await embedded.stop();
  }
}
