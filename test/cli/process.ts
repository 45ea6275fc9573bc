import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { until } from "../kit/until.ts";
import { folder } from "./folder.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const main = join(root, "dist", "cli", "main.js");

/** Jobs for the command line to run: one succeeds, one fails, others don't end by themselves. */
const jobs = `
import { defineJob } from "tasker";
import { z } from "zod";
const retry = { attempts: 1 };
export const hello = defineJob({ id: "hello", schema: z.object({ name: z.string() }), handler: ({ name }, ctx) => {
  if (name === "nobody") ctx.skip("there is nobody to greet");
  ctx.log.info("greeting", { name });
  return { text: "hi " + name };
} });
export const boom = defineJob({ id: "boom", schema: z.object({}), retry, handler: () => { throw new Error("boom at postgres://u:s3cret@h/db"); } });
export const patient = defineJob({ id: "patient", schema: z.object({}), retry, handler: (_, ctx) => {
  ctx.log.info("patient began");
  return new Promise((_resolve, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)));
} });
export const deaf = defineJob({ id: "deaf", schema: z.object({}), handler: (_, ctx) => {
  ctx.log.info("deaf began");
  return new Promise(() => setInterval(() => undefined, 1000));
} });
export const looping = defineJob({ id: "looping", schema: z.object({}), handler: (_, ctx) => {
  ctx.log.info("looping began");
  for (;;);
} });
`;

/** A project of its own for one test, where `tasker` and `zod` are installed and `jobs/` has jobs. */
export function project(files: Readonly<Record<string, string>> = {}): string {
  const path = folder({ "package.json": `{"type":"module"}`, "jobs/all.ts": jobs, ...files });
  mkdirSync(join(path, "node_modules"));
  symlinkSync(root, join(path, "node_modules", "tasker"));
  symlinkSync(join(root, "node_modules", "zod"), join(path, "node_modules", "zod"));
  return path;
}

/** A process of the built command line. */
export interface Running {
  readonly child: ChildProcess;
  /** What it has printed so far. */
  out(): string;
  err(): string;
  /** Waits until stdout or stderr has the text. */
  says(text: string): Promise<void>;
  /** Its exit code, or the number that a shell shows for the signal that ended it. */
  readonly ended: Promise<number>;
}

export interface Place {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** Starts `tasker <args>` in a folder, without the variables of the tests. It is killed when the test ends. */
export function launch(args: readonly string[], { cwd, env = {}, input }: Place): Running {
  const own = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(TASKER_|NO_COLOR|FORCE_COLOR|NODE_OPTIONS|CI$)/.test(name)),
  );
  const child = spawn(process.execPath, [main, ...args], { cwd, env: { ...own, ...env }, stdio: "pipe" });
  const text = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (text.out += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (text.err += chunk));
  child.stdin.on("error", () => undefined); // it may have ended before it read
  child.stdin.end(input);
  const signals: Readonly<Record<string, number>> = { SIGINT: 130, SIGKILL: 137, SIGTERM: 143 };
  const ended = new Promise<number>((resolve) =>
    child.on("close", (code, signal) => resolve(code ?? signals[signal!] ?? -1)),
  );
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return {
    child,
    out: () => text.out,
    err: () => text.err,
    says: (wanted) =>
      Promise.race([
        until(() => text.out.includes(wanted) || text.err.includes(wanted), {
          what: `"${wanted}" from tasker ${args.join(" ")}`,
          timeoutMs: 20_000,
        }).then(() => undefined),
        ended.then((code) => {
          if (text.out.includes(wanted) || text.err.includes(wanted)) return;
          throw new Error(`tasker ${args.join(" ")} ended with ${code} before it said "${wanted}": ${text.err}`);
        }),
      ]),
    ended,
  };
}

/** Runs `tasker <args>` to its end. */
export async function tasker(
  args: readonly string[],
  place: Place,
): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
  const running = launch(args, place);
  const code = await running.ended;
  return { code, out: running.out(), err: running.err() };
}
