import { Worker } from "node:worker_threads";

/** Looks after the main thread from a thread of its own. */
export interface Watch {
  /** Kills the process if it is still there after so many ms, whatever the main thread does. The first call counts. */
  limit(ms: number): void;
  end(): void;
}

const tickMs = 100;
const deafMs = 500;

/** Keeps a process stoppable while a handler blocks its main thread, where no signal listener can run. After half a second of
 *  silence the listeners are taken off through the inspector, so that SIGINT and SIGTERM end the process by the system's default;
 *  they are put back when the thread moves again. A signal that came within that half second is lost, so a process that is blocked
 *  for `longestMs` in all is killed: by then its leases have run out. Time during which the whole process was stopped doesn't count. */
export function watch(longestMs: number): Watch {
  const cells = new Int32Array(new SharedArrayBuffer(8)); // [0] beats of the main thread, [1] ms that it has left; 0: no end
  const saved = new Map<NodeJS.Signals, readonly NodeJS.SignalsListener[]>();
  let beatAt = performance.now();
  const beat = (): void => {
    beatAt = performance.now();
    Atomics.add(cells, 0, 1);
    for (const [signal, listeners] of saved) for (const listener of listeners) process.on(signal, listener);
    saved.clear();
  };
  const place = globalThis as { [key: symbol]: unknown };
  place[Symbol.for(key)] = () => {
    if (performance.now() - beatAt < deafMs) return; // it moves again
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      if (saved.has(signal)) continue;
      saved.set(signal, process.listeners(signal));
      process.removeAllListeners(signal);
    }
  };
  const timer = setInterval(beat, tickMs).unref();
  const worker = new Worker(source, {
    eval: true,
    workerData: { cells, tickMs, deafMs, longestMs, key },
    execArgv: [],
    env: {},
  });
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

const key = "tasker.disarm";

// Text, so that it needs neither a file of its own nor a loader. SIGKILL, because process.exit in a worker ends the worker alone.
const source = `
const { cells, tickMs, deafMs, longestMs, key } = require("node:worker_threads").workerData;
const { Session } = require("node:inspector");
const end = (why) => {
  require("node:fs").writeSync(2, "error: " + why + "\\n");
  process.kill(process.pid, "SIGKILL");
};
let last = -1, silentMs = 0, stoppingMs = 0;
setInterval(() => {
  const beats = Atomics.load(cells, 0), limit = Atomics.load(cells, 1);
  if (limit > 0 && (stoppingMs += tickMs) > limit) end("the process did not stop in time, so it was killed");
  if (beats !== last) {
    last = beats;
    silentMs = 0;
    return;
  }
  silentMs += tickMs;
  if (silentMs > longestMs) end("a handler blocked the process for " + silentMs + " ms, so it was killed; its runs start again elsewhere");
  if (silentMs !== deafMs) return;
  const session = new Session();
  session.connectToMainThread();
  session.post("Runtime.evaluate", { expression: "globalThis[Symbol.for('" + key + "')]?.()" }, () => session.disconnect());
}, tickMs);
`;
