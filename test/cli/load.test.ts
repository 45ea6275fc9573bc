import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { DuplicateJob } from "../../sdk/port/error.ts";
import { ActFailed, BadUsage, FileBroken, describe as describeError } from "../../cli/error.ts";
import { jobFiles, loadJobs } from "../../cli/load.ts";
import { folder } from "./folder.ts";

const sdk = fileURLToPath(new URL("../../sdk/job.ts", import.meta.url));
const zod = import.meta.resolve("zod");

function job(id: string, name = id): string {
  return `export const ${name} = defineJob({ id: ${JSON.stringify(id)}, schema: z.object({}), handler: () => 1 });\n`;
}
function file(...lines: string[]): string {
  return `import { defineJob } from ${JSON.stringify(sdk)};\nimport { z } from ${JSON.stringify(zod)};\n${lines.join("")}`;
}
async function ids(base: string, jobs: readonly string[] = ["jobs"]): Promise<readonly string[]> {
  return (await loadJobs({ jobs, base })).map(({ id }) => id);
}

test("named exports, defaults, arrays and objects of jobs are all found", async () => {
  const base = folder({
    "jobs/a.ts": file(
      job("one"),
      job("two"),
      "export default [one, defineJob({ id: 'three', schema: z.string(), handler: () => 1 })];",
    ),
    "jobs/deep/b.mts": file(job("four"), "export const group = { four }; export const limit = 5;"),
  });

  expect((await ids(base)).toSorted()).toEqual(["four", "one", "three", "two"]);
});

test("the same job exported from two files is one job", async () => {
  const base = folder({ "jobs/a.ts": file(job("one")), "jobs/index.ts": `export * from "./a.ts";` });

  expect(await ids(base)).toEqual(["one"]);
});

test("two jobs with one id are refused, naming both files", async () => {
  const base = folder({ "jobs/a.ts": file(job("one")), "jobs/b.ts": file(job("one")) });

  const loading = loadJobs({ jobs: ["jobs"], base });

  await expect(loading).rejects.toThrow(DuplicateJob);
  await expect(loading).rejects.toThrow(/job "one" is given twice in .*jobs\/a\.ts and in .*jobs\/b\.ts/);
});

test("a file that throws when it is imported is named, and its stack shown", async () => {
  const base = folder({ "jobs/bad.ts": `function deep() {\n  throw new Error("no mailer");\n}\ndeep();\n` });

  const error = await loadJobs({ jobs: ["jobs"], base }).catch((thrown: unknown) => thrown);

  expect(error).toBeInstanceOf(FileBroken);
  expect(describeError(error, false)).toMatch(
    /^error: job file ".*jobs\/bad\.ts" can't be loaded: no mailer\n  Error: no mailer\n\s+at deep \(.*bad\.ts:2:\d+\)/,
  );
});

test("folders without jobs say what to write", async () => {
  const empty = folder({ "jobs/readme.md": "" });
  const without = folder({ "jobs/a.ts": "export const x = 1;" });

  await expect(loadJobs({ jobs: ["jobs"], base: empty })).rejects.toThrow(ActFailed);
  await expect(loadJobs({ jobs: ["jobs"], base: empty })).rejects.toThrow(
    /no job files in jobs; write one that exports defineJob/,
  );
  await expect(loadJobs({ jobs: ["jobs"], base: without })).rejects.toThrow(
    /no jobs in jobs: 1 file, none of which exports a job/,
  );
});

test("a path that does not exist is refused", async () => {
  await expect(loadJobs({ jobs: ["nowhere"], base: folder() })).rejects.toThrow(BadUsage);
});

test("of a folder, declarations, tests, hidden folders and what begins with _ are left out", () => {
  const names = [
    "a.ts",
    "b.mts",
    "c.js",
    "d.mjs",
    "deep/e.ts",
    "x.d.ts",
    "x.test.ts",
    "x-spec.js",
    "_x.ts",
    "_deep/x.ts",
    ".x/x.ts",
    "node_modules/x/x.js",
    "x.json",
    "x.cjs",
    "__tests__/x.ts",
  ];
  const base = folder(Object.fromEntries(names.map((name) => [`jobs/${name}`, ""])));

  const found = jobFiles(["jobs"], base).map((path) => relative(join(base, "jobs"), path));

  expect(found).toEqual(["a.ts", "b.mts", "c.js", "d.mjs", "deep/e.ts"]);
});

test("globs choose files, a file that is named is taken as it is, and each counts once", () => {
  const base = folder({ "a/x.job.ts": "", "a/b/y.job.ts": "", "a/b/z.ts": "", "c/_start.ts": "", "d.job.mts": "" });
  const found = (...paths: string[]): readonly string[] => jobFiles(paths, base).map((path) => relative(base, path));

  expect(found("a/**/*.job.ts")).toEqual(["a/b/y.job.ts", "a/x.job.ts"]);
  expect(found("**/*.job.{ts,mts}", "a/x.job.ts")).toEqual(["a/b/y.job.ts", "a/x.job.ts", "d.job.mts"]);
  expect(found("a/?.job.ts")).toEqual(["a/x.job.ts"]);
  expect(found("c/_start.ts")).toEqual(["c/_start.ts"]);
  expect(found("none/*.ts")).toEqual([]);
});
