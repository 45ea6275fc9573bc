import { spawn, type ChildProcess } from "node:child_process";
import { onTestFinished } from "vitest";
import { until } from "./until.ts";

/** A command in a terminal of its own: it sees a TTY, and keys reach it one by one. */
export interface Terminal {
  /** What it has shown so far. */
  shown(): string;
  /** Waits until it shows a text, after `from` characters. */
  says(text: string | RegExp, from?: number): Promise<void>;
  press(keys: string): void;
  readonly ended: Promise<number | null>;
  readonly child: ChildProcess;
}

/** Runs a shell command in a pseudo-terminal, which `script` of the system makes. */
export function terminal(command: string, cwd: string, env: NodeJS.ProcessEnv): Terminal {
  const args =
    process.platform === "darwin" ? ["-q", "/dev/null", "sh", "-c", command] : ["-qefc", command, "/dev/null"];
  const child = spawn("script", args, { cwd, env, stdio: "pipe" });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => (text += part));
  child.stdin.on("error", () => undefined);
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return {
    child,
    ended,
    shown: () => text,
    press: (keys) => void child.stdin.write(keys),
    says: async (wanted, from = 0) => {
      const has = (): boolean =>
        typeof wanted === "string" ? text.slice(from).includes(wanted) : wanted.test(text.slice(from));
      await until(has, {
        what: `the terminal shows ${String(wanted)}; it shows: ${text.slice(-2000)}`,
        timeoutMs: 20_000,
      });
    },
  };
}
