import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, statSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";
import { StoreUnusable } from "../../../../sdk/port/error.ts";
import { isAlive } from "../../../../sdk/client/source.ts";
import { type Child, openLog, startChild } from "./child.ts";
import { joinHold, makeHold } from "./hold.ts";
import type { Owner } from "./place.ts";

/** Paths and settings of a server. */
export interface Site {
  readonly bin: string;
  readonly owner: Owner;
  readonly data: string;
  readonly secret: string;
  readonly log: string;
  readonly fsync: boolean;
}

/** A server that we use. */
export interface Running {
  readonly pid: number;
  readonly port: number;
  readonly version: string;
  /** Resolves when the server has ended; never if another process started it. */
  readonly ended: Promise<void>;
  /** Releases the server, and waits for its end if this process started it and nobody else uses it. */
  stop(): Promise<void>;
}

/** The URL of a database, with the password.
 *  @throws {StoreUnusable} if the password can't be read */
export function address(site: Site, port: number, database: string): string {
  return `postgres://tasker:${password(site)}@127.0.0.1:${port}/${database}`;
}

/** Joins the server of this data, or returns null. Waits up to 30 s for one that is starting or stopping.
 *  @throws {StoreUnusable} if it does not let us in */
export async function findRunning(site: Site): Promise<Running | null> {
  const end = performance.now() + 30_000;
  for (let odd = 0; ; await pause(20)) {
    const noted = readPidFile(site.data);
    if (!noted || !isAlive(noted.pid)) return null;
    if (!serves(noted.pid, site.data)) {
      rmSync(join(site.data, "postmaster.pid"), { force: true }); // it would keep the server from starting
      return null;
    }
    const answer = noted.ready ? await knock(site, noted.port) : "wait";
    if (typeof answer === "object") {
      const hold = joinHold(site.data);
      if (hold || ++odd === 50) {
        const stop = () => Promise.resolve(void hold?.release());
        return { ...noted, ...answer, stop, ended: new Promise(() => undefined) };
      }
      continue; // it is about to end, or has no guard if this lasts
    }
    if (answer === "refused") odd++;
    if (answer !== "silent" && odd < 50 && performance.now() < end) continue;
    throw new StoreUnusable(
      `process ${noted.pid} holds "${site.data}", but does not answer; end it, or see what it says in "${site.log}"`,
    );
  }
}

/** Starts the server, and waits until it lets us in.
 *  @throws {StoreUnusable} if it does not start, with the end of its log */
export async function serve(site: Site): Promise<Running> {
  for (let tries = 1; ; tries++) {
    const started = await launch(site);
    if ("pid" in started) return started;
    // Another program may have taken the port meanwhile.
    if (tries < 3 && /could not bind/.test(started.failed)) continue;
    throw new StoreUnusable(`the embedded PostgreSQL in "${site.data}" does not start; ${started.failed}`);
  }
}

async function launch(site: Site): Promise<Running | { readonly failed: string }> {
  const port = await freePort();
  const log = openLog(site.log);
  const { input, hold } = makeHold(site.data);
  const child = startChild([join(site.bin, "postgres"), "-D", site.data, ...flags(site, port)], site.owner, log, input);
  const stop = async (): Promise<void> => {
    if (!hold.release()) await child.stop();
  };
  try {
    const running = await ready(site, port, child);
    if (running) {
      child.unref();
      return { ...running, stop, ended: child.ended.then(() => undefined) };
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const late = child.running() ? "it was not ready within 2 minutes; " : "";
  await stop();
  return { failed: late + log.tail() };
}

async function ready(site: Site, port: number, child: Child): Promise<Omit<Running, "stop" | "ended"> | null> {
  const end = performance.now() + 120_000; // after a crash it replays its log
  for (; child.running() && performance.now() < end; await pause(10)) {
    const noted = readPidFile(site.data);
    if (!noted?.ready || noted.port !== port) continue; // the file may be that of an earlier server
    const answer = await knock(site, port);
    if (typeof answer === "object") return { ...noted, ...answer };
  }
  return null;
}

function flags(site: Site, port: number): string[] {
  const settings = {
    port,
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    shared_buffers: "64MB",
    max_connections: 200,
    timezone: "UTC",
    log_timezone: "UTC",
    ...(site.fsync ? {} : { fsync: "off", full_page_writes: "off" }),
  };
  return Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, fail) => server.once("error", fail).listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

/** Reads postmaster.pid: the process is in line 1, the port in line 4, "ready" in line 8. */
function readPidFile(data: string): { readonly pid: number; readonly port: number; readonly ready: boolean } | null {
  const lines = read(join(data, "postmaster.pid"))?.split("\n");
  return lines ? { pid: Number(lines[0]), port: Number(lines[3]), ready: lines[7]?.trim() === "ready" } : null;
}

/** Whether a process is the server of this data, and not a later one with the same id. PostgreSQL's working directory is its data folder; if
 *  the system does not tell, the name of the program decides. */
function serves(pid: number, data: string): boolean {
  try {
    const [there, here] = [statSync(`/proc/${pid}/cwd`), statSync(data)];
    return there.dev === here.dev && there.ino === here.ino;
  } catch {
    const { status, stdout } = spawnSync("ps", ["-o", "comm=", "-p", String(pid)], { encoding: "utf8" });
    return status !== 0 || stdout.includes("postgres");
  }
}

/** Logs in, which proves that the server is ours, and creates the database `tasker` if it is missing. */
async function knock(site: Site, port: number): Promise<Pick<Running, "version"> | Refusal> {
  const client = new Client({ connectionString: address(site, port, "postgres"), connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined); // the query fails, too
  try {
    await client.connect();
    const { rows } = await client.query<{ version: string; made: boolean }>(
      "select current_setting('server_version') as version, exists(select from pg_database where datname = 'tasker') as made",
    );
    if (!rows[0]?.made) await client.query("create database tasker");
    return { version: /^[\d.]+/.exec(rows[0]?.version ?? "")?.[0] ?? "" };
  } catch (error) {
    return refusal(site, error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** `refused`: nothing listens. `wait`: starting or stopping. `silent`: it does not answer. */
type Refusal = "refused" | "wait" | "silent";

function refusal(site: Site, error: unknown): Refusal {
  const { code, message } = error as { readonly code?: string; readonly message?: string };
  if (code === "ECONNREFUSED" || code === "ECONNRESET") return "refused";
  if (code === "57P03" || code === "57P01") return "wait"; // starting, or shutting down
  if (message === "timeout expired") return "silent"; // pg's own error, without a code
  if (code !== "28P01") throw error;
  throw new StoreUnusable(
    `the password in "${site.secret}" is not that of "${site.data}"; put the right one back, or remove both to begin anew`,
    { cause: error },
  );
}

function password(site: Site): string {
  const found = read(site.secret)?.trim();
  if (found) return found;
  throw new StoreUnusable(
    `the password of "${site.data}" is not in "${site.secret}" any more; put it back, or remove both to begin anew`,
  );
}

/** A file's text, or null if it is not there. */
function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
