import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Logger } from "../runtime/index.ts";
import type { Embedded, Hold } from "../runtime/store/admin.ts";
import type { Guarded } from "../runtime/store/port.ts";
import type { Settings } from "./config.ts";
import { BadUsage } from "./error.ts";
import { redact } from "./view/redact.ts";
import { hidden, running, type Note } from "../sdk/client/source.ts";

/** Which database to use, and why; `from` is for people. */
export interface Database {
  readonly url: string;
  readonly schema: string;
  /** Undefined: found out. */
  readonly prepare?: boolean | undefined;
  readonly from: string;
  /** The data folder, if the server is an embedded one. */
  readonly data?: string | undefined;
}

/** The database of a command: `--database-url`, else `TASKER_DATABASE_URL`, else the config file, else that of the running
 *  `tasker dev` (or `start --embedded`) of this folder or one above. Null: none of them. Other variables and local servers are never tried.
 *  @throws {BadUsage} for an address that is not one of a Postgres. */
export function locate(
  settings: Pick<Settings, "databaseUrl" | "schema" | "prepare" | "source">,
  cwd: string = process.cwd(),
): Database | null {
  const { databaseUrl: url, schema, prepare, source } = settings;
  const from = source("databaseUrl") ?? "settings";
  if (url) return { url: checked(url, from), schema, prepare: prepare ?? undefined, from };
  const note = running(cwd);
  if (!note) return null;
  const { command, pid, data } = note;
  return {
    url: note.url,
    schema: source("schema") ? schema : note.schema,
    from: `tasker ${command} (pid ${pid})`,
    data,
  };
}

/** Leaves the note of this process in a folder, readable by this user alone. It goes with `remove`, or with the process, however that
 *  exits. Where another process has left one already, that stays, and null is answered. */
export function announce(
  { url, schema, data }: Database,
  command: Note["command"],
  { http, cwd = process.cwd() }: { readonly http?: string | undefined; readonly cwd?: string } = {},
): { remove(): void } | null {
  if (running(cwd)) return null;
  const path = resolve(cwd, hidden, "dev.json");
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true }); // an old one would keep its mode
  writeFileSync(path, JSON.stringify({ url, schema, pid: process.pid, command, data, http } satisfies Note), {
    mode: 0o600,
  });
  const drop = (): void => rmSync(path, { force: true });
  process.once("exit", drop); // a second signal exits without `finally`
  return {
    remove() {
      process.off("exit", drop);
      drop();
    },
  };
}

/** Starts the embedded server of this folder, or joins it, and says where its binaries are not our own. */
export async function embed(
  schema: string,
  logger: Pick<Logger, "warn">,
): Promise<{ readonly embedded: Embedded; readonly database: Database }> {
  const { startEmbedded } = await import("../runtime/store/admin.ts");
  const embedded = await startEmbedded({ dir: hidden });
  const { url, version, data, notice } = embedded;
  if (notice && !embedded.reused) logger.warn({}, notice);
  return { embedded, database: { url, schema, from: `embedded Postgres ${version} in ${hidden}/`, data } };
}

/** Holds the server of a database, if it is an embedded one of another process: it outlives that process then. */
export async function hold({ data }: Database): Promise<Hold | null> {
  if (data === undefined) return null;
  const { joinEmbedded } = await import("../runtime/store/admin.ts");
  return joinEmbedded(data);
}

/** Opens the database of a command that people wait for: one that is away is an error within seconds. The schema is brought up
 *  to date only if `migrate` says so: looking at a database changes nothing in it.
 *  @throws {BadUsage} if no way leads to a database.
 *  @throws {StoreUnavailable} if it does not answer within 5 s. */
async function connect(settings: Settings, migrate: boolean): Promise<Guarded> {
  const database = locate(settings);
  if (!database) throw noDatabase();
  const { openStore } = await import("../runtime/store/open.ts");
  const store = await openStore(database.url, database);
  try {
    if (migrate) await store.open(AbortSignal.timeout(5000)); // else it connects at the first call
    return store;
  } catch (error) {
    await store.close().catch(() => undefined); // what went wrong first is what people need to hear
    throw error;
  }
}

/** Connects, calls, and closes whatever happens. `migrate`: bring the schema up to date first; false by default. */
export async function withStore<T>(
  settings: Settings,
  act: (store: Guarded) => Promise<T>,
  migrate = false,
): Promise<T> {
  const store = await connect(settings, migrate);
  try {
    return await act(store);
  } finally {
    await store.close();
  }
}

/** The error that names every way to a database. */
export function noDatabase(): BadUsage {
  return new BadUsage(
    'no database is known; give --database-url, set TASKER_DATABASE_URL, set databaseUrl in tasker.config.ts, or start "tasker dev" in this folder',
  );
}

function checked(url: string, from: string): string {
  if (/^postgres(ql)?:\/\//i.test(url)) return url;
  if (/^memory:/i.test(url))
    throw new BadUsage(
      `${from}: a store in memory ends with its process, and no other can reach it; name a Postgres, or leave it out and use "tasker dev"`,
    );
  throw new BadUsage(`${from}: "${redact(url)}" is not the address of a Postgres; write it like ${example}`);
}

const example = "postgres://user:password@host:5432/database";
