/** The process that runs one version of the project's code. It belongs to `tasker dev`, ends with it, and is thrown away for the next
 *  version: nothing that a job file does can stay behind or stop dev. */
import { writeSync } from "node:fs";
import { createRequire, Module } from "node:module";
import { resolve } from "node:path";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { configure } from "../../sdk/client/config.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import { openStore, type Runtime } from "../../runtime/index.ts";
import { runtimeOf } from "../worker.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { given } from "../given.ts";
import { settings, type Settings } from "../config.ts";
import type { Database } from "../database.ts";
import { FileBroken } from "../error.ts";
import { loadEnv } from "../file.ts";
import { rootOf } from "../glob.ts";
import { collectJobs, jobFiles } from "../load.ts";
import { guard } from "../watch.ts";
import { logger } from "../view/logger.ts";
import { hear, load } from "../module.ts";
import { withPaths } from "../command/start.ts";
import { failureOf, type Ask, type CommandLine, type Tell } from "./protocol.ts";
import { play } from "./script.ts";

/** The log goes to a pipe of its own, as lines of JSON: stdout and stderr belong to the project's code. */
const log = new Writable({
  decodeStrings: false,
  write(line: string, _encoding, done) {
    writeSync(4, line);
    done();
  },
});

const exit = process.exit.bind(process);

/** What `process.exit` is once the job files are loaded: says where it was called, at once. */
function leave(code?: number | string | null): never {
  const { stack } = new Error(`process.exit(${code ?? ""}) was called`);
  writeSync(4, `${JSON.stringify({ left: stack })}\n`);
  return exit(code);
}

/** A thread that has not moved for so long is told of. */
const blockedMs = 5000;

let store: Guarded | null = null;
let opened: Promise<void> = Promise.resolve();
let warmed: Promise<void> = Promise.resolve();
let wanted: Settings | null = null;
let jobs: readonly JobSpec[] = [];
let runtime: Runtime | null = null;
/** From the first job file on: what handlers import later counts, too. */
let loading = false;

function tell(message: Tell): void {
  if (process.connected) process.send!(message, () => undefined); // dev may be gone by now; `disconnect` comes next
}

function connect(database: Database): void {
  opened = (async () => {
    store = await openStore(database.url, database);
    await store.open(AbortSignal.timeout(10_000)).catch(() => undefined); // the runtime waits for one that is away
  })();
}

/** Modules of packages are told apart from files of the project: the next process imports those before it is needed. */
function noteImport(url: string): void {
  const bare = url.split(/[?#]/, 1)[0]!;
  if (!bare.startsWith("file:") && !bare.startsWith("/")) return;
  const file = bare.startsWith("file:") ? fileURLToPath(bare) : bare;
  if (/[\\/]node_modules[\\/]/.test(file)) tell({ tell: "package", url: bare });
  else if (loading) tell({ tell: "import", file });
}

/** tsx reports the imports of ES modules, and only the first level of `require`. */
function noteRequires(): void {
  const loader = Module as unknown as { _resolveFilename(request: string, ...rest: unknown[]): string };
  const resolveFilename = loader._resolveFilename;
  loader._resolveFilename = function (this: unknown, ...args: [string, ...unknown[]]): string {
    const file = resolveFilename.apply(this, args);
    noteImport(file);
    return file;
  };
}

async function warm(urls: readonly string[]): Promise<void> {
  await hear(noteImport);
  noteRequires();
  await Promise.all(urls.map((url) => preload(url).catch(() => undefined))); // whatever is wrong with it, its importer will hear of
}

/** As the project does: what it requires is a copy of its own, apart from what it imports. */
async function preload(url: string): Promise<unknown> {
  return url.startsWith("file:") ? import(url) : createRequire(import.meta.url)(url);
}

async function loadAll(line: CommandLine): Promise<void> {
  process.exit = (code?: number) => {
    throw new Error(`process.exit(${code ?? ""}) was called while the job files were loaded`);
  };
  loading = true;
  try {
    await warmed;
    if (loadEnv()) tell({ tell: "import", file: resolve(".env") });
    wanted = withPaths(await settings(given(line.flags)), line.paths);
    tell(await collect(wanted));
  } catch (error) {
    tell({ tell: "failed", at: "load", failure: failureOf(error) });
  } finally {
    process.exit = leave;
  }
}

async function begin(file: string): Promise<void> {
  tell({ tell: "open", file });
  await load(file).catch(() => undefined); // `collectJobs` tells
  tell({ tell: "settled", file });
}

/** Imports all job files; a broken one does not hide the others. */
async function collect({ jobs: paths, base }: Settings): Promise<Tell> {
  const files = jobFiles(paths, base);
  for (const file of files) tell({ tell: "import", file }); // also those that never get as far as to be imported
  await Promise.all(files.map((file) => begin(file))); // beside each other; a second import answers the same
  const collected = await collectJobs(files);
  jobs = collected.jobs;
  return {
    tell: "loaded",
    jobs: jobs.map(({ id, schedules }) => ({ id, schedules: schedules.length })),
    files: files.length,
    failures: collected.errors.map(({ file, error }) =>
      failureOf(error instanceof FileBroken ? error.cause : error, file),
    ),
    roots: paths.map((path) => rootOf(path, base)),
  };
}

async function start(database: Database, version: string): Promise<void> {
  try {
    if (!store) connect(database);
    await opened;
    const own = { ...wanted!, version, name: null, logFormat: "json" } as const; // dev knows it by its host and pid
    runtime = runtimeOf(own, { store: store!, jobs, logger: logger(own, log) });
    configure({ store: runtime.store });
    await runtime.start();
    tell({ tell: "started" });
  } catch (error) {
    tell({ tell: "failed", at: "start", failure: failureOf(error) });
  }
}

async function drain(graceMs: number | null): Promise<void> {
  if (runtime) await runtime.stop({ grace: graceMs === null ? "365d" : `${graceMs}ms` });
  else await store?.close();
  exit(0);
}

async function playScript(file: string): Promise<void> {
  try {
    tell({ tell: "played", runs: await play(file) });
  } catch (error) {
    tell({ tell: "failed", at: "play", failure: failureOf(error, file) });
  }
}

function answer(ask: Ask): Promise<void> | void {
  switch (ask.ask) {
    case "warm":
      return void (warmed = warm(ask.urls));
    case "connect":
      return connect(ask.database);
    case "load":
      return loadAll(ask.line);
    case "start":
      return start(ask.database, ask.version);
    case "drain":
      return drain(ask.graceMs);
    case "pause":
      return runtime?.resize(ask.paused ? 0 : wanted!.slots);
    case "play":
      return playScript(ask.file);
    default:
      return ask satisfies never;
  }
}

// Written at once: a process that is blocked sends nothing.
guard(blockedMs, (stack) => writeSync(4, `${JSON.stringify({ blocked: stack })}\n`));
process.on("message", (ask: Ask) => void answer(ask));
process.on("disconnect", () => exit(0)); // dev is gone
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => undefined); // Ctrl-C reaches the whole group: dev decides
// A rejection that nobody handles comes here, too, unless a handler left it behind: the runtime logs those.
process.on("uncaughtException", (error) => tell({ tell: "stray", failure: failureOf(error) }));
