import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { configure } from "tasker";
import { createRuntime, postgres, type Runtime, type RuntimeOptions } from "tasker/runtime";
import { vi } from "vitest";
import { freshDatabase } from "../kit/database.ts";

/** A runtime on a database of its own. */
export interface Running {
  readonly url: string;
  readonly runtime: Runtime;
  /** Stops the runtime and drops the database. */
  stop(): Promise<void>;
}

/** Runs jobs on a fresh Postgres database, where the process's triggers go, and which `TASKER_DATABASE_URL` names. */
export async function running(jobs: NonNullable<RuntimeOptions["jobs"]>): Promise<Running> {
  const database = await freshDatabase();
  vi.stubEnv("TASKER_DATABASE_URL", database.url);
  const runtime = createRuntime({ store: postgres({ url: database.url }), jobs });
  configure({ store: runtime.store });
  await runtime.start();
  return {
    url: database.url,
    runtime,
    async stop() {
      await runtime.stop({ grace: "1s" });
      vi.unstubAllEnvs();
      await database.drop();
    },
  };
}

/** A path in examples/, whole. */
export function example(path: string): string {
  return fileURLToPath(new URL(`../../examples/${path}`, import.meta.url));
}

/** A command that was started, in an empty folder. */
export interface Command {
  readonly child: ChildProcess;
  /** Resolves when it has ended: exit code, and what it wrote to both streams. */
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>;
}

/** Starts node with `args` and `TASKER_DATABASE_URL` = `url`, without colours; killed after a minute. */
export function node(url: string, ...args: readonly string[]): Command {
  const cwd = mkdtempSync(join(tmpdir(), "tasker-example-"));
  const env = { ...process.env, TASKER_DATABASE_URL: url, NO_COLOR: "1", NODE_OPTIONS: "" };
  const child = spawn(process.execPath, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
  const ended = Promise.all([once(child, "close"), text(child.stdout), text(child.stderr)]).then(
    ([[code], out, err]) => {
      rmSync(cwd, { recursive: true, force: true });
      return { code: code as number | null, output: out + err };
    },
  );
  return { child, ended };
}

/** Starts the `tasker` command, as it is built. */
export function tasker(url: string, ...args: readonly string[]): Command {
  return node(url, fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url)), ...args);
}
