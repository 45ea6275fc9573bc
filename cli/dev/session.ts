import { hostname } from "node:os";
import { basename, relative, resolve } from "node:path";
import { runsOf } from "../../sdk/client/runs.ts";
import { humanMs, toMs } from "../../sdk/port/duration.ts";
import { formatId } from "../../sdk/port/id.ts";
import type { Logger } from "../../runtime/index.ts";
import { logged, type LoggedError } from "../../runtime/core/log.ts";
import type { Embedded, Held, Hold } from "../../runtime/store/admin.ts";
import type { Served } from "../../runtime/http/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { names as configNames, type Settings } from "../config.ts";
import { announce, embed, hold, locate, type Database } from "../database.ts";
import type { Script } from "./script.ts";
import { exit } from "../error.ts";
import { isJobFile } from "../load.ts";
import { logger } from "../view/logger.ts";
import type { Board } from "./board.ts";
import { Checker } from "./checker.ts";
import { Files } from "./files.ts";
import { gist } from "./frame.ts";
import { quiet, serveHttp } from "../http.ts";
import { Fleet, type FleetEvents, type Version } from "./fleet.ts";
import type { CommandLine, Failure } from "./protocol.ts";
import { hidden } from "../../sdk/client/source.ts";

export interface SessionParts {
  readonly settings: Settings;
  readonly line: CommandLine;
  /** The environment as it was, without .env. */
  readonly env: NodeJS.ProcessEnv;
  readonly board: Board;
  readonly script: Script | null;
  /** Whether types are checked beside the code. */
  readonly types: boolean;
}

const help = "r reload · t trigger the last payload again · p pause · o addresses · q quit";
/** Runs that are named when their process ends. */
const mostHeld = 10;

/** One `tasker dev`, from its first line to its exit code. */
export class Session {
  readonly #parts: SessionParts;
  readonly #log: Logger;
  readonly #fleet: Fleet;
  readonly #files: Files;
  readonly #types: Checker | null;
  #choose!: (database: Database) => void;
  #refuse!: (error: unknown) => void;
  readonly #database: Promise<Database>;
  #known: Database | null = null;
  #store: Promise<Guarded> | null = null;
  #served: Served | null = null;
  #quits = 0;
  #quit!: (code: number) => void;
  readonly #over: Promise<number>;
  #ready = false;
  #closing = false;

  constructor(parts: SessionParts) {
    this.#parts = parts;
    const { settings, board, line, env } = parts;
    const out = { write: (line: string) => (board.entry(line), true) } as unknown as NodeJS.WritableStream;
    this.#log = logger({ logLevel: settings.logLevel, logFormat: "json" }, out);
    this.#types = parts.types ? new Checker(this.#log, settings) : null;
    this.#over = new Promise((resolve) => (this.#quit = resolve));
    this.#database = new Promise((resolve, reject) => {
      this.#choose = resolve;
      this.#refuse = reject;
    });
    this.#database.catch(() => undefined); // `run` throws it
    this.#files = new Files((files) => this.#changed(files), isJobFile);
    this.#fleet = new Fleet({
      ...{ line, env, database: this.#database, files: this.#files, events: this.#events() },
      expire: (pid) => this.#expire(pid),
    });
    for (const name of settings.file ? [settings.file] : configNames) this.#files.see(resolve(name)); // or one that comes yet
  }

  /** Serves until somebody quits. @throws what keeps the database from starting */
  async run(): Promise<number> {
    const { settings, script } = this.#parts;
    const first = this.#fleet.reload([], 0); // beside the database, which takes longer
    let embedded: Embedded | null = null;
    let held: Hold | null = null;
    let note: ReturnType<typeof announce> = null;
    try {
      let database = locate(settings);
      if (database) held = await hold(database);
      else ({ embedded, database } = await this.#embed());
      this.#known = database;
      this.#log.info({ from: database.from, address: addressOf(database.url), took: since(0) }, "Database");
      this.#choose(database);
      this.#served = await this.#serve();
      note = announce(database, "dev", { http: settings.http.tokens === null ? this.#served.url : undefined });
      await Promise.race([first, this.#over]);
      this.#types?.start();
      if (script && this.#fleet.current) this.#fleet.play(script.file);
      return await this.#over;
    } catch (error) {
      this.#refuse(error);
      throw error;
    } finally {
      this.#closing = true;
      this.#types?.stop();
      await this.#files.close();
      await Promise.all([this.#served?.close(1000), this.#fleet.close(toMs(settings.grace))]);
      await this.#store?.then((store) => store.close()).catch(() => undefined);
      note?.remove();
      held?.release();
      await embedded?.stop();
    }
  }

  /** A key was pressed, here or at a viewer. */
  press(key: string): void {
    switch (key) {
      case "q":
        return this.#leave();
      case "r":
        return void this.#fleet.reload();
      case "p":
        this.#fleet.pause(!this.#fleet.paused);
        return this.#log.info({}, this.#fleet.paused ? "Paused: nothing new starts; p goes on" : "Goes on");
      case "o":
        return this.#addresses();
      case "t":
        return void this.#again().catch((error: unknown) => this.#log.error({ err: logged(error) }, "Not triggered"));
      case "h":
      case "?":
        return this.#log.info({}, help);
      default:
    }
  }

  #leave(): void {
    if (++this.#quits > 1) {
      this.#fleet.kill();
      process.exit(130);
    }
    this.#log.info({}, `Stopping: what runs may end; ${process.stdin.isTTY ? "q" : "Ctrl-C"} again stops at once`);
    this.#quit(exit.ok);
  }

  async #embed(): ReturnType<typeof embed> {
    const { embedded, database } = await embed(this.#parts.settings.schema, this.#log);
    // Nobody else can be using a server that was not there: what the last dev held when it died is free at once.
    void embedded.ended.then(() => this.#serverEnded());
    if (!embedded.reused) await this.#expireAll(database);
    return { embedded, database };
  }

  /** Nothing goes on without it, and its data are whole: a new dev goes on where this one stopped. */
  #serverEnded(): void {
    if (this.#closing) return;
    this.#log.error({}, `The embedded Postgres ended by itself (see ${hidden}/postgres.log): start tasker dev again`);
    this.#fleet.kill();
    this.#quit(exit.failed);
  }

  async #expireAll(database: Database): Promise<void> {
    const { expireNode } = await import("../../runtime/store/admin.ts");
    await expireNode(database, null);
  }

  async #expire(pid: number): Promise<readonly Held[]> {
    try {
      const { expireNode } = await import("../../runtime/store/admin.ts");
      return this.#known ? await expireNode(this.#known, `${hostname()}:${pid}`) : [];
    } catch {
      return []; // its leases run out
    }
  }

  /** What a process had under way that ended by itself. */
  #held(runs: readonly Held[]): void {
    const most = this.#parts.settings.crashes;
    for (const { id, job, crashes, started } of runs.slice(0, mostHeld)) {
      const about = { run: formatId(id), job };
      if (started && crashes >= most)
        this.#log.error(about, `Run failed as crashed: ${crashes} times its process ended while it ran`);
      else this.#log.warn(about, `Run crashed with its process (${crashes} of ${most}); it starts again`);
    }
    if (runs.length > mostHeld) this.#log.warn({}, `${runs.length - mostHeld} more runs crashed with their process`);
  }

  #changed(files: readonly string[]): void {
    if (Files.isBeside(files)) this.#types?.start();
    void this.#fleet.reload(files, performance.now());
  }

  #events(): FleetEvents {
    return {
      active: (version, before, ms) => this.#active(version, before, ms),
      reloading: (files) => this.#log.info({ files: files.map(shown) }, "Changed"),
      broken: (failures, serving) => this.#broken(failures, serving),
      logged: (line) => this.#parts.board.entry(line),
      printed: (line, to) => this.#parts.board.printed(line, to),
      stray: (failure) =>
        this.#log.error({ err: errOf(failure) }, "An error that nobody catches: in production it ends the process"),
      blocked: (failure) =>
        this.#log.warn({ err: errOf(failure) }, "A handler blocks its process: nothing else runs there meanwhile"),
      died: ({ id }, how, at) => {
        const about = { version: id, ...(at && { err: errOf(at) }) };
        this.#log.error(about, `The process of this version ${how}; starting it again`);
      },
      held: (runs) => this.#held(runs),
      played: (outcome) => this.#played(outcome),
    };
  }

  #active(version: Version, before: Version | null, ms: number): void {
    const { jobs, files, id } = version;
    const was = new Set(before?.jobs.map((job) => job.id));
    const now = new Set(jobs.map((job) => job.id));
    const added = before ? [...now].filter((job) => !was.has(job)) : [];
    const removed = [...was].filter((job) => !now.has(job));
    const schedules = jobs.reduce((sum, job) => sum + job.schedules, 0);
    const counts = { version: id, jobs: jobs.length, files, ...(schedules > 0 && { schedules }) };
    const news = { ...(added.length > 0 && { added }), ...(removed.length > 0 && { removed }) };
    this.#log.info({ ...counts, ...news, took: humanMs(ms) }, this.#ready ? "Reloaded" : "Ready");
    if (jobs.length === 0)
      this.#log.warn({}, "No jobs: export one from a job file, with defineJob({ … }); it is taken in at the save");
    if (this.#ready || jobs.length === 0) return;
    this.#ready = true;
    this.#log.info(
      {},
      `Trigger from another terminal: npx tasker trigger ${jobs[0]?.id ?? "<job>"} [payload]; ${process.stdin.isTTY ? help : "Ctrl-C stops"}`,
    );
  }

  #broken(failures: readonly Failure[], serving: boolean): void {
    const rest = serving
      ? "the version before serves on"
      : this.#fleet.current
        ? ""
        : "waiting for a save that mends it";
    for (const failure of failures)
      this.#log.error(
        { err: errOf(brief(failure)), ...(failure.file && { file: shown(failure.file) }) },
        `Not loaded: ${gist(failure.message)}${rest && `; ${rest}`}`,
      );
  }

  #played(outcome: number | Failure): void {
    const { script } = this.#parts;
    if (typeof outcome !== "number") this.#log.error({ err: errOf(outcome) }, "--run failed");
    if (script?.once) this.#quit(typeof outcome === "number" ? exit.ok : exit.failed);
  }

  #addresses(): void {
    if (!this.#known) return;
    const { url, schema, from } = this.#known;
    const password = from.startsWith("embedded") ? `; password in ${hidden}/pg*.password` : "";
    this.#log.info({ schema }, `Database: ${addressOf(url)} (${from}${password})`);
    if (this.#served) this.#log.info({}, `HTTP API: ${this.#served.url}/api/v1/docs`);
  }

  /** The API, on loopback and open to whoever is on this machine, unless the settings say otherwise. */
  #serve(): Promise<Served> {
    const { settings } = this.#parts;
    const more = settings.http.listen === null ? 100 : 0;
    const target = (): Promise<Guarded> => this.#open();
    return serveHttp(settings, { target, logger: quiet(this.#log), tokens: "none", more });
  }

  #open(): Promise<Guarded> {
    this.#store ??= this.#database.then(async (database) => {
      const { openStore } = await import("../../runtime/store/open.ts");
      return openStore(database.url, database);
    });
    return this.#store;
  }

  /** The newest run's payload once more. */
  async #again(): Promise<void> {
    if (!this.#known) return;
    const runs = runsOf(() => this.#open());
    const [last] = (await runs.list({}, { limit: 1 })).items;
    if (!last) return this.#log.info({}, "There is no run yet: npx tasker trigger <job> [payload]");
    const { id } = await runs.replay(last.id);
    this.#log.info({ of: last.id, job: last.job }, `Triggered again: ${id}`);
  }
}

/** Of what the compiler says, the complaint alone: the rest tells nothing about the author's code. */
function brief(failure: Failure): Failure {
  const line = /^.*: ERROR: .*$/m.exec(failure.message)?.[0];
  return line === undefined ? failure : { ...failure, message: line, stack: null };
}

/** With the file, by which the board finds the place. */
function errOf(failure: Failure): LoggedError & Pick<Failure, "file"> {
  return Object.assign(logged(failure), { file: failure.file });
}

/** Without the password. */
function addressOf(url: string): string {
  const address = new URL(url);
  address.password = "";
  return address.href;
}

function since(start: number): string {
  return humanMs(performance.now() - start);
}

function shown(file: string): string {
  const path = relative(process.cwd(), resolve(file));
  return path.startsWith("..") ? file : path || basename(file);
}
