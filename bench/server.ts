import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { findBinary, prepareBinary } from "../runtime/store/postgres/embedded/binary.ts";
import { openLog, startChild } from "../runtime/store/postgres/embedded/child.ts";
import { findPlace, give } from "../runtime/store/postgres/embedded/place.ts";

/** A server that this run uses. */
export interface Server {
  /** Of the database `postgres`, or the one that was given. */
  readonly url: string;
  /** Where its files are; null if it was given. */
  readonly folder: string | null;
  stop(): Promise<void>;
}

/** As a tuned server of a small machine would have them; what makes commits durable stays on. */
const settings = {
  shared_buffers: "1GB",
  max_wal_size: "4GB",
  checkpoint_timeout: "30min",
  max_connections: 300,
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  jit: "on",
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
};

/** Starts a PostgreSQL of its own, in a new folder below `.tasker/`: the binaries that tasker ships, else those it would find.
 *  @throws {Error} with the end of its log if it does not start */
export async function startPostgres(): Promise<Server> {
  const base = resolve(".tasker");
  mkdirSync(base, { recursive: true });
  const binary = findBinary();
  const { folder, owner } = findPlace(base, "bench");
  clearLeft(folder);
  const site = mkdtempSync(join(folder, "bench-"));
  give(site, owner);
  const bin = prepareBinary(binary, owner, folder);
  const data = join(site, "data");
  const log = (): ReturnType<typeof openLog> => openLog(join(site, "server.log"));
  const flags = ["-D", data, "-U", "tasker", "-E", "UTF8", "--locale=C", "--auth=trust", "--no-instructions"];
  const initLog = log();
  if ((await startChild([join(bin, "initdb"), ...flags], owner, initLog).ended) !== 0)
    throw new Error(`initdb failed; ${initLog.tail()}`);
  const port = await freePort();
  const extra = hasStatements(bin) ? { shared_preload_libraries: "pg_stat_statements" } : {};
  const given = Object.entries({ ...settings, port, ...extra }).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const serverLog = log();
  const child = startChild([join(bin, "postgres"), "-D", data, ...given], owner, serverLog);
  const url = `postgres://tasker@127.0.0.1:${port}/postgres`;
  const stop = async (): Promise<void> => {
    await child.stop();
    rmSync(site, { recursive: true, force: true });
  };
  while (!(await answers(url))) {
    if (child.running()) await sleep(50);
    else throw new Error(`PostgreSQL does not start; ${serverLog.tail()}`);
  }
  return { url, folder: site, stop };
}

/** Starts a redis-server of its own that writes its log each second; null where none is installed. */
export async function startRedis(): Promise<{
  readonly port: number;
  readonly version: string;
  stop(): Promise<void>;
} | null> {
  const { status, stdout } = spawnSync("redis-server", ["--version"], { encoding: "utf8" });
  if (status !== 0) return null;
  mkdirSync(resolve(".tasker"), { recursive: true });
  const dir = mkdtempSync(join(resolve(".tasker"), "redis-"));
  const port = await freePort();
  const flags = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "yes"];
  const child = spawn("redis-server", [...flags, "--appendfsync", "everysec"], { stdio: "ignore" });
  const ended = new Promise((done) => child.once("exit", done));
  await sleep(300);
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
  return { port, version: /v=([\d.]+)/.exec(stdout)?.[1] ?? "?", stop };
}

/** Removes what runs that were killed have left; a server that lives has its pid file, and is let alone. */
function clearLeft(folder: string): void {
  for (const name of readdirSync(folder)) {
    const left = /^bench-\w{6}$/.test(name) && !existsSync(join(folder, name, "data", "postmaster.pid"));
    if (left) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function hasStatements(bin: string): boolean {
  const libraries = ["../lib/postgresql", "../lib"].map((path) => join(dirname(bin), "bin", path));
  return libraries.some((path) => existsSync(join(path, "pg_stat_statements.so")));
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 1000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, fail) => server.once("error", fail).listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}
