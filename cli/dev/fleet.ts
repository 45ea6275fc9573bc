import { createHash } from "node:crypto";
import { relative } from "node:path";
import type { Held } from "../../runtime/store/admin.ts";
import type { Database } from "../database.ts";
import { Child } from "./child.ts";
import { Files } from "./files.ts";
import type { CommandLine, Failure, LoadedJob, Tell } from "./protocol.ts";

/** How long the import of job files may take before it is taken for an endless loop. */
const loadMs = 10_000;
/** Old versions that still run something; the oldest beyond these is ended, and its runs start on new code. */
const mostDraining = 4;
/** A runner that dies is started anew after this long, doubled with each death in a row, at most ten times as long. */
const restartMs = 250;

/** What is told of versions, to be printed. */
export interface FleetEvents {
  /** A version serves from now on. `ms`: from the save, or since the process started. */
  active(version: Version, before: Version | null, ms: number): void;
  /** New code can't serve; `serving`: whether an older version goes on. */
  broken(failures: readonly Failure[], serving: boolean): void;
  logged(line: string): void;
  printed(line: string, to: "out" | "err"): void;
  stray(failure: Failure): void;
  /** A handler keeps its thread to itself. */
  blocked(failure: Failure): void;
  /** `at`: the call of `process.exit`, if it was one. */
  died(version: Version, how: string, at: Failure | null): void;
  /** What a process had under way that ended by itself, and now comes back. */
  held(runs: readonly Held[]): void;
  played(outcome: number | Failure): void;
  reloading(files: readonly string[]): void;
}

/** One version of the code, in a process of its own. */
export interface Version {
  readonly id: string;
  readonly n: number;
  readonly child: Child;
  readonly pid: number;
  readonly jobs: readonly LoadedJob[];
  readonly files: number;
}

export interface FleetParts {
  readonly line: CommandLine;
  readonly env: NodeJS.ProcessEnv;
  readonly database: Promise<Database>;
  readonly files: Files;
  readonly events: FleetEvents;
  /** A version's process died while it may have held runs; answers those. */
  expire(pid: number): Promise<readonly Held[]>;
}

type Hear = (message: Tell | { readonly tell: "exit"; readonly how: string }) => void;
/** A process that has no version yet, or has one; `hear` is whoever waits for it. */
interface Crew {
  readonly child: Child;
  hear: Hear;
  /** What it has imported, for the version's name. */
  readonly imports: Set<string>;
  /** Job files whose import has begun and not ended. */
  readonly open: Set<string>;
  /** Where its thread stood when it had not moved for long. */
  blocked: string | null;
  /** Where the project's code called `process.exit`. */
  left: string | null;
  serves: boolean;
}

type Loaded = Extract<Tell, { readonly tell: "loaded" }>;

/** The processes of dev: the version that serves, one that is warmed up for the next, and old ones that end what they run. */
export class Fleet {
  readonly #parts: FleetParts;
  readonly #packages = new Set<string>();
  readonly #draining: Version[] = [];
  #current: Version | null = null;
  #spare: Crew | null = null;
  #candidate: Crew | null = null;
  #versions = 0;
  /** Grows with each reload: an older one that is still under way gives up. */
  #turn = 0;
  #deaths = 0;
  #paused = false;
  #closed = false;

  constructor(parts: FleetParts) {
    this.#parts = parts;
  }

  get current(): Version | null {
    return this.#current;
  }
  get paused(): boolean {
    return this.#paused;
  }

  /** Loads the code as it is now, and lets it serve. Never rejects. */
  async reload(changed: readonly string[] = [], since = performance.now()): Promise<void> {
    const turn = ++this.#turn;
    this.#candidate?.child.kill();
    if (changed.length > 0 && this.#current) this.#parts.events.reloading(changed);
    if (Files.isBeside(changed)) this.#dropSpare();
    const spare = this.#spare?.child.over ? null : this.#spare; // one may have been killed a moment ago
    const crew = (this.#candidate = spare ?? this.#boot());
    this.#spare = null;
    const loaded = await this.#load(crew);
    if (this.#turn !== turn || this.#closed) return crew.child.kill();
    if ("failures" in loaded && (loaded.failures.length === 0 || (!this.#current && loaded.jobs.length > 0))) {
      if (loaded.failures.length > 0) this.#parts.events.broken(loaded.failures, false);
      this.#candidate = null; // from here on it may hold runs, and ends in order
      await this.#serve(crew, loaded, since);
    } else {
      this.#parts.events.broken("failures" in loaded ? loaded.failures : [loaded.failure], this.#current !== null);
      crew.child.kill();
    }
    if (this.#candidate === crew) this.#candidate = null;
    if (!this.#closed) this.#spare ??= this.#boot();
  }

  pause(paused: boolean): void {
    this.#paused = paused;
    this.#current?.child.ask({ ask: "pause", paused });
  }

  play(file: string): void {
    this.#current?.child.ask({ ask: "play", file });
  }

  /** Ends all processes: runs get `graceMs` to end, then go back. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    this.#turn++;
    this.#dropSpare();
    this.#candidate?.child.kill();
    const left = [...this.#draining, ...(this.#current ? [this.#current] : [])];
    for (const { child } of left) child.ask({ ask: "drain", graceMs });
    const late = setTimeout(() => left.forEach(({ child }) => child.kill()), graceMs + 2000);
    await Promise.all([...left.map(({ child }) => child.gone), this.#candidate?.child.gone]);
    clearTimeout(late);
  }

  /** At once: what runs starts again at the next start. */
  kill(): void {
    this.#closed = true;
    for (const { child } of [...this.#draining, ...(this.#current ? [this.#current] : [])]) child.kill();
    this.#candidate?.child.kill();
    this.#dropSpare();
  }

  #boot(): Crew {
    const { events, files, database, env } = this.#parts;
    const crew: Crew = {
      imports: new Set(),
      open: new Set(),
      blocked: null,
      left: null,
      serves: false,
      hear: () => undefined,
      child: new Child(env, {
        told: (message) => {
          if (message.tell === "import") {
            crew.imports.add(message.file);
            files.see(message.file);
          } else if (message.tell === "package") this.#packages.add(message.url);
          else if (message.tell === "open") crew.open.add(message.file);
          else if (message.tell === "settled") crew.open.delete(message.file);
          else if (message.tell === "stray") events.stray(message.failure);
          else crew.hear(message);
        },
        logged: (line) => {
          const { blocked, left } = signOf(line);
          crew.left ??= left ?? null;
          if (blocked === undefined) return void (left ?? events.logged(line));
          crew.blocked = blocked;
          if (crew.serves) events.blocked(aFailure("the thread of a version does not move", null, blocked));
        },
        printed: (line, to) => events.printed(line, to),
        exited: (code, signal) =>
          this.#ended(crew, { tell: "exit", how: signal ? `was killed by ${signal}` : `exited with ${code}` }),
      }),
    };
    crew.child.ask({ ask: "warm", urls: [...this.#packages] });
    void database.then(
      (known) => crew.child.ask({ ask: "connect", database: known }),
      () => undefined,
    );
    return crew;
  }

  #ended(crew: Crew, exit: { readonly tell: "exit"; readonly how: string }): void {
    if (this.#spare === crew) this.#spare = null; // the next save starts one
    crew.hear(exit);
  }

  #dropSpare(): void {
    this.#spare?.child.kill();
    this.#spare = null;
  }

  async #load(crew: Crew): Promise<Loaded | { readonly failure: Failure }> {
    crew.child.ask({ ask: "load", line: this.#parts.line });
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        crew.child.kill();
        const what = crew.blocked === null ? "a wait for something that does not come" : "an endless loop";
        const blocking = [...crew.open].filter((file) => crew.blocked?.includes(file));
        const files = blocking.length > 0 ? blocking : crew.open.size > 0 ? [...crew.open] : [lastOf(crew)];
        const message = `the job files are not loaded after ${loadMs / 1000} s: ${what}, during the import of ${files.map((file) => relative(process.cwd(), file)).join(", ")}`;
        resolve({ failure: aFailure(message, files.at(-1)!, crew.blocked) });
      }, loadMs);
      const done = (answer: Loaded | { readonly failure: Failure }): void => {
        clearTimeout(timer);
        resolve(answer);
      };
      crew.hear = (message) => {
        if (message.tell === "loaded") {
          for (const root of message.roots) this.#parts.files.root(root);
          done(message);
        } else if (message.tell === "failed") done({ failure: message.failure });
        else if (message.tell === "exit")
          done({ failure: aFailure(`the process ${message.how} while the job files were loaded`, lastOf(crew)) });
      };
    });
  }

  async #serve(crew: Crew, { jobs, files }: Loaded, since: number): Promise<void> {
    const n = ++this.#versions;
    const { child } = crew;
    const version: Version = { n, id: `v${n}-${fingerprint(crew)}`, child, pid: child.pid, jobs, files };
    const started = new Promise<Failure | null>((resolve) => {
      crew.hear = (message) => {
        if (message.tell === "started") resolve(null);
        else if (message.tell === "failed") resolve(message.failure);
        else if (message.tell === "exit") resolve(aFailure(`the process ${message.how} as it started`, null));
      };
    });
    const database = await this.#parts.database.catch(() => null);
    if (!database) return child.kill();
    child.ask({ ask: "start", database, version: version.id });
    const failure = await started;
    if (failure) {
      this.#parts.events.broken([failure], this.#current !== null);
      child.kill();
      return void this.#parts.expire(child.pid);
    }
    crew.hear = (message) => this.#heard(version, crew, message);
    crew.serves = true;
    if (this.#closed || (this.#current && this.#current.n > n)) this.#drain(version);
    else this.#switch(version, since);
  }

  #switch(version: Version, since: number): void {
    const before = this.#current;
    this.#current = version;
    if (this.#paused) this.pause(true);
    if (before) this.#drain(before);
    this.#parts.events.active(version, before, performance.now() - since);
  }

  /** What runs goes on, on the code that it started with. */
  #drain(version: Version): void {
    version.child.ask({ ask: "drain", graceMs: null });
    this.#draining.push(version);
    if (this.#draining.length <= mostDraining) return;
    const { child } = this.#draining[0]!;
    child.ask({ ask: "drain", graceMs: 0 });
    setTimeout(() => child.kill(), 5000).unref(); // one whose thread is blocked hears nothing
  }

  #heard(version: Version, crew: Crew, message: Parameters<Hear>[0]): void {
    const { events } = this.#parts;
    if (message.tell === "played") events.played(message.runs);
    else if (message.tell === "failed") events.played(message.failure);
    else if (message.tell === "exit") this.#gone(version, message.how, crew.left);
  }

  #gone(version: Version, how: string, left: string | null): void {
    const { events, expire } = this.#parts;
    const at = this.#draining.indexOf(version);
    if (at >= 0) this.#draining.splice(at, 1);
    const isAsked = left === null && how === "exited with 0" && (at >= 0 || this.#closed);
    if (!isAsked) {
      if (!this.#closed)
        events.died(version, how, left === null ? null : aFailure(left.slice(7).split("\n", 1)[0]!, null, left));
      void expire(version.pid).then((held) => this.#closed || events.held(held));
    }
    if (this.#current !== version || this.#closed) return;
    this.#current = null;
    const wait = Math.min(restartMs * 2 ** this.#deaths++, restartMs * 10);
    setTimeout(() => (this.#deaths = Math.max(0, this.#deaths - 1)), 30_000).unref();
    setTimeout(() => !this.#current && !this.#closed && void this.reload(), wait);
  }
}

function aFailure(message: string, file: string | null, stack: string | null = null): Failure {
  return { name: "Error", message, stack, file };
}

/** A stack that a runner wrote when its thread did not move, or as the project's code ended it. */
function signOf(line: string): { readonly blocked?: string; readonly left?: string } {
  if (!/^\{"(?:blocked|left)":/.test(line)) return {};
  try {
    return JSON.parse(line) as { readonly blocked?: string; readonly left?: string };
  } catch {
    return {}; // the line of a process that was killed
  }
}

/** The job file that is being imported: the last one that has begun. */
function lastOf({ open, imports }: Crew): string {
  return [...open].at(-1) ?? [...imports].at(-1) ?? "a job file";
}

/** Tells one state of the code from another. */
function fingerprint({ imports }: Crew): string {
  const sum = createHash("sha1");
  for (const file of [...imports].sort()) sum.update(file).update(Files.contentOf(file));
  return sum.digest("hex").slice(0, 7);
}
