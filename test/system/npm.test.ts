/** Signals that reach npm and npx, and not what they run: npm's shell passes none on. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { byNpx, byScript } from "../../cli/parent.ts";
import { project, tasker } from "../cli/process.ts";
import { freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";

/** The processes of a program that is named by its path. */
function pids(program: string): readonly number[] {
  const lines = execFileSync("ps", ["-eo", "pid,args"], { encoding: "utf8" }).split("\n");
  return lines
    .filter((line) => /^\s*\d+ \S*node /.test(line) && line.includes(program))
    .map((line) => Number.parseInt(line, 10));
}

test.skipIf(process.platform === "win32").each([
  ["npm start", "Runtime started"],
  ["npm run dev", "Ready"],
  ["npx tasker dev", "Ready"],
  ["npx tasker start", "Runtime started"],
])(
  "with the scripts of init, SIGTERM to %s ends tasker within two seconds of it",
  { timeout: 60_000 },
  async (line, ready) => {
    const database = await freshDatabase();
    const cwd = project({ "jobs/all.ts": "export {};" });
    const program = join(cwd, "node_modules", ".bin", "tasker");
    mkdirSync(join(cwd, "node_modules", ".bin"));
    symlinkSync("../tasker/dist/cli/main.js", program);
    await tasker(["init"], { cwd });
    const [command, ...args] = line.split(" ") as [string, ...string[]];
    const npm = spawn(command, args, {
      cwd,
      env: { ...process.env, TASKER_DATABASE_URL: database.url },
      stdio: ["ignore", "pipe", "ignore"],
    });
    onTestFinished(async () => {
      npm.kill("SIGKILL");
      for (const pid of pids(program)) process.kill(pid, "SIGKILL");
      await database.drop();
    });
    let out = "";
    npm.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    await until(() => out.includes(ready), { what: () => `${line} is ready; it said: ${out}`, timeoutMs: 20_000 });

    const exit = once(npm, "exit");
    npm.kill("SIGTERM");
    await exit;

    await until(() => pids(program).length === 0, { what: () => `${line} ended; it said: ${out}`, timeoutMs: 2000 });
    if (line.endsWith("start")) expect(out).toContain("Runtime stopped");
  },
);

test.each([
  ["systemd, Docker or a shell", {}, false, false],
  ["npm run dev", { npm_lifecycle_event: "dev", npm_lifecycle_script: "tasker dev" }, true, false],
  [
    "a script that leaves a worker behind",
    { npm_lifecycle_event: "up", npm_lifecycle_script: "nohup tasker start &" },
    true,
    false,
  ],
  ["npx", { npm_lifecycle_event: "npx", npm_lifecycle_script: "'tasker'" }, true, true],
  ["npx of npm 10", { npm_lifecycle_event: "npx", npm_lifecycle_script: "tasker" }, true, true],
  [
    "what another program of npx started",
    { npm_lifecycle_event: "npx", npm_lifecycle_script: "'pm2' start x" },
    true,
    false,
  ],
  [
    "npx -c, which may leave it behind",
    { npm_lifecycle_event: "npx", npm_lifecycle_script: "tasker start &" },
    true,
    false,
  ],
])("below %s, dev and start end with their parent where that is safe", (_what, env, dev, start) => {
  expect([byScript(env), byNpx(env)]).toEqual([dev, start]);
});
