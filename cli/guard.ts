import { Worker } from "node:worker_threads";

const tickMs = 250;
const key = "tasker.where";

/** Looks after a process of ours from a thread of its own, whatever its main thread does: ends it when its parent is gone, and tells
 *  with `blocked` where the main thread stands, as a stack, each time that it has not moved for `silentMs`. */
export function guard(silentMs: number, blocked: (stack: string) => void): void {
  const beats = new Int32Array(new SharedArrayBuffer(4));
  setInterval(() => Atomics.add(beats, 0, 1), tickMs).unref();
  (globalThis as { [name: symbol]: unknown })[Symbol.for(key)] = () => blocked(String(new Error("blocked").stack));
  const worker = new Worker(source, {
    eval: true,
    workerData: { beats, tickMs, silentMs, key },
    execArgv: [],
    env: {},
  });
  worker.on("error", () => undefined); // without it the process is as it would be
  worker.unref();
}

// Text, so that it needs neither a file of its own nor a loader. SIGKILL, because process.exit in a worker ends the worker alone.
const source = `
const { beats, tickMs, silentMs, key } = require("node:worker_threads").workerData;
const { Session } = require("node:inspector");
const parent = process.ppid;
let last = -1, silent = 0;
setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, "SIGKILL");
  const now = Atomics.load(beats, 0);
  silent = now === last ? silent + tickMs : 0;
  last = now;
  if (silent !== silentMs) return;
  const session = new Session();
  session.connectToMainThread();
  session.post("Runtime.evaluate", { expression: "globalThis[Symbol.for('" + key + "')]?.()" }, () => session.disconnect());
}, tickMs);
`;
