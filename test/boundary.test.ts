import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { join, posix, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { expect, test } from "vitest";

/** Imports point one way: a folder may use itself and what is listed. */
const layers: Readonly<Record<string, readonly string[]>> = {
  sdk: ["sdk"],
  runtime: ["runtime", "sdk"],
  cli: ["cli", "runtime", "sdk"],
  examples: ["examples"], // and `tasker` by its name, as users have it
};
/** The one arrow that points the other way. It is taken late, so that importing tasker costs no driver. */
const exception = 'sdk/client/config.ts: import("runtime/store/open.ts")';
/** The rooms of a layer, each with the other rooms of its layer that it may use. The files beside them join the rooms, and may use them all. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  "sdk/port": [],
  "sdk/cron": ["sdk/port"],
  "sdk/define": ["sdk/port", "sdk/cron"],
  "sdk/remote": ["sdk/port"],
  "sdk/client": ["sdk/port", "sdk/cron", "sdk/define", "sdk/remote"],
  "sdk/trace": ["sdk/port", "sdk/client"],
  "runtime/store": [],
  "runtime/core": ["runtime/store", "runtime/setting.ts"],
  "runtime/schedule": ["runtime/store", "runtime/core"],
  "runtime/flow": ["runtime/store", "runtime/core"],
  "runtime/attempt": ["runtime/store", "runtime/core", "runtime/flow"],
  "runtime/webhook": ["runtime/store", "runtime/core"],
  "runtime/inbox": ["runtime/store", "runtime/core", "runtime/setting.ts"],
  "runtime/loop": ["runtime/store", "runtime/core", "runtime/schedule", "runtime/attempt", "runtime/setting.ts"],
  "runtime/http": ["runtime/core", "runtime/runtime.ts", "runtime/metrics"],
  "runtime/metrics": ["runtime/store", "runtime/core", "runtime/runtime.ts"],
};
/** Opened by a URL, or by a command: never because `tasker` was imported. */
const late = [
  "@opentelemetry/api",
  "hono",
  "@hono/node-server",
  "pg",
  "ioredis",
  "kysely",
  "pino",
  "tsx",
  "cron-parser",
  "luxon",
  "chokidar",
];

const root = fileURLToPath(new URL("..", import.meta.url));
const sources = Object.keys(layers).flatMap((folder) => filesIn(folder));

test("imports point one way: cli, runtime, sdk", () => {
  const wrong = sources.flatMap((file) => wrongWays(file, readFileSync(join(root, file), "utf8")));

  expect(sources.length).toBeGreaterThan(80);
  expect(wrong).toEqual([exception]);
});

test.each([
  ["sdk/job.ts", 'import { createRuntime } from "../runtime/runtime.ts";', "sdk/job.ts: runtime/runtime.ts"],
  ["sdk/job.ts", 'import type { Store } from "../runtime/store/port.ts";', "sdk/job.ts: runtime/store/port.ts"],
  ["sdk/job.ts", 'export * from "../runtime/index.ts";', "sdk/job.ts: runtime/index.ts"],
  ["sdk/job.ts", 'let x: import("../cli/config.ts").Settings;', "sdk/job.ts: cli/config.ts"],
  ["sdk/job.ts", "void import(`../runtime/index.ts`);", 'sdk/job.ts: import("runtime/index.ts")'],
  ["sdk/job.ts", 'import { createRuntime } from "tasker/runtime";', "sdk/job.ts: tasker/runtime"],
  ["runtime/store/open.ts", 'import {\n  load,\n} from "../../cli/load.ts";', "runtime/store/open.ts: cli/load.ts"],
  [
    "examples/hello/hello.ts",
    'import { defineJob } from "../../sdk/index.ts";',
    "examples/hello/hello.ts: sdk/index.ts",
  ],
])("in %s, %s is refused", (file, source, said) => {
  expect(wrongWays(file, source)).toEqual([said]);
});

test("rooms of a layer use only the rooms below them", () => {
  const wrong = sources.flatMap((file) => wrongRooms(file, readFileSync(join(root, file), "utf8")));

  expect(wrong).toEqual([]);
});

test.each([
  ["sdk/port/text.ts", 'import type { JobSpec } from "../define/spec.ts";', "sdk/port/text.ts: sdk/define/spec.ts"],
  ["runtime/core/lease.ts", 'import "../loop/fetch.ts";', "runtime/core/lease.ts: runtime/loop/fetch.ts"],
  ["runtime/store/port.ts", 'import "../setting.ts";', "runtime/store/port.ts: runtime/setting.ts"],
])("from the room of %s, %s is refused", (file, source, said) => {
  expect(wrongRooms(file, source)).toEqual([said]);
});

test("commands reach a store by its URL or by runtime/store/admin, never by its folder", () => {
  const wrong = sources
    .filter((file) => file.startsWith("cli/"))
    .flatMap((file) =>
      usedBy(file)
        .filter((to) => /^runtime\/store\/\w+\//.test(to))
        .map((to) => `${file}: ${to}`),
    );

  expect(wrong).toEqual([]);
});

test("no import leads back to where it came from, not even one of a type", () => {
  expect(circlesOf(new Map(sources.map((file) => [file, usedBy(file)])))).toEqual([]);
});

test("a circle is seen", () => {
  const arrows = new Map([
    ["a", ["b"]],
    ["b", ["c", "d"]],
    ["c", ["a"]],
    ["d", []],
  ]);

  expect(circlesOf(arrows)).toEqual([["a", "b", "c"]]);
});

test("an import that is only spoken of is none", () => {
  const source = '/** import "../cli/main.ts" */ const text = \'import("../cli/main.ts")\'; import { z } from "zod";';

  expect(wrongWays("sdk/job.ts", source)).toEqual([]);
});

test("every package that the built code and its types import is a dependency, or one that whoever wants it has", () => {
  const { dependencies, peerDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly dependencies: object;
    readonly peerDependencies: object;
  };
  const built = filesIn("dist");

  const packages = new Set(
    built.flatMap((file) => importsOf(file, readFileSync(join(root, file), "utf8"))).flatMap(packageOf),
  );

  expect([...packages]).toEqual(expect.arrayContaining(["pg", "zod"]));
  expect([...packages]).not.toContain("cron-parser"); // it is part of the files
  expect([...packages].filter((name) => !(name in { ...dependencies, ...peerDependencies })).sort()).toEqual([]);
});

test("importing tasker loads no driver and nothing of the runtime", async () => {
  const loaded = await loadedBy('import "tasker";');

  expect(loaded).toContainEqual(expect.stringMatching(/dist\/sdk\/index\.js$/));
  const code = loaded.filter((url) => url.includes("/dist/")).map((url) => readFileSync(fileURLToPath(url), "utf8"));
  expect(code.join()).toContain("// dist/sdk/job.js");
  expect(code.filter((text) => /\/\/ dist\/(runtime|cli)\//.test(text))).toEqual([]); // each packed module begins with its path
  expect(loaded.flatMap(installed).filter((name) => late.includes(name))).toEqual([]);
});

test("a command that needs no store loads no driver and no engine", async () => {
  const loaded = await loadedBy(
    'import { main } from "./dist/cli/main.js"; process.stdout.write = () => true; await main(["--help"]);',
  );

  expect(loaded).toContainEqual(expect.stringMatching(/dist\/cli\/main\.js$/));
  expect(loaded.filter((url) => /dist\/sdk\/(?:runtime|postgres)-/.test(url))).toEqual([]);
  expect(loaded.flatMap(installed).filter((name) => late.includes(name))).toEqual([]);
});

test("what loads a driver is seen", async () => {
  const loaded = await loadedBy('import "pg"; import "kysely";');

  expect(loaded.flatMap(installed)).toEqual(expect.arrayContaining(["pg", "kysely"]));
});

test.each([
  ["every", `{ every: "1m" }`, false],
  ["cron", `{ cron: "0 9 * * *" }`, true],
])("cron-parser runs in a process with a cron text alone: %s", async (_, schedule, runs) => {
  const ran = await ranBy(
    `import { defineJob } from "tasker"; import "tasker/runtime"; import { z } from "zod";
    defineJob({ id: "a", schema: z.void(), handler: () => null, schedule: ${schedule} });`,
  );

  const names = ran.flatMap(({ functions }) => functions.map(({ functionName }) => functionName));
  expect(names).toContain("defineJob");
  expect(names.includes("fromMonth")).toBe(runs); // of cron-parser: V8 knows it once its module has run
});

interface Import {
  /** `runtime/store/open.ts`, or a package as it was written. */
  readonly to: string;
  readonly isLate: boolean;
}

function wrongWays(file: string, source: string): readonly string[] {
  const allowed = layers[file.split("/", 1)[0]!]!;
  const isFine = ({ to }: Import): boolean => {
    if (to.startsWith("tasker/") || to === "tasker") return file.startsWith("examples/");
    const layer = to.split("/", 1)[0]!;
    return !(layer in layers) || allowed.includes(layer);
  };
  const wrong = importsOf(file, source).filter((found) => !isFine(found));
  return wrong.map(({ to, isLate }) => `${file}: ${isLate ? `import("${to}")` : to}`);
}

function wrongRooms(file: string, source: string): readonly string[] {
  const room = roomOf(file);
  const allowed = rooms[room];
  if (!allowed) return [];
  const layer = room.split("/", 1)[0]!;
  const isFine = ({ to }: Import): boolean =>
    !to.startsWith(`${layer}/`) || roomOf(to) === room || allowed.includes(roomOf(to)) || allowed.includes(to);
  return importsOf(file, source)
    .filter((found) => !isFine(found))
    .map(({ to }) => `${file}: ${to}`);
}

function roomOf(file: string): string {
  return file.split("/").slice(0, 2).join("/");
}

function usedBy(file: string): readonly string[] {
  return importsOf(file, readFileSync(join(root, file), "utf8")).flatMap(({ to }) =>
    sources.includes(to) ? [to] : [],
  );
}

/** Each set of files that reach one another, its files in order of name. */
function circlesOf(arrows: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  const reached = (from: string): ReadonlySet<string> => {
    const seen = new Set<string>();
    const open = [...(arrows.get(from) ?? [])];
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      if (seen.has(next)) continue;
      seen.add(next);
      open.push(...(arrows.get(next) ?? []));
    }
    return seen;
  };
  const all = new Map([...arrows.keys()].map((file) => [file, reached(file)]));
  const circles = [...all].map(([file, seen]) => [...seen].filter((other) => all.get(other)?.has(file)).sort());
  return circles.filter((circle, i) => circle.length > 0 && [...all.keys()][i] === circle[0]);
}

/** All modules that a source names: imports and exports, of types too, late ones, and `require`. */
function importsOf(file: string, source: string): readonly Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, isLate: boolean): void => {
    if (!specifier || !ts.isStringLiteralLike(specifier)) return;
    const { text } = specifier;
    found.push({ to: text.startsWith(".") ? posix.join(posix.dirname(file), text) : text, isLate });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier, false);
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, false);
    if (ts.isCallExpression(node) && isLoader(node.expression)) add(node.arguments[0], true);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true));
  return found;
}

function isLoader(called: ts.Expression): boolean {
  return called.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(called) && called.text === "require");
}

/** The name of the package that an import is of, without its subpath; nothing for the project's own files and Node's modules. */
function packageOf({ to }: Import): readonly string[] {
  if (to.startsWith("dist/") || isBuiltin(to)) return [];
  return [/^(?:@[^/]+\/)?[^/]+/.exec(to)![0]];
}

function filesIn(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.m?[tj]s$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"));
}

interface Ran {
  readonly url: string;
  readonly functions: readonly { readonly functionName: string }[];
}

/** The URLs of all that a fresh process has run after a script. */
async function loadedBy(script: string): Promise<readonly string[]> {
  return (await ranBy(script)).map(({ url }) => url);
}

/** All files that a fresh process has run after a script, with the functions in them that came to be: V8 keeps count of them. */
async function ranBy(script: string): Promise<readonly Ran[]> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-loaded-"));
  try {
    const env = { ...process.env, NODE_V8_COVERAGE: folder, NODE_OPTIONS: "" };
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
      cwd: root,
      env,
      stdio: "inherit",
    });
    expect(await once(child, "exit")).toEqual([0, null]);
    const reports = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8"));
    return reports.flatMap((text) => (JSON.parse(text) as { result: readonly Ran[] }).result);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function installed(url: string): readonly string[] {
  const name = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1];
  return name === undefined ? [] : [name];
}
