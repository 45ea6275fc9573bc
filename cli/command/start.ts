import type { Command } from "../command.ts";
import type { Settings } from "../config.ts";
import { announce, embed, hold, locate, noDatabase, type Database } from "../database.ts";
import { BadUsage } from "../error.ts";
import { serveHttp } from "../http.ts";
import { hidden } from "../../sdk/client/source.ts";

/** `tasker start`: runs jobs, for production. */
export const start: Command = {
  usage: "start [...paths]",
  about: "Run jobs, in production: JSON logs, orderly stop at SIGTERM",
  takes: "worker",
  flags: [
    {
      flag: "--embedded",
      about:
        "Without a database URL: use an embedded Postgres in .tasker/, where other commands of this folder find it",
    },
  ],
  examples: [
    "tasker start",
    "tasker start dist/jobs --slots 200",
    "tasker start --queues mail=5 --database-url postgres://app@db/app",
    "tasker start --http 0.0.0.0:4747 --http-tokens @/run/secrets/tokens",
  ],
  run: async ({ args, given, out, settings }) => {
    const read = withPaths(await settings(), args);
    const wanted = out.json ? ({ ...read, logFormat: "json" } as const) : read;
    const [{ logger: loggerOf }, { loadJobs }, { runtimeOf, work }, { openStore }] = await Promise.all([
      import("../view/logger.ts"),
      import("../load.ts"),
      import("../worker.ts"),
      import("../../runtime/store/open.ts"),
    ]);
    const logger = loggerOf(wanted);
    const jobs = await loadJobs(wanted);
    const serve = async (database: Database, ready?: () => void): Promise<number> => {
      const store = await openStore(database.url, database);
      const runtime = runtimeOf(wanted, { store, jobs, logger });
      logger.info({ database: runtime.store.name, from: database.from }, "Database chosen");
      const api = { target: async () => runtime.store, runtime, logger };
      const serve = wanted.http.listen === null ? undefined : () => serveHttp(wanted, api);
      return work(runtime, { grace: wanted.grace, logger, serve, ...(ready && { ready }) });
    };
    const known = locate(wanted);
    if (known) return held(known, serve);
    if (!given.on("embedded")) throw noDatabase();
    logger.info({}, `Starting Postgres in ${hidden}/; this takes a few seconds`);
    const { embedded, database } = await embed(wanted.schema, logger);
    let note: ReturnType<typeof announce> | undefined;
    try {
      return await serve(database, () => void (note = announce(database, "start")));
    } finally {
      note?.remove();
      await embedded.stop();
    }
  },
};

async function held(database: Database, serve: (database: Database) => Promise<number>): Promise<number> {
  const found = await hold(database);
  try {
    return await serve(database);
  } finally {
    found?.release();
  }
}

/** Settings whose jobs are the paths that were given, if any were. */
export function withPaths(settings: Settings, paths: readonly string[]): Settings {
  if (paths.length === 0) return settings;
  if (settings.source("jobs") === "--jobs") throw new BadUsage("paths and --jobs were given; give one of them");
  return { ...settings, jobs: paths, base: process.cwd() };
}
