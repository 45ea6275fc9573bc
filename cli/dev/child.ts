import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import type { Ask, Tell } from "./protocol.ts";
import { entry } from "../entry.ts";

/** What dev hears of a runner. */
export interface Ears {
  told(message: Tell): void;
  /** A line of the engine's log, JSON. */
  logged(line: string): void;
  /** A line that the project's code printed. */
  printed(line: string, to: "out" | "err"): void;
  exited(code: number | null, signal: NodeJS.Signals | null): void;
}

/** A process that runs one version of the code. */
export class Child {
  readonly #process: ChildProcess;
  #over = false;
  readonly gone: Promise<void>;

  constructor(env: NodeJS.ProcessEnv, ears: Ears) {
    const { path, execArgv } = entry("dev/runner");
    this.#process = fork(path, [], {
      stdio: ["ignore", "pipe", "pipe", "ipc", "pipe"],
      execArgv: [...execArgv, "--enable-source-maps"],
      env,
    });
    const { stdout, stderr, stdio } = this.#process;
    createInterface({ input: stdout! }).on("line", (line) => ears.printed(line, "out"));
    createInterface({ input: stderr! }).on("line", (line) => ears.printed(line, "err"));
    createInterface({ input: stdio[4] as NodeJS.ReadableStream }).on("line", (line) => ears.logged(line));
    this.#process.on("message", (message: Tell) => ears.told(message));
    this.#process.on("error", () => undefined); // an exit follows
    this.gone = new Promise((resolve) => {
      this.#process.on("exit", (code, signal) => {
        this.#over = true;
        // What it printed last is read first; but a process that it left behind may hold its pipes for ever.
        let ended = false;
        const end = (): void => {
          if (ended) return;
          ended = true;
          for (const stream of stdio) stream?.destroy();
          ears.exited(code, signal);
          resolve();
        };
        this.#process.once("close", end);
        setTimeout(end, 300);
      });
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  get over(): boolean {
    return this.#over;
  }

  ask(message: Ask): void {
    if (this.#process.connected) this.#process.send(message, () => undefined); // a process that is gone says so by `close`
  }

  kill(): void {
    if (!this.#over) this.#process.kill("SIGKILL");
  }
}
