import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { entry } from "../entry.ts";

/** What the project's own compiler says of its types. */
export interface Verdict {
  readonly errors: readonly {
    readonly file: string;
    readonly line: number;
    readonly column: number;
    readonly message: string;
  }[];
}

/** Checks types beside the running code, by the TypeScript that the project has installed, after each change. If it can't, the answer is
 *  what is missing. */
export function watchTypes(folder: string, heard: (verdict: Verdict) => void): { stop(): void } | string {
  const tsc = compilerOf(folder);
  if (!tsc) return "the package typescript is not installed; npm install --save-dev typescript @types/node";
  if (!existsSync(resolve(folder, "tsconfig.json"))) return "there is no tsconfig.json; npx tasker init writes one";
  const flags = ["--noEmit", "--watch", "--pretty", "false", "--preserveWatchOutput"];
  const { path, execArgv } = entry("dev/leash");
  const child = fork(path, [tsc, ...flags], { cwd: folder, execArgv, stdio: ["ignore", "pipe", "ignore", "ipc"] });
  child.on("error", () => undefined); // then types are not checked
  let errors: Verdict["errors"][number][] = [];
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const found = /^(.+?)\((\d+),(\d+)\): error (TS\d+: .*)$/.exec(line);
    if (found) errors.push({ file: found[1]!, line: Number(found[2]), column: Number(found[3]), message: found[4]! });
    if (!/Found \d+ errors?\./.test(line)) return;
    heard({ errors });
    errors = [];
  });
  return { stop: () => void (child.connected && child.disconnect()) };
}

function compilerOf(folder: string): string | null {
  try {
    const manifest = createRequire(resolve(folder, "package.json")).resolve("typescript/package.json");
    const path = join(dirname(manifest), "bin", "tsc");
    return existsSync(path) ? path : null;
  } catch {
    return null;
  }
}
