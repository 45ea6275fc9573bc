import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { StoreUnusable, TaskerError } from "../../../sdk/port/error.ts";
import { locked } from "../lock.ts";
import { type Binary, findBinary, prepareBinary } from "./embedded/binary.ts";
import { openLog, startChild } from "./embedded/child.ts";
import { findPlace, give } from "./embedded/place.ts";
import { address, findRunning, serve, type Site } from "./embedded/server.ts";

export interface EmbeddedOptions {
  /** The folder for tasker's files, as `.tasker`; created if missing. */
  readonly dir: string;
  /** Whether commits wait for the disk; true by default. False, for tests, risks all data if the machine crashes. */
  readonly fsync?: boolean;
}

export interface Embedded {
  /** The URL of the database `tasker`, with the password. */
  readonly url: string;
  /** As in "18.4". */
  readonly version: string;
  /** Whether another call or process had started it. */
  readonly reused: boolean;
  readonly pid: number;
  /** The data folder: `<dir>/pg<major>`, or one below the system's temp folder (see `startEmbedded`). */
  readonly data: string;
  /** Set if the binaries are the system's, with the reason. */
  readonly notice: string | null;
  /** Resolves when the server has ended; never if another process started it. */
  readonly ended: Promise<void>;
  /** Releases the server, which shuts down once nobody uses it. The process that started it waits for that if it is the last. May be
   *  repeated. */
  stop(): Promise<void>;
}

/** Starts the PostgreSQL server of a project, or joins the one that already runs there. It listens on 127.0.0.1, on a free port, and shuts
 *  down with the last process that uses it, however that ends. `fsync` is that of the first process.
 *  The data are in `<dir>/pg<major>`, the password (0600) is beside it, the log in `<dir>/postgres.log`. As root, the server runs as
 *  `postgres` or `nobody`. If that user can't enter `dir`, the data, and a copy of the binaries if need be, are in a folder below the
 *  system's temp folder.
 *  @throws {StoreUnusable} no binaries, data of another major version, or a server that does not start, with the end of its log */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  if (process.platform === "win32") {
    throw new StoreUnusable(
      "the embedded PostgreSQL does not run on Windows; use WSL, or set TASKER_DATABASE_URL to a server",
    );
  }
  const dir = resolve(options.dir);
  try {
    mkdirSync(dir, { recursive: true });
    return await locked(join(dir, "postgres.lock"), () => open(dir, options.fsync ?? true));
  } catch (error) {
    if (error instanceof TaskerError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new StoreUnusable(
      `the embedded PostgreSQL in "${dir}" can't be started: ${why}; mend that, or set TASKER_DATABASE_URL to a server`,
      { cause: error },
    );
  }
}

async function open(dir: string, fsync: boolean): Promise<Embedded> {
  const binary = findBinary();
  const name = `pg${binary.major}`;
  const { folder, owner } = findPlace(dir, name);
  const data = join(folder, name);
  checkMajor(data, binary);
  const bin = prepareBinary(binary, owner, folder);
  const site = { bin, owner, data, secret: `${data}.password`, log: join(dir, "postgres.log"), fsync };

  const running = await findRunning(site);
  if (!running && !existsSync(join(data, "PG_VERSION"))) await create(site);
  const { pid, port, version, stop, ended } = running ?? (await serve(site));
  const url = address(site, port, "tasker");
  return { url, version, pid, data, stop, ended, notice: binary.notice, reused: running !== null };
}

function checkMajor(data: string, { bin, major, version }: Binary): void {
  const file = join(data, "PG_VERSION");
  if (!existsSync(file)) return;
  const found = readFileSync(file, "utf8").trim();
  if (found === String(major)) return;
  throw new StoreUnusable(
    `"${data}" holds data of PostgreSQL ${found}, but "${bin}" is PostgreSQL ${version}; name the binaries of ${found} in TASKER_PG_BIN, or move the folder away`,
  );
}

/** Runs initdb in a temporary folder and renames it: an interrupted initdb leaves a folder that never starts. */
async function create(site: Site): Promise<void> {
  await clearHalves(site.data);
  const half = mkdtempSync(`${site.data}.init-`);
  give(half, site.owner);
  rmSync(site.secret, { force: true });
  writeFileSync(site.secret, randomBytes(24).toString("hex"), { mode: 0o600, flag: "wx" });
  give(site.secret, site.owner);

  const log = openLog(site.log);
  const flags = ["-E", "UTF8", "--locale=C", "--no-instructions", ...(site.fsync ? [] : ["--no-sync"])];
  const login = ["-U", "tasker", "--auth=scram-sha-256", `--pwfile=${site.secret}`];
  const child = startChild([join(site.bin, "initdb"), "-D", half, ...login, ...flags], site.owner, log);
  if ((await child.ended) !== 0) {
    throw new StoreUnusable(`the embedded PostgreSQL can't make its data folder "${site.data}"; ${log.tail()}`);
  }
  renameSync(half, site.data);
}

/** Repeated for a while: an initdb whose parent was killed may still be writing. */
async function clearHalves(data: string): Promise<void> {
  const folder = dirname(data);
  const halves = readdirSync(folder).filter((name) => name.startsWith(`${basename(data)}.init-`));
  for (const half of halves.map((name) => join(folder, name))) {
    for (let tries = 0; existsSync(half) && tries < 100; tries++) {
      if (tries > 0) await pause(20);
      try {
        rmSync(half, { recursive: true, force: true });
      } catch {
        // not empty yet; left for the next start
      }
    }
  }
}
