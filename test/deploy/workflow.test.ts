/** The workflows of the repository: what they call exists and can't change under them, and they may do no more than they must. */
import { expect, test } from "vitest";
import { z } from "zod";
import { filesIn, read, root, yaml } from "./kit.ts";
import { existsSync } from "node:fs";
import { join } from "node:path";

const rights = z.record(z.string(), z.enum(["read", "write"]));
const step = z.union([
  z.strictObject({ uses: z.string(), with: z.record(z.string(), z.unknown()) }),
  z.strictObject({ name: z.string().optional(), run: z.string() }),
]);
const plan = z.strictObject({
  node: z.int(),
  postgres: z.int(),
});
const workflow = z.looseObject({
  permissions: rights,
  jobs: z.record(
    z.string(),
    z.looseObject({
      "timeout-minutes": z.int(),
      permissions: rights.optional(),
      strategy: z
        .strictObject({ "fail-fast": z.literal(false), matrix: z.strictObject({ include: z.array(plan) }) })
        .optional(),
      steps: z.array(step),
    }),
  ),
});
const names = ["ci", "release"] as const;
const files = names.map((name) => `.github/workflows/${name}.yml`);
const workflows = files.map((file) => yaml(file, workflow)[0]);
const jobs = workflows.flatMap((each) => Object.values(each.jobs));
const lines = jobs.flatMap(({ steps }) => steps.flatMap((each) => ("run" in each ? [each.run] : [])));
const { scripts, engines } = JSON.parse(read("package.json")) as {
  readonly scripts: Readonly<Record<string, string>>;
  readonly engines: { readonly node: string };
};

test("all workflows are looked at here", () => {
  expect(filesIn(".github/workflows").toSorted()).toEqual([...files]);
});

test("actions are named by their commit, with the version beside it", () => {
  const uses = files.flatMap((file) => read(file).match(/uses: .*/g)!);

  expect(uses.length).toBeGreaterThan(3);
  expect(uses.filter((line) => !/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual([]);
});

test("workflows read, and the release alone may prove who it is", () => {
  expect(workflows.map(({ permissions }) => permissions)).toEqual([{ contents: "read" }, { contents: "read" }]);
  expect(jobs.map(({ permissions }) => permissions)).toEqual([undefined, { contents: "read", "id-token": "write" }]);
});

test("scripts and files that are run exist", () => {
  const called = lines.flatMap((line) => [
    ...line.matchAll(/npm (?:run )?(test|[a-z]+:[a-z]+|typecheck|lint|build)\b/g),
  ]);
  const started = lines.flatMap((line) => [...line.matchAll(/^bash (\S+)/g)]);

  expect(called.map(([, name]) => name!).filter((name) => !(name in scripts))).toEqual([]);
  expect(called.length).toBeGreaterThan(2);
  expect(started.map(([, path]) => path!)).toEqual([".ci/run"]);
  expect(existsSync(join(root, ".ci/run"))).toBe(true);
});

test("the Node.js versions and the oldest Postgres that the README names are tested", () => {
  const plans = jobs.flatMap(({ strategy }) => strategy?.matrix.include ?? []);
  const [, first, second, third] = /Node (\d+), (\d+) and (\d+) \| tested/.exec(read("README.md"))!;
  const [, oldest] = /Postgres (\d+) and later/.exec(read("README.md"))!;

  expect(plans.map(({ node }) => String(node))).toEqual([first, second, third]);
  expect(Math.min(...plans.map(({ postgres }) => postgres))).toBe(Number(oldest));
  expect(engines.node).toMatch(new RegExp(`^\\^${first}\\.`));
});

test("a release is what the tag names, was tested, and is published with its provenance and without a token", () => {
  const release = read(".github/workflows/release.yml");
  const at = (part: string): number => lines.findIndex((line) => line.includes(part));

  expect(at("npm test")).toBeGreaterThan(at("$GITHUB_REF_NAME"));
  expect(at("npm publish")).toBeGreaterThan(at("npm test"));
  expect(lines[at("npm publish")]).toContain("--provenance --access public");
  expect(release).not.toMatch(/secrets\.|_TOKEN|^ *cache:/m);
});
