/** What `tasker dev` does while code is edited: the real command, with real files. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { parseId } from "../../sdk/port/id.ts";
import { isAlive } from "../../sdk/client/source.ts";
import { launch, project, tasker, type Running } from "../cli/process.ts";
import { freshDatabase } from "../kit/database.ts";
import { terminal } from "../kit/terminal.ts";
import { until } from "../kit/until.ts";

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

const job = (id: string, body: string, more = ""): string => `
import { defineJob } from "tasker";
import { z } from "zod";
import { word } from "../lib/word.ts";
export const ${id} = defineJob({ id: "${id}", schema: z.object({ ms: z.number().default(0) }), retry: { attempts: 2, delay: "1h", jitter: false }, ${more}
  handler: async ({ ms }, ctx) => { ${body} } });
`;
const answers = "await new Promise((done) => setTimeout(done, ms)); return word;";

let cwd: string;
let url: string;
let store: Guarded;
beforeEach(async () => {
  const database = await freshDatabase();
  url = database.url;
  store = postgres({ url });
  cwd = project({ "jobs/all.ts": job("hello", answers), "lib/word.ts": `export const word: string = "one";` });
  onTestFinished(async () => {
    await store.close();
    await database.drop();
  });
});

const env = () => ({ TASKER_DATABASE_URL: url });
const save = (path: string, text: string): void => writeFileSync(join(cwd, path), text);
const word = (text: string): void => save("lib/word.ts", `export const word: string = "${text}";`);

async function started(...flags: readonly string[]): Promise<Running> {
  const dev = launch(["dev", "--skip-types", "--grace", "2s", ...flags], { cwd, env: env() });
  await dev.says("Ready");
  return dev;
}

/** Waits until dev has said a text so many times. */
async function said(dev: Running, text: string, times = 1): Promise<void> {
  await until(() => dev.out().split(text).length > times, {
    what: () => `"${text}" ${times} times; it said: ${dev.out().slice(-3000)} ${dev.err()}`,
    timeoutMs: 20_000,
  });
}

async function trigger(payload: object = {}, id = "hello"): Promise<string> {
  const { out, err } = await tasker(["trigger", id, JSON.stringify(payload), "--json"], { cwd, env: env() });
  if (!out) throw new Error(err);
  return (JSON.parse(out) as { id: string }).id;
}

async function result(id: string): Promise<unknown> {
  const run = await store.find.awaited(parseId(id), 20_000);
  return run?.result ? JSON.parse(run.result.json) : (run?.error ?? null);
}

async function answer(payload: object = {}, id = "hello"): Promise<unknown> {
  return result(await trigger(payload, id));
}

describe("a save", () => {
  test("takes effect at once, also of a file that jobs import; a run under way ends on its own code, and each run tells its version", async () => {
    const dev = await started();
    const slow = await trigger({ ms: 3000 });
    await until(async () => (await store.find.get(parseId(slow)))?.status !== "pending", {
      what: "the slow run started",
    });

    word("two");
    await said(dev, "Reloaded");
    const quick = await trigger();

    expect([await result(quick), await result(slow)]).toEqual(["two", "one"]);
    const versions = await Promise.all([slow, quick].map(async (id) => (await store.find.get(parseId(id)))?.version));
    expect(versions).toEqual([expect.stringMatching(/^v1-/), expect.stringMatching(/^v2-/)]);
    expect(dev.out()).toMatch(/Changed {2}files=\["lib\/word\.ts"\]/);
  });

  test("gives its code to later attempts of a run, too", async () => {
    save("jobs/all.ts", job("hello", `if (word === "one") throw new Error("old"); return word;`));
    const dev = await started();

    const id = await trigger();
    await said(dev, "old");
    word("two");
    await said(dev, "Reloaded");
    await store.desk.edit(parseId(id), { delayMs: 0 });

    expect(await result(id)).toBe("two");
  });

  test("that changes nothing reloads nothing", async () => {
    const dev = await started();

    word("one");
    word("one");
    word("two");
    await said(dev, "Reloaded");

    expect(dev.out().split("Changed").length).toBe(2);
    expect(dev.out()).toMatch(/Reloaded {2}version=v2-/);
  });

  test("of a new, renamed or deleted job file needs no restart, nor one of a schedule", async () => {
    const dev = await started();

    save("jobs/more.ts", job("more", answers, `schedule: { cron: "0 0 3 * * *", payload: {} },`));
    await said(dev, `added=["more"]`);
    const made = await answer({}, "more");
    const scheduled = await until(async () => (await store.schedules.list({})).items[0], { what: "its schedule" });
    renameSync(join(cwd, "jobs/more.ts"), join(cwd, "jobs/other.ts"));
    await said(dev, "Reloaded", 2);
    save("jobs/other.ts", job("more", answers));
    await until(async () => (await store.schedules.list({})).items.length === 0, { what: "the schedule is gone" });
    rmSync(join(cwd, "jobs/other.ts"));
    await said(dev, `removed=["more"]`);
    const left = await trigger({}, "more");

    expect(made).toBe("one");
    expect(scheduled).toMatchObject({ job: "more", declared: true });
    expect((await store.find.get(parseId(left)))?.status).toBe("pending");
  });

  test("of the config, of .env, of JSON and of what CommonJS files require is seen", async () => {
    save(
      "lib/word.ts",
      `import { createRequire } from "node:module";
import data from "./data.json" with { type: "json" };
export const word: string = [createRequire(import.meta.url)("./a.cjs"), data.text, process.env.WORD].join(" ");`,
    );
    save("lib/a.cjs", `module.exports = require("./b.cjs");`);
    save("lib/b.cjs", `module.exports = "b1";`);
    save("lib/data.json", `{ "text": "j1" }`);
    save(".env", "WORD=e1");
    save("tasker.config.ts", `export default { slots: 3 };`);
    const dev = await started();
    const before = await answer();

    save("lib/b.cjs", `module.exports = "b2";`);
    await said(dev, "Reloaded", 1);
    save("lib/data.json", `{ "text": "j2" }`);
    await said(dev, "Reloaded", 2);
    save(".env", "WORD=e2");
    await said(dev, "Reloaded", 3);
    save("tasker.config.ts", `export default { slots: 4 };`);
    await said(dev, "Reloaded", 4);

    expect([before, await answer()]).toEqual(["b1 j1 e1", "b2 j2 e2"]);
  });
});

describe("broken code", () => {
  const broken = [
    ["a syntax error", `export const word: string = "two`, /Unterminated string literal.*\n[^]*lib\/word\.ts:1:\d+/],
    ["a throw at import", `export const word = "";\n\nthrow new Error("no config");`, /no config[^]*lib\/word\.ts:3:7/],
    ["a missing package", `import "nopackage";\nexport const word = "";`, /nopackage[^]*lib\/word\.ts:1:/],
    ["a missing export", `export const other = 1;`, /does not provide an export named 'word'[^]*jobs\/all\.ts:4:/],
    ["an exit", `export const word = ""; process.exit(3);`, /process\.exit\(3\) was called[^]*lib\/word\.ts:1:/],
    [
      "a wrong cron text",
      `import { defineJob } from "tasker";\nimport { z } from "zod";\nexport const word = defineJob({\n  id: "word",\n  schema: z.void(),\n  schedule: [\n    { cron: "0 99 * * *" },\n  ],\n  handler: () => 1,\n}).id;`,
      /hour "99"[^]*lib\/word\.ts:7:13\n[^]*> 7 \|/,
    ],
    ["a duplicate id", `export const word = "";`, /job "hello" is given twice[^]*jobs\/(more|all)\.ts/],
    [
      "a late throw",
      `import { existsSync as has } from "node:fs"; export const word = "two"; const go = new URL("../go", import.meta.url); const timer = setInterval(() => { if (has(go)) { clearInterval(timer); throw new Error("late"); } }, 10);`,
      /late[^]*lib\/word\.ts:1:/,
    ],
  ] as const;
  for (const [name, text, shown] of broken)
    test(`${name} is shown with its place, the last good code serves, and the fix is live at its save`, async () => {
      const dev = await started();

      if (name === "a duplicate id") save("jobs/more.ts", job("hello", answers));
      else save("lib/word.ts", text);
      if (name === "a late throw") {
        await said(dev, "Reloaded");
        save("go", "");
      }
      await until(() => shown.test(dev.out()), { what: `${shown}; it said: ${dev.out()}`, timeoutMs: 20_000 });
      const meanwhile = await answer();
      if (name === "a duplicate id") rmSync(join(cwd, "jobs/more.ts"));
      word("fixed");
      await said(dev, "Reloaded", name === "a late throw" ? 2 : 1);

      expect(meanwhile).toBe(name === "a late throw" ? "two" : "one");
      await until(async () => (await answer()) === "fixed", { what: "the fix is live", timeoutMs: 10_000 });
    });

  test(
    "an endless loop is told with the file that loops, and the last good code serves",
    { timeout: 60_000 },
    async () => {
      save("jobs/zoo.ts", job("zoo", answers)); // its import is under way, too
      const dev = await started();

      save("jobs/loop.ts", `import "../lib/word.ts";\nfor (;;);`);
      await said(dev, "endless loop, during the import of jobs/loop.ts;");
      const meanwhile = await answer();
      rmSync(join(cwd, "jobs/loop.ts"));
      word("fixed");
      await said(dev, "Reloaded");

      expect(meanwhile).toBe("one");
      expect(dev.out()).toMatch(/file=jobs\/loop\.ts[^]*jobs\/loop\.ts:2:\d+\n[^]*> 2 \| for/);
      expect(await answer()).toBe("fixed");
    },
  );

  test("at the first start keeps only its own jobs out", async () => {
    save("jobs/bad.ts", "throw new Error('bad file')");
    const dev = await started();

    expect(dev.out()).toMatch(/bad file[^]*jobs\/bad\.ts:1:7/);
    expect(await answer()).toBe("one");
  });

  test(
    "that takes its process down while it runs is started again, and the run is tried again elsewhere",
    { timeout: 60_000 },
    async () => {
      save(
        "jobs/all.ts",
        job("hello", `if (ctx.fencingToken === 1) process.kill(process.pid, "SIGKILL"); return word;`),
      );
      const dev = await started();

      const id = await trigger();
      await said(dev, "was killed by SIGKILL");

      expect(await result(id)).toBe("one");
    },
  );
});

test("a promise that a handler left behind is told once, as production tells it, and one of other code as what ends a process there", async () => {
  save(
    "jobs/all.ts",
    `${job("hello", `void Promise.reject(new Error("from the handler")); return word;`)}
     const go = new URL("../go", import.meta.url);
     const timer = setInterval(() => { if (has(go)) { clearInterval(timer); void Promise.reject(new Error("from elsewhere")); } }, 10);
     import { existsSync as has } from "node:fs";`,
  );
  const dev = await started();

  await result(await trigger());
  await said(dev, "left behind");
  expect(dev.out()).not.toContain("nobody catches");
  save("go", "");
  await said(dev, "nobody catches");

  expect(dev.out().split("Error: from the handler")).toHaveLength(2);
  expect(dev.out()).toMatch(/nobody catches[^]*Error: from elsewhere/);
});

test(
  "a handler that ends its process is shown with its run, its place, and what becomes of the run",
  { timeout: 60_000 },
  async () => {
    save("jobs/all.ts", job("hello", `\n    process.exit(ms); return word;`));
    const dev = await started("--crashes", "2");

    const id = await trigger({ ms: 0 });
    await said(dev, "Run failed as crashed");

    expect(dev.out()).toMatch(
      /The process of this version exited with 0[^]*process\.exit\(0\) was called\n[^]*jobs\/all\.ts:7:\d+\n/,
    );
    expect(dev.out()).toMatch(
      new RegExp(`Run crashed with its process \\(1 of 2\\); it starts again {2}${id} {2}hello`),
    );
    expect(dev.out()).toMatch(
      new RegExp(`Run failed as crashed: 2 times its process ended while it ran {2}${id} {2}hello`),
    );
    expect(await result(id)).toMatchObject({ name: "Crashed" });
  },
);

/** Processes whose command line names a text. */
function processes(text: string): readonly string[] {
  return execFileSync("ps", ["-eo", "pid,args"], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line.includes(text) && !line.includes("ps -eo"));
}

/** Runners of one dev: they are its children. */
function childrenOf(pid: number): readonly number[] {
  return execFileSync("ps", ["-eo", "pid,ppid"], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, parent]) => parent === pid)
    .map(([child]) => child!);
}

describe("the end", () => {
  test("Ctrl-C lets what runs end, then exits with 0", async () => {
    const dev = await started();
    const id = await trigger({ ms: 800 });
    await until(async () => (await store.find.get(parseId(id)))?.status !== "pending", { what: "it runs" });

    dev.child.kill("SIGINT");

    expect(await dev.ended).toBe(0);
    expect((await store.find.get(parseId(id)))?.status).toBe("completed");
  });

  test("kill -9 leaves no process behind, and its runs go on at the next start", { timeout: 90_000 }, async () => {
    save("jobs/all.ts", job("hello", "await new Promise(() => undefined);"));
    const dev = launch(["dev", "--skip-types"], { cwd });
    await dev.says("Ready");
    const children = childrenOf(dev.child.pid!);
    const { out } = await tasker(["trigger", "hello", "{}", "--json"], { cwd });
    const { id } = JSON.parse(out) as { id: string };
    await until(async () => /leased|running/.test((await tasker(["run", id], { cwd })).out), { what: "it runs" });

    dev.child.kill("SIGKILL");
    await until(() => children.every((pid) => !isAlive(pid)) && processes(cwd).length === 0, {
      what: "all processes of dev are gone",
      timeoutMs: 30_000, // the server writes all to the disk first, and how long that takes is the disk's matter
    });
    save("jobs/all.ts", job("hello", "return word;"));
    const next = launch(["dev", "--skip-types"], { cwd });
    await said(next, "Run completed");

    expect(children.length).toBeGreaterThanOrEqual(2); // the version that serves, and the server or the spare
    expect(next.out()).toContain(id);
  });

  test("kill -9 ends a version whose handler blocks its thread, too", { timeout: 60_000 }, async () => {
    save("jobs/all.ts", job("hello", "for (;;);"));
    const dev = await started();
    const children = childrenOf(dev.child.pid!);
    await trigger();
    await said(dev, "blocks its process");

    dev.child.kill("SIGKILL");

    await until(() => children.every((pid) => !isAlive(pid)), { what: "the version is gone", timeoutMs: 5000 });
    expect(dev.out()).toMatch(/jobs\/all\.ts:6:/);
  });

  test(
    "30 reloads leave no processes, sockets or files behind, and memory stays flat",
    { timeout: 120_000 },
    async () => {
      const dev = await started();
      const pid = dev.child.pid!;
      const memory = (): number =>
        [pid, ...childrenOf(pid)].reduce((sum, each) => {
          try {
            return sum + Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${each}/smaps_rollup`, "utf8"))?.[1] ?? 0);
          } catch {
            return sum;
          }
        }, 0);
      /** Once it has not moved for a while. */
      const settled = async (): Promise<number> => {
        let last = 0;
        let still = 0;
        await until(
          () => {
            const now = memory();
            still = Math.abs(now - last) < 0.01 * now ? still + 1 : 0;
            last = now;
            return still === 50;
          },
          { what: "memory is at rest", timeoutMs: 20_000 },
        );
        return last;
      };
      const files = (): number => (process.platform === "linux" ? readdirSync(`/proc/${pid}/fd`).length : 0);
      const reload = async (n: number): Promise<void> => {
        word(`w${n}`);
        await said(dev, "Reloaded", n);
        await until(() => childrenOf(pid).length <= 2, { what: "the old version and no more is gone" });
      };
      for (let n = 1; n <= 10; n++) await reload(n);
      const before = { memory: await settled(), files: files() };

      for (let n = 11; n <= 30; n++) await reload(n);

      const after = await settled();
      expect(await answer()).toBe("w30");
      expect(files()).toBeLessThanOrEqual(before.files + 2);
      if (process.platform === "linux") expect(after).toBeLessThan(before.memory * 1.15);
    },
  );
});

describe("in a terminal", () => {
  const open = (command: string) =>
    terminal(`exec ${process.execPath} ${main} ${command}`, cwd, { ...process.env, ...env(), CI: "", NO_COLOR: "" });

  test(
    "keys reload, trigger again, pause, show addresses and quit; a second dev shows the same",
    { timeout: 60_000 },
    async () => {
      const dev = open("dev --skip-types");
      await dev.says("q quit");
      expect(await answer()).toBe("one");

      dev.press("o");
      await dev.says("Database: postgres://");
      dev.press("t");
      await dev.says(/Run completed[^]*Run completed/);
      dev.press("p");
      await dev.says("Paused");
      const waits = await trigger();
      const viewer = open("dev --skip-types");
      await viewer.says("runs in this folder already");
      viewer.press("p");
      await viewer.says("Goes on");
      expect(await result(waits)).toBe("one");
      const at = dev.shown().length;
      dev.press("r");
      await dev.says("Reloaded", at);
      await viewer.says("Reloaded");
      dev.press("q");

      expect(await dev.ended).toBe(0);
      expect(await viewer.ended).toBe(0);
      expect(dev.shown()).toContain("\u001b["); // colours
    },
  );

  test("q twice quits at once", { timeout: 60_000 }, async () => {
    const dev = open("dev --skip-types");
    await dev.says("q quit");
    await trigger({ ms: 60_000 });
    await until(async () => (await store.find.list({ status: ["leased", "running"] })).items.length > 0, {
      what: "it runs",
    });

    dev.press("q");
    await dev.says("Stopping");
    dev.press("q");

    expect(await dev.ended).toBe(130);
  });
});

test("types are checked by the project's own TypeScript, as warnings", { timeout: 60_000 }, async () => {
  mkdirSync(join(cwd, "node_modules", "typescript", "bin"), { recursive: true });
  const real = fileURLToPath(new URL("../../node_modules/typescript", import.meta.url));
  rmSync(join(cwd, "node_modules", "typescript"), { recursive: true });
  execFileSync("ln", ["-s", real, join(cwd, "node_modules", "typescript")]);
  save(
    "tsconfig.json",
    `{ "compilerOptions": { "strict": true, "types": [], "module": "nodenext", "skipLibCheck": true }, "include": ["lib"] }`,
  );
  const dev = launch(["dev"], { cwd, env: env() });
  await dev.says("Ready");

  save("lib/word.ts", `export const word: string = 7 as number;`);
  await said(dev, "Types: lib/word.ts:1:14");
  word("two");
  await said(dev, "Types: all right again");

  expect(dev.out()).toMatch(/TS2322/);
});

test("a project whose types are not checked is told why, once", async () => {
  const dev = launch(["dev"], { cwd, env: env() });
  await said(dev, "Types are not checked: the package typescript is not installed; npm install --save-dev typescript");

  save("package.json", `{ "type": "module", "description": "changed" }`);
  await said(dev, "Reloaded");

  expect(dev.out().split("Types are not checked").length).toBe(2);
});

test("with --json every line is an entry, from the database to each run", async () => {
  const dev = launch(["dev", "--skip-types", "--json"], { cwd, env: env() });
  await dev.says(`"Ready"`);

  await answer();
  await said(dev, "Run completed");
  dev.child.kill("SIGTERM");
  await dev.ended;

  const entries = dev
    .out()
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { msg: string }).msg);
  expect(entries).toEqual(expect.arrayContaining(["Database", "Ready", "Run completed"]));
});
