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
import { address, findRunning, type Running, serve, type Site } from "./embedded/server.ts";

/** Where the server keeps its data, and whether commits wait for the disk. */
export interface EmbeddedOptions {
  /** The project's folder for tasker's files, as `.tasker`; made if missing. */
  readonly dir: string;
  /** Default true. False is for tests: a crash of the machine may lose everything, one of a process nothing. */
  readonly fsync?: boolean;
}

/** A running server. */
export interface Embedded {
  /** Of the database `tasker`, with the password. */
  readonly url: string;
  /** As in "18.4". */
  readonly version: string;
  /** True if another call, here or in another process, had started it. */
  readonly reused: boolean;
  /** Of the server. */
  readonly pid: number;
  /** The folder with the data: `<dir>/pg<major>`, or one below the system's temp folder (see `startEmbedded`). */
  readonly data: string;
  /** What its user should hear: that the binaries are the system's, and why. Null: they are the package's, or TASKER_PG_BIN's. */
  readonly notice: string | null;
  /** Resolves when the server has ended, however that came; never for one that another process had started. */
  readonly ended: Promise<void>;
  /** Gives the server up. It ends when the last that uses it does so: no new connections, running transactions aborted, all
   *  written. Whoever started it and is the last waits for that. Twice is once. */
  stop(): Promise<void>;
}

/** Starts the PostgreSQL server of a project, or joins the one that already runs there.
 *
 *  The data lie in `<dir>/pg<major>`, the password beside it (0600), the log in `<dir>/postgres.log`. The server listens on
 *  127.0.0.1 alone, on a free port. It ends with the last process that uses it, by `stop` or however that dies: if the one that
 *  started it is killed, the others go on. `fsync` is the first starter's.
 *
 *  Root's server runs as `postgres` or `nobody`. If that user can't enter `dir`, the data (and, if need be, a copy of the
 *  binaries) lie in a folder of the project's own below the system's temp folder, which some systems empty in time.
 *  @throws {StoreUnusable} no binaries, data of another major, or a server that does not start, with the end of its log */
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
  const { site, notice } = survey(dir, fsync);
  const running = await findRunning(site);
  if (running) return { ...shown(site, running), notice, reused: true, ended: new Promise(() => undefined) };
  if (!existsSync(join(site.data, "PG_VERSION"))) await create(site);
  const started = await serve(site);
  return { ...shown(site, started), notice, reused: false, ended: started.ended.then(() => undefined) };
}

function shown(site: Site, { pid, port, version, stop }: Running): Omit<Embedded, "notice" | "reused" | "ended"> {
  return { url: address(site, port, "tasker"), version, pid, data: site.data, stop };
}

function survey(dir: string, fsync: boolean): { readonly site: Site; readonly notice: string | null } {
  const binary = findBinary();
  const name = `pg${binary.major}`;
  const { folder, owner } = findPlace(dir, name);
  const data = join(folder, name);
  checkMajor(data, binary);
  const bin = prepareBinary(binary, owner, folder);
  const site = { bin, owner, data, secret: `${data}.password`, log: join(dir, "postgres.log"), fsync };
  return { site, notice: binary.notice };
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

/** initdb into a folder of its own, then rename: one that is cut short leaves a folder that looks whole and never starts. */
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

/** Tried for a while: an initdb whose starter was killed may still be writing, or taking back what it wrote. */
async function clearHalves(data: string): Promise<void> {
  const folder = dirname(data);
  const halves = readdirSync(folder).filter((name) => name.startsWith(`${basename(data)}.init-`));
  for (const half of halves.map((name) => join(folder, name))) {
    for (let tries = 0; existsSync(half) && tries < 100; tries++) {
      if (tries > 0) await pause(20);
      try {
        rmSync(half, { recursive: true, force: true });
      } catch {
        // not empty yet; what is left at last is in nobody's way, and goes at the next start
      }
    }
  }
}
