import { existsSync, lstatSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { settings } from "../../cli/config.ts";
import { amend } from "../../cli/init/package.ts";
import { ignore } from "../../cli/init/ignore.ts";
import { payload } from "../../cli/init/template.ts";
import { named } from "../../cli/init/types.ts";
import { loadJobs } from "../../cli/load.ts";
import { complaints, install } from "./compile.ts";
import { folder } from "./folder.ts";
import { flags } from "./given.ts";
import { tasker, type Answer } from "./line.ts";

const { version, devDependencies } = createRequire(import.meta.url)("tasker/package.json") as {
  readonly version: string;
  readonly devDependencies: { readonly "@types/node": string };
};
const types = `^${devDependencies["@types/node"]}`;

function init(path: string, ...more: readonly string[]): Promise<Answer> {
  return tasker(["init", path, ...more], path);
}
interface Document {
  readonly written: readonly string[];
  readonly changed: readonly string[];
  readonly kept: readonly string[];
  readonly next: readonly string[];
}
async function document(path: string, ...more: readonly string[]): Promise<Document> {
  return JSON.parse((await init(path, "--json", ...more)).out) as Document;
}
/** All files of a folder with their text, those of packages left out. */
function contents(path: string): Readonly<Record<string, string>> {
  const files = readdirSync(path, { recursive: true, encoding: "utf8" }).filter(
    (name) => !name.startsWith("node_modules") && statSync(join(path, name)).isFile(),
  );
  return Object.fromEntries(files.sort().map((name) => [name, readFileSync(join(path, name), "utf8")]));
}
const all = [".gitignore", "jobs/hello.ts", "package.json", "tasker.config.ts", "tsconfig.json"];

test("an empty folder becomes a project, and is told what to do next", async () => {
  const path = folder();

  const { code, out, err } = await init(path, "--yes");

  const files = contents(path);
  expect([code, err]).toEqual([0, ""]);
  expect(Object.keys(files)).toEqual(all);
  expect(JSON.parse(files["package.json"]!)).toEqual({
    private: true,
    type: "module",
    scripts: { dev: "tasker dev", start: "exec tasker start" },
    dependencies: { tasker: `^${version}`, zod: expect.stringMatching(/^\^4\.\d+\.\d+$/) },
    devDependencies: { "@types/node": expect.stringMatching(/^\^\d+\.\d+\.\d+$/) },
  });
  expect(files[".gitignore"]).toBe(".tasker/\nnode_modules/\n");
  expect(out).toMatch(/^wrote tasker\.config\.ts\nwrote jobs\/hello\.ts\nwrote tsconfig\.json\nwrote package\.json\n/);
  expect(out).toMatch(
    /next:\n  cd .*\n  npm install\n  npx tasker dev\n  npx tasker trigger hello '\{"name":"Ada"\}'\n$/,
  );
});

test("a folder that does not exist is made", async () => {
  const path = join(folder(), "new", "worker");

  const { written } = await document(path);

  expect(written.toSorted()).toEqual(all);
  expect(Object.keys(contents(path))).toEqual(all);
});

test("a second time nothing changes, and everything is kept", async () => {
  const path = folder();
  await init(path);
  const before = contents(path);

  const again = await document(path);

  expect(contents(path)).toEqual(before);
  expect(again).toMatchObject({ written: [], changed: [] });
  expect(again.kept.toSorted()).toEqual(all);
});

test("a dry run says what it would do, and does nothing", async () => {
  const path = folder({ "package.json": "{}" });

  const { code, out } = await init(path, "--dry-run");

  expect(code).toBe(0);
  expect(out).toMatch(/^would write tasker\.config\.ts\n/);
  expect(out).toContain("would change package.json (added script dev, script start, dependency tasker ");
  expect(contents(path)).toEqual({ "package.json": "{}" });
  await init(join(path, "new"), "--dry-run");
  expect(existsSync(join(path, "new"))).toBe(false);
});

test("in a project, what is there stays as it is, and what is missing is added", async () => {
  const own = {
    ".gitignore": "dist/\r\nnode_modules\r\n*.log",
    "jobs/hello.ts": "export {};\n",
    "package.json": `{\n\t"name": "shop",\n\t"scripts": {\n\t\t"dev": "vite",\n\t\t"test": "vitest"\n\t},\n\t"devDependencies": {\n\t\t"zod": "^4.0.0"\n\t}\n}`,
    "tasker.config.mjs": "export default {};\n",
    "tsconfig.json": "{ /* mine */ }\n",
  };
  const path = folder(own);

  const { out } = await init(path);

  expect(contents(path)).toEqual({
    ...own,
    ".gitignore": "dist/\r\nnode_modules\r\n*.log\r\n.tasker/\r\n",
    "package.json": `{\n\t"name": "shop",\n\t"scripts": {\n\t\t"dev": "vite",\n\t\t"test": "vitest",\n\t\t"tasker:dev": "tasker dev",\n\t\t"start": "exec tasker start"\n\t},\n\t"devDependencies": {\n\t\t"zod": "^4.0.0",\n\t\t"@types/node": "${types}"\n\t},\n\t"dependencies": {\n\t\t"tasker": "^${version}"\n\t}\n}`,
  });
  expect(out).toContain("kept jobs/hello.ts (it exists)\n");
  expect(out).toContain("kept tasker.config.mjs (it exists)\n");
  expect(out).toContain("kept tsconfig.json (nothing is missing)\n");
  expect(out).toContain(
    `changed package.json (added script tasker:dev, script start, dependency tasker ^${version}, dependency @types/node ${types})\n`,
  );
  expect(out).toContain("changed .gitignore (added .tasker/)\n");
});

test("a project that is JavaScript by its jsconfig.json gets no tsconfig.json", async () => {
  const path = folder({ "jsconfig.json": "{}" });

  const { written, kept } = await document(path);

  expect(written).not.toContain("tsconfig.json");
  expect(kept).toEqual(["jsconfig.json"]);
  expect(contents(path)["package.json"]).not.toContain("@types");
});

test.each([
  ["broken JSON", `{ "name": "x", }`, /package\.json is no JSON: .*; mend it, then run this again/],
  ["a list", "[]", /package\.json holds no object/],
  ["scripts that are none", `{"scripts":7}`, /"scripts" in package\.json is no object/],
  ["dependencies that are none", `{"devDependencies":[]}`, /"devDependencies" in package\.json is no object/],
])("a package.json with %s is an error, and nothing is written", async (_, text, said) => {
  const path = folder({ "package.json": text });

  const { code, err } = await init(path);

  expect(code).toBe(1);
  expect(err).toMatch(said);
  expect(contents(path)).toEqual({ "package.json": text });
});

test("a file in place of the folder is refused", async () => {
  const path = folder({ file: "" });

  const { code, err } = await init(join(path, "file"));

  expect([code, err]).toEqual([2, `error: "${join(path, "file")}" is a file; give a folder`]);
});

test("a file that can't be written is named, and leaves nothing half written", async () => {
  const path = folder({ jobs: "a file where a folder should be" });

  const { code, err } = await init(path);

  expect(code).toBe(1);
  expect(err).toMatch(/^error: ".*jobs\/hello\.ts" can't be written: .*; see to it that its folder can be written to$/);
  expect(Object.keys(contents(path))).toEqual(["jobs", "tasker.config.ts"]);
});

test("a package.json behind a link is changed where it is", async () => {
  const path = folder({ "real/package.json": "{}\n", "app/x": "" });
  symlinkSync("../real/package.json", join(path, "app", "package.json"));

  await init(join(path, "app"));

  expect(lstatSync(join(path, "app", "package.json")).isSymbolicLink()).toBe(true);
  expect(readFileSync(join(path, "real", "package.json"), "utf8")).toContain('"tasker dev"');
});

test("the next steps leave out what is done, and name the project's own installer", async () => {
  const installed = folder({ "packages/app/x": "" });
  install(installed);
  const pnpm = folder({ "pnpm-lock.yaml": "" });

  const [inside, without] = [await document(join(installed, "packages", "app")), await document(pnpm)];

  expect(inside.next.slice(1)).toEqual(["npx tasker dev", `npx tasker trigger hello '${payload}'`]);
  expect(without.next[1]).toBe("pnpm install");
});

describe.each([
  ["an empty folder", {}],
  ["a CommonJS project", { "package.json": `{"type":"commonjs"}` }],
  ["a project that does not say what it is", { "package.json": `{"name":"x"}` }],
])("in %s", (_, files) => {
  test("the config and the job load, and the payload of the next steps fits", async () => {
    const path = folder(files);
    await init(path);
    install(path);

    const read = await settings(flags(), {}, path);
    const jobs = await loadJobs(read);

    expect(read.file).toBe(join(path, "tasker.config.ts"));
    expect(jobs.map(({ id }) => id)).toEqual(["hello"]);
    expect(jobs[0]!.schedules).toHaveLength(1);
    expect(await jobs[0]!.schema["~standard"].validate(JSON.parse(payload))).toEqual({ value: { name: "Ada" } });
  });

  test.each(["typescript", "typescript7"])("all of it compiles with %s, also what speaks of Node", async (compiler) => {
    const path = folder({ ...files, "jobs/more.ts": "export const more = [process.env, Buffer.from([])];\n" });
    await init(path);
    install(path);

    const said = complaints(path, compiler);

    expect(said).toEqual([]);
  });
});

const wanted = { scripts: { dev: "tasker dev" }, dependencies: { tasker: "^1.0.0" }, devDependencies: {} };

test.each([
  ["two spaces", `{\n  "a": 1\n}\n`],
  ["four spaces, without a last newline", `{\n    "a": 1\n}`],
  ["tabs", `{\n\t"a": 1\n}\n`],
  ["lines that end in CRLF", `{\r\n  "a": 1\r\n}\r\n`],
  ["a byte order mark", `\ufeff{\n  "a": 1\n}\n`],
])("a package.json with %s keeps them", (_, before) => {
  const { text } = amend(before, wanted);

  const indent = /\n([ \t]+)/.exec(before)![1]!;
  const newline = before.includes("\r\n") ? "\r\n" : "\n";
  const lines = [
    `"a": 1,`,
    `"scripts": {`,
    `${indent}"dev": "tasker dev"`,
    "},",
    `"dependencies": {`,
    `${indent}"tasker": "^1.0.0"`,
    "}",
  ];
  expect(text).toBe(before.replace(/[ \t]+"a": 1/, lines.map((line) => indent + line).join(newline)));
});

test.each(["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"])(
  "a package among the %s is not added again",
  (kind) => {
    const before = JSON.stringify({ scripts: { dev: "tasker dev" }, [kind]: { tasker: "file:../tasker" } });

    expect(amend(before, wanted)).toEqual({ text: before, added: [], esm: false });
  },
);

test("both names of a script that are taken stay as they are", () => {
  const before = JSON.stringify({ scripts: { dev: "vite", "tasker:dev": "tasker dev src" } });

  expect(amend(before, { ...wanted, dependencies: {} }).added).toEqual([]);
});

test.each([
  ["", [".tasker/", "node_modules/"]],
  ["/.tasker\n**/node_modules/\n", []],
  ["  .tasker/  \n", ["node_modules/"]],
  ["# .tasker/\n!node_modules/\n", [".tasker/", "node_modules/"]],
  [".tasker/x\nold_node_modules\n", [".tasker/", "node_modules/"]],
])("to the .gitignore %j is added %j", (before, added) => {
  expect(ignore(before, [".tasker/", "node_modules/"]).added).toEqual(added);
});

test.each([
  [
    "a list without it",
    5,
    `{ "compilerOptions": { "types": ["jest"] } }`,
    `{ "compilerOptions": { "types": ["node", "jest"] } }`,
  ],
  ["an empty list", 6, `{ "compilerOptions": { "types": [] } }`, `{ "compilerOptions": { "types": ["node"] } }`],
  ["a list that has it", 6, `{ "compilerOptions": { "types": ["node"] } }`, null],
  [
    "no list, with comments",
    6,
    `{\n  "compilerOptions": {\n    // why\n    "strict": true\n  }\n}`,
    `{\n  "compilerOptions": {\n    "types": ["node"],\n    // why\n    "strict": true\n  }\n}`,
  ],
  [
    "no list",
    7,
    `{\n  "compilerOptions": {\n    "strict": true, // so\n  },\n}`,
    `{\n  "compilerOptions": {\n    "types": ["node"],\n    "strict": true, // so\n  },\n}`,
  ],
  [
    "no list, and no compiler yet",
    null,
    `{"compilerOptions":{"strict":true}}`,
    `{"compilerOptions":{"types": ["node"],"strict":true}}`,
  ],
  ["no list, which takes all there are", 5, `{ "compilerOptions": { "strict": true } }`, null],
  [
    "a list that it may have from elsewhere",
    6,
    `{ "extends": "./base.json", "compilerOptions": { "strict": true } }`,
    null,
  ],
  ["no options", 6, `{ "extends": "./base.json" }`, null],
])("a tsconfig.json with %s gets Node's types as TypeScript %s needs it", (_, major, before, after) => {
  expect(named(before, major).text).toBe(after ?? before);
});
