import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { Socket } from "node:net";
import type { Owner } from "./place.ts";

export interface Log {
  readonly fd: number;
  /** The last lines written since it was opened, for error messages. */
  tail(): string;
}

/** Opens a log for one child, which closes it. It is truncated past 1 MiB. */
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

export interface Child {
  /** Its exit code. Rejects if it could not be started. */
  readonly ended: Promise<number>;
  running(): boolean;
  /** It does not keep this process alive any more. */
  unref(): void;
  /** Ends it by closing its input; kills it after 10 s. May be repeated. */
  stop(): Promise<void>;
}

/** Ends the child when `read` returns, which is when all processes with the other end of the input have gone. The signal is repeated, because
 *  it is lost before the child has its handlers. */
const guard = [
  'exec 3<&0 </dev/null; "$@" 3<&- & child=$!',
  "(read _ <&3; exec 3<&-; while kill -INT $child 2>/dev/null; do sleep 0.5; done) & watch=$!",
  "exec 3<&-; wait $child; status=$?; kill $watch 2>/dev/null; exit $status",
].join("\n");

/** Starts a program as `owner`, under the guard, with a minimal environment.
 *  @param input what the guard reads, closed here; without it the program ends with this process */
export function startChild(command: readonly string[], owner: Owner, log: Log, input?: number): Child {
  const { PATH, LD_LIBRARY_PATH, DYLD_LIBRARY_PATH } = process.env;
  const child = spawn("sh", ["-c", guard, "sh", ...command], {
    ...owner,
    cwd: "/",
    env: { PATH, LD_LIBRARY_PATH, DYLD_LIBRARY_PATH, LC_ALL: "C" },
    detached: true, // Ctrl-C must reach only this process, which drains first
    stdio: [input ?? "pipe", log.fd, log.fd],
  });
  closeSync(log.fd);
  if (input !== undefined) closeSync(input);
  let over = false;
  const ended = new Promise<number>((done, fail) => {
    child.once("error", fail);
    child.once("exit", (code) => done(code ?? 1));
  }).finally(() => (over = true));
  ended.catch(() => undefined); // whoever awaits it gets the error
  child.stdin?.on("error", () => undefined); // it may exit before its pipe is closed
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
    // it has exited
  }
}
