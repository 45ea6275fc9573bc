import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type pg from "pg";
import type { Acts } from "./act.ts";
import { now, type Place } from "./contender.ts";
import type { Entrant } from "./field.ts";
import type { Counted } from "./tally.ts";

/** A process with a contender in it. */
export interface Player {
  readonly do: Acts;
  readonly pid: number;
  /** The latest report of its worker. */
  counted(): Counted;
}

/** What one repetition of one measure works with: a database of its own, processes of its own. */
export interface Stage {
  readonly entrant: Entrant;
  readonly place: Place;
  /** A process with the contender opened in it; the first call installs. One that keeps all in memory has but one process. */
  player(): Promise<Player>;
  /** Waits until the players' workers have handled `count` jobs in all. @returns `now()` at the last of them */
  handled(players: readonly Player[], count: number): Promise<number>;
  /** WAL bytes and client statements since the database was made; statements null where they are not counted. */
  usage(): Promise<Usage>;
  /** Starts a process that only starts a worker. @returns ms from the start to its first handler */
  cold(): Promise<number>;
}

export interface Usage {
  readonly wal: number;
  readonly statements: number | null;
}

export interface StageOptions {
  readonly admin: pg.Client;
  readonly url: string;
  readonly redisPort: number | null;
  /** Of what was compiled. */
  readonly dist: string;
  readonly statements: boolean;
  readonly timeoutMs: number;
}

let serial = 0;

/** Runs `act` on a new stage, and clears it away whatever happens: the database, and each process that was started. */
export async function onStage<T>(
  options: StageOptions,
  { entrant, goal }: { readonly entrant: Entrant; readonly goal: Place["goal"] },
  act: (stage: Stage) => Promise<T>,
): Promise<T> {
  const { admin, url, redisPort } = options;
  const database = `tasker_bench_${process.pid}_${++serial}`;
  if (entrant.store === "postgres") {
    await admin.query(`create database ${database}`);
    await admin.query("checkpoint"); // none shall be due in the middle
  }
  if (entrant.store === "redis" && redisPort !== null) await flushRedis(redisPort);
  const own = new URL(url);
  own.pathname = `/${database}`;
  const place: Place = { url: own.href, redisPort, root: `${pathToFileURL(options.dist).href}/`, goal };
  const children: ChildProcess[] = [];
  const limit = new AbortController();
  const timer = setTimeout(
    () => limit.abort(new Error(`not done after ${options.timeoutMs / 1000} s`)),
    options.timeoutMs,
  );
  const late = new Promise<never>((_, fail) => limit.signal.addEventListener("abort", () => fail(limit.signal.reason)));
  late.catch(() => undefined);
  try {
    return await Promise.race([act(stage(options, { entrant, place, database, children })), late]);
  } finally {
    clearTimeout(timer);
    for (const child of children) child.kill("SIGKILL");
    if (entrant.store === "postgres") await admin.query(`drop database if exists ${database} with (force)`);
  }
}

interface Set {
  readonly entrant: Entrant;
  readonly place: Place;
  readonly database: string;
  readonly children: ChildProcess[];
}

function stage(options: StageOptions, { entrant, place, database, children }: Set): Stage {
  let installed = false;
  let solo: Player | null = null;
  let walAtStart: Promise<number> | null = null;
  return {
    entrant,
    place,
    async player() {
      walAtStart ??= walOf(options.admin);
      if (entrant.store === "memory" && solo) return solo;
      const made = await player(join(options.dist, "process.js"), children);
      await made.do.open({ file: entrant.file, variant: entrant.variant, place });
      if (!installed) await made.do.install();
      installed = true;
      return (solo = made);
    },
    async handled(players, count) {
      const sum = (): number => players.reduce((all, each) => all + each.counted().count, 0);
      while (sum() < count) await new Promise((done) => setTimeout(done, 5));
      return Math.max(...players.map((each) => each.counted().lastMs));
    },
    async usage() {
      const wal = (await walOf(options.admin)) - ((await walAtStart) ?? 0);
      return { wal, statements: options.statements ? await statementsOf(options.admin, database) : null };
    },
    cold() {
      const args = [JSON.stringify(place), entrant.file, entrant.variant ?? ""];
      const startedMs = now();
      const child = spawnNode(join(options.dist, "cold.js"), args, children);
      return new Promise((done, fail) => {
        let tookMs: number | null = null;
        child.once("message", (message) => {
          tookMs = (message as { startedMs: number }).startedMs - startedMs;
          child.kill("SIGKILL");
        });
        child.once("exit", (code) => {
          if (tookMs === null) fail(new Error(`it ended with ${code}; ${tailOf(child)}`));
          else done(tookMs);
        });
      });
    },
  };
}

async function player(file: string, children: ChildProcess[]): Promise<Player> {
  const child = spawnNode(file, [], children);
  const waiting = new Map<number, { done: (answer: unknown) => void; fail: (error: Error) => void }>();
  let counted: Counted = { count: 0, lastMs: 0 };
  let next = 0;
  let ready: () => void = () => undefined;
  const starting = new Promise<void>((done) => (ready = done));
  child.on("message", (message: { ready?: true; counted?: Counted; id?: number; answer?: unknown; error?: string }) => {
    if (message.ready) return ready();
    if (message.counted) return void (counted = message.counted);
    const asked = waiting.get(message.id!);
    waiting.delete(message.id!);
    if (message.error !== undefined) asked?.fail(new Error(message.error));
    else asked?.done(message.answer);
  });
  child.once("exit", (code, signal) => {
    for (const { fail } of waiting.values())
      fail(new Error(`its process ended with ${code ?? signal}; ${tailOf(child)}`));
  });
  await starting;
  const send = (act: string, call: unknown): Promise<unknown> =>
    new Promise((done, fail) => {
      const id = next++;
      waiting.set(id, { done, fail });
      child.send({ id, act, call }, (error) => error && fail(error));
    });
  const acts = new Proxy({}, { get: (_, act: string) => (call: unknown) => send(act, call) }) as Acts;
  return { do: acts, pid: child.pid!, counted: () => counted };
}

/** What a process last wrote to stderr. */
const tails = new WeakMap<ChildProcess, string>();
const tailOf = (child: ChildProcess): string =>
  tails.get(child)?.trim().split("\n").slice(-3).join(" | ") || "it said nothing";

function spawnNode(file: string, args: readonly string[], children: ChildProcess[]): ChildProcess {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(TASKER_|NODE_OPTIONS$)/.test(name)),
  );
  const child = fork(file, args, {
    execArgv: [],
    env,
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  child.stderr?.on("data", (data) => tails.set(child, ((tails.get(child) ?? "") + String(data)).slice(-4000)));
  children.push(child);
  return child;
}

async function walOf(admin: pg.Client): Promise<number> {
  const { rows } = await admin.query<{ bytes: string }>("select pg_current_wal_lsn() - '0/0'::pg_lsn as bytes");
  return Number(rows[0]!.bytes);
}

async function statementsOf(admin: pg.Client, database: string): Promise<number> {
  const { rows } = await admin.query<{ calls: string | null }>(
    "select sum(calls) as calls from pg_stat_statements where dbid = (select oid from pg_database where datname = $1)",
    [database],
  );
  return Number(rows[0]!.calls ?? 0);
}

async function flushRedis(port: number): Promise<void> {
  const { connect } = await import("node:net");
  await new Promise<void>((done, fail) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("FLUSHALL\r\n"));
    socket.once("data", () => (socket.end(), done()));
    socket.once("error", fail);
  });
}
