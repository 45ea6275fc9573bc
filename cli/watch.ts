/** Looking after the main thread from a thread of its own, whatever the main thread does. */
import { Worker } from "node:worker_threads";

export interface Watch {
  /** Kills the process if it is still there after so many ms. The first call counts. */
  limit(ms: number): void;
  end(): void;
}

const deafMs = 500;

/** Keeps a process stoppable while a handler blocks its main thread, where no signal listener can run. After half a second of
 *  silence the listeners are taken off through the inspector, so that SIGINT and SIGTERM end the process by the system's default;
 *  they are put back when the thread moves again. A signal that came within that half second is lost, so a process that is blocked
 *  for `longestMs` in all is killed: by then its leases have run out. Time during which the whole process was stopped doesn't count. */
export function watch(longestMs: number): Watch {
  const saved = new Map<NodeJS.Signals, readonly NodeJS.SignalsListener[]>();
  let beatAt = performance.now();
  const moved = (): void => {
    beatAt = performance.now();
    for (const [signal, listeners] of saved) for (const listener of listeners) process.on(signal, listener);
    saved.clear();
  };
  const stuck = (): void => {
    if (performance.now() - beatAt < deafMs) return; // it moves again
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      if (saved.has(signal)) continue;
      saved.set(signal, process.listeners(signal));
      process.removeAllListeners(signal);
    }
  };
  return overseer({ tickMs: 100, silentMs: deafMs, longestMs, orphan: false }, { moved, stuck });
}

/** Looks after a process of ours: ends it when its parent is gone, and tells with `blocked` where the main thread stands, as a stack, each
 *  time that it has not moved for `silentMs`. */
export function guard(silentMs: number, blocked: (stack: string) => void): void {
  const stuck = (): void => blocked(String(new Error("blocked").stack));
  overseer({ tickMs: 250, silentMs, longestMs: Infinity, orphan: true }, { moved: () => undefined, stuck });
}

interface Bounds {
  readonly tickMs: number;
  /** After so long without a move `stuck` is called, on the main thread; once a silence. */
  readonly silentMs: number;
  /** After so long the process is killed. */
  readonly longestMs: number;
  /** Kill it when its parent is gone. */
  readonly orphan: boolean;
}

function overseer(bounds: Bounds, { moved, stuck }: { moved(): void; stuck(): void }): Watch {
  const cells = new Int32Array(new SharedArrayBuffer(8)); // [0] beats of the main thread, [1] ms that it has left; 0: no end
  const key = `tasker.stuck.${bounds.orphan}`;
  const beat = (): void => {
    Atomics.add(cells, 0, 1);
    moved();
  };
  const place = globalThis as { [key: symbol]: unknown };
  place[Symbol.for(key)] = stuck;
  const timer = setInterval(beat, bounds.tickMs).unref();
  const worker = new Worker(source, { eval: true, workerData: { ...bounds, cells, key }, execArgv: [], env: {} });
  worker.on("error", () => undefined); // without it the process is as stoppable as any other
  worker.unref();
  return {
    limit: (ms) => void Atomics.compareExchange(cells, 1, 0, Math.min(ms, 2 ** 31 - 1)),
    end() {
      clearInterval(timer);
      beat();
      delete place[Symbol.for(key)];
      void worker.terminate();
    },
  };
}

// Text, so that it needs neither a file of its own nor a loader. SIGKILL, because process.exit in a worker ends the worker alone.
const source = `
const { cells, tickMs, silentMs, longestMs, orphan, key } = require("node:worker_threads").workerData;
const { Session } = require("node:inspector");
const end = (why) => {
  if (why) require("node:fs").writeSync(2, "error: " + why + "\\n");
  process.kill(process.pid, "SIGKILL");
};
const parent = process.ppid;
let last = -1, silent = 0, stopping = 0;
setInterval(() => {
  if (orphan && process.ppid !== parent) end();
  const beats = Atomics.load(cells, 0), limit = Atomics.load(cells, 1);
  if (limit > 0 && (stopping += tickMs) > limit) end("the process did not stop in time, so it was killed");
  silent = beats === last ? silent + tickMs : 0;
  last = beats;
  if (silent > longestMs) end("a handler blocked the process for " + silent + " ms, so it was killed; its runs start again elsewhere");
  if (silent !== silentMs) return;
  const session = new Session();
  session.connectToMainThread();
  session.post("Runtime.evaluate", { expression: "globalThis[Symbol.for('" + key + "')]?.()" }, () => session.disconnect());
}, tickMs);
`;
