import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { Socket } from "node:net";
import type { Owner } from "./place.ts";

/** A log that processes write to. */
export interface Log {
  readonly fd: number;
  /** The last lines that were written since it was opened, as part of a sentence. */
  tail(): string;
}

/** Opens a log for one child, which closes it. Past 1 MiB it begins anew, for nobody else cuts it. */
export function openLog(path: string): Log {
  const size = existsSync(path) ? statSync(path).size : 0;
  const kept = size < 1024 * 1024 ? size : 0;
  const fd = openSync(path, kept ? "a" : "w", 0o600);
  const tail = (): string => {
    const lines = readFileSync(path).subarray(kept).toString().trim().split("\n");
    return `its log "${path}" ends with: ${lines.slice(-8).join(" | ") || "nothing"}`;
  };
  return { fd, tail };
}

/** A process under the guard. */
export interface Child {
  /** Its exit code, once it has ended. Rejects if it could not be started. */
  readonly ended: Promise<number>;
  running(): boolean;
  /** From now on it does not keep this process alive. */
  unref(): void;
  /** Asks it to end, which takes the end of its input; makes it after 10 s. Twice is once. */
  stop(): Promise<void>;
}

/** The shell reads its input, on which nobody writes: when all that have the other end open are gone, in whatever way, `read`
 *  ends, and so does the child. The signal is repeated, for one that comes before the child has its handlers is lost. */
const guard = [
  'exec 3<&0 </dev/null; "$@" 3<&- & child=$!',
  "(read _ <&3; exec 3<&-; while kill -INT $child 2>/dev/null; do sleep 0.5; done) & watch=$!",
  "exec 3<&-; wait $child; status=$?; kill $watch 2>/dev/null; exit $status",
].join("\n");

/** Starts a program as `owner`, under the guard. It sees of the environment only what it takes to find its libraries.
 *  @param input what the guard reads, and this function closes; without it the program dies with this process */
export function startChild(command: readonly string[], owner: Owner, log: Log, input?: number): Child {
  const { PATH, LD_LIBRARY_PATH, DYLD_LIBRARY_PATH } = process.env;
  const child = spawn("sh", ["-c", guard, "sh", ...command], {
    ...owner,
    cwd: "/",
    env: { PATH, LD_LIBRARY_PATH, DYLD_LIBRARY_PATH, LC_ALL: "C" },
    detached: true, // Ctrl-C is for this process alone, which drains first
    stdio: [input ?? "pipe", log.fd, log.fd],
  });
  closeSync(log.fd);
  if (input !== undefined) closeSync(input);
  let over = false;
  const ended = new Promise<number>((done, fail) => {
    child.once("error", fail);
    child.once("exit", (code) => done(code ?? 1));
  }).finally(() => (over = true));
  ended.catch(() => undefined); // whoever awaits it sees the failure
  child.stdin?.on("error", () => undefined); // it may be gone before its pipe is closed
  const unref = (): void => {
    child.unref();
    if (child.stdin instanceof Socket) child.stdin.unref();
  };
  return { ended, running: () => !over, unref, stop: () => stop(child, ended) };
}

async function stop(child: ChildProcess, ended: Promise<number>): Promise<void> {
  child.ref();
  child.stdin?.end();
  const force = setTimeout(() => signalGroup(child), 10_000);
  await ended.catch(() => undefined).finally(() => clearTimeout(force));
}

function signalGroup({ pid }: ChildProcess): void {
  try {
    if (pid) process.kill(-pid, "SIGQUIT");
  } catch {
    // It ended meanwhile.
  }
}
