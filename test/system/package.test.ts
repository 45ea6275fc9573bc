import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Database, freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const tsc = join(root, "node_modules/typescript7/bin/tsc");

let database: Database;
/** An empty folder, where the package is installed and the files of docs/getting-started.md are. */
let folder: string;
let tasker: string;
let packed: Packed;

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}
interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

beforeAll(async () => {
  database = await freshDatabase();
  folder = mkdtempSync(join(tmpdir(), "tasker-package-"));
  tasker = join(folder, "node_modules/.bin/tasker");
  // Without scripts: `prepare` would build anew, under the feet of the tests beside this one.
  const pack = await run("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", folder], root);
  packed = (JSON.parse(pack.out) as Packed[])[0]!;
  for (const [path, content] of documented()) write(path, content);
  write("package.json", JSON.stringify({ name: "shop", private: true, type: "module" }));
  const quiet = ["--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
  const installed = await run("npm", ["install", ...quiet, `./${packed.filename}`, `zod@${zodVersion()}`]);
  expect(installed).toMatchObject({ code: 0 });
}, 180_000);
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  await database.drop();
});

test("the package holds what is built, and neither tests nor sources", () => {
  const paths = packed.files.map(({ path }) => path);

  const strange = paths.filter((path) => !/^dist\/(sdk|runtime|cli)\/.+\.(js|d\.ts)$/.test(path));

  expect(strange.sort()).toEqual([
    ...["CHANGELOG.md", "LICENSE", "README.md"],
    "dist/LICENSES.txt", // of the packages that are part of the files
    "package.json",
  ]);
  expect(paths).toEqual(expect.arrayContaining(["dist/cli/main.js", "dist/sdk/index.d.ts", "dist/runtime/index.js"]));
});

test("the files of the guide run with the installed command, are triggered with it and by a script, and it stops at SIGTERM", async () => {
  const worker = start(tasker, ["start"]);
  const ended = collect(worker);
  let log = "";
  worker.stdout!.on("data", (chunk: Buffer) => (log += chunk.toString()));
  try {
    await until(() => log.includes("Runtime started"), { what: "the runtime started", timeoutMs: 20_000 });

    const triggered = await run(tasker, ["trigger", "hello", '{"name":"Ada"}', "--wait", "20s", "--json"]);
    const refused = await run(tasker, ["trigger", "hello", '{"name":7}', "--json"]);
    const script = await run(process.execPath, ["--import", "tsx", "start.ts"]);
    const listed = await run(tasker, ["runs", "--job", "hello", "--json"]);

    expect(triggered).toMatchObject({ code: 0 });
    expect(JSON.parse(triggered.out)).toMatchObject({ status: "completed", result: "Hello, Ada!" });
    expect(JSON.parse(refused.out)).toMatchObject({
      error: { code: "INVALID_PAYLOAD", message: expect.stringContaining("name") },
    });
    expect(script).toMatchObject({ code: 0, out: expect.stringMatching(/^run_\w+ Hello, Ada!\n$/) });
    const { items } = JSON.parse(listed.out) as { items: { schedule: unknown }[] };
    expect(items.filter(({ schedule }) => schedule === null)).toHaveLength(2); // its own ticks come when they come
  } finally {
    worker.kill("SIGTERM");
  }
  expect(await ended).toMatchObject({ code: 0 });
}, 60_000);

test("the files of the guide compile against the installed types, and wrong payloads don't", async () => {
  const wrong =
    'import { hello } from "./jobs/hello.ts";\nawait hello.trigger({ name: 7 });\nconst run = await hello.trigger({ name: "Ada" });\nexport const n: number = await run.result();\n';
  write("wrong.ts", wrong);
  const flags =
    "--noEmit --strict --module nodenext --target es2023 --lib es2023 --allowImportingTsExtensions --skipLibCheck false";
  const types = ["--typeRoots", join(root, "node_modules/@types"), "--types", "node"];
  const compile = (file: string) => run(process.execPath, [tsc, ...flags.split(" "), ...types, file]);

  const [right, other] = await Promise.all([compile("start.ts"), compile("wrong.ts")]);

  expect(right).toMatchObject({ code: 0, out: "" });
  expect(other.out.match(/^wrong\.ts\(\d+/gm)).toEqual(["wrong.ts(2", "wrong.ts(4"]);
}, 60_000);

test("what needs OpenTelemetry says so where it is not installed, and all else does without", async () => {
  write(
    "traced.mjs",
    'import { createRuntime, memory } from "tasker/runtime"; import { metrics } from "tasker/metrics";' +
      "const runtime = createRuntime({ store: memory(), telemetry: true }); metrics(runtime).close();" +
      "await runtime.start().catch((error) => console.log(error.code, error.message));",
  );

  const { code, out } = await run(process.execPath, ["traced.mjs"]);

  expect({ code, out }).toEqual({
    code: 0,
    out: expect.stringMatching(/^INVALID_INPUT telemetry needs .*npm install @opentelemetry\/api\n$/),
  });
});

test("CommonJS can require it", async () => {
  write(
    "common.cjs",
    'const { defineJob } = require("tasker"); const { createRuntime } = require("tasker/runtime"); const { testRuntime } = require("tasker/testing");' +
      "console.log(typeof defineJob, typeof createRuntime, typeof testRuntime);",
  );

  const { code, out } = await run(process.execPath, ["common.cjs"]);

  expect({ code, out }).toEqual({ code: 0, out: "function function function\n" });
});

test("a service that is bundled runs where nothing is installed", async () => {
  write(
    "service.ts",
    `import { configure, defineJob } from "tasker";
    import { createRuntime, postgres } from "tasker/runtime";
    import { z } from "zod";
    const payload = { at: new Date(0) };
    const job = defineJob({ id: "bundled", schema: z.object({ at: z.date() }), schedule: { cron: "* * * * * *", payload },
      handler: ({ at }) => { console.log(at.toISOString()); void runtime.stop(); } });
    const runtime = createRuntime({ store: postgres({ url: process.env.TASKER_DATABASE_URL }), jobs: [job] });
    configure({ store: runtime.store });
    void runtime.start();`,
  );
  const alone = mkdtempSync(join(tmpdir(), "tasker-bundled-"));
  try {
    const bundle = await rolldown({ input: join(folder, "service.ts"), platform: "node", logLevel: "silent" });
    await bundle.write({ dir: alone, format: "cjs", entryFileNames: "service.js" });
    await bundle.close();

    const ended = await run(process.execPath, ["service.js"], alone);

    expect(ended).toMatchObject({ code: 0, out: "1970-01-01T00:00:00.000Z\n", err: "" });
  } finally {
    rmSync(alone, { recursive: true, force: true });
  }
}, 60_000);

/** The files that docs/getting-started.md tells its reader to write, with their paths. */
function documented(): readonly (readonly [path: string, content: string])[] {
  const guide = readFileSync(join(root, "docs/getting-started.md"), "utf8");
  const files = [...guide.matchAll(/^```ts\n\/\/ file: (\S+)\n(.*?)^```$/gms)];
  expect(files.map(([, path]) => path)).toEqual(["jobs/hello.ts", "start.ts"]);
  return files.map(([, path, content]) => [path!, content!]);
}

function write(path: string, content: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
}

function zodVersion(): string {
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  return dependencies["zod"]!;
}

function start(command: string, args: readonly string[], cwd = folder): ChildProcess {
  const env = {
    ...process.env,
    TASKER_DATABASE_URL: database.url,
    NO_COLOR: "1",
    NODE_OPTIONS: "",
    NODE_ENV: "production",
  };
  return spawn(command, args, { cwd, env, stdio: ["ignore", "pipe", "pipe"], timeout: 170_000 });
}

async function collect(child: ChildProcess): Promise<Ended> {
  const [[code], out, err] = await Promise.all([once(child, "close"), text(child.stdout!), text(child.stderr!)]);
  return { code: code as number | null, out, err };
}

function run(command: string, args: readonly string[], cwd?: string): Promise<Ended> {
  return collect(start(command, args, cwd));
}
