/** The examples of docs/testing.md, each run by the runner that it is for. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const jest = fileURLToPath(new URL("jest/node_modules", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tasker-docs-"));

beforeAll(() => {
  const page = readFileSync(join(root, "docs/testing.md"), "utf8");
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules/tasker"));
  for (const name of ["zod", "vitest", "tsx", "pg"])
    symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
  for (const [, name, code] of page.matchAll(/^```[jt]s\n\/\/ file: (\S+)\n(.*?)^```$/gms))
    writeFileSync(join(folder, name!), code!);
  writeFileSync(join(folder, "vitest.config.js"), "export default {};");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs node in the folder of the examples, a package of this type. Answers what it wrote, and its exit code. */
function node(type: "module" | "commonjs", ...args: readonly string[]) {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type }));
  const env = { PATH: process.env["PATH"], NO_COLOR: "1" }; // not those of the runner around
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, env, encoding: "utf8" });
  return { code: status, output: stdout + stderr };
}

test("those for vitest pass", () => {
  const { code, output } = node("module", "node_modules/vitest/vitest.mjs", "run", "--root", ".");

  expect(output).toMatch(/Tests +6 passed \(6\)/);
  expect(code).toBe(0);
});

test("that for node:test passes", () => {
  const { code, output } = node("module", "--import", "tsx", "--test", "order.node.ts");

  expect(output).toMatch(/pass 1\n/);
  expect(code).toBe(0);
});

// Jest is installed with: npm ci --prefix test/runtime/testing/jest
test.skipIf(!existsSync(jest)).each([
  ["module", "jest.config.js"],
  ["commonjs", "jest.config.cjs"],
] as const)("that for Jest passes, in a package of type %s", { timeout: 60_000 }, (type, config) => {
  for (const name of ["@swc", "jest"])
    if (!existsSync(join(folder, "node_modules", name)))
      symlinkSync(join(jest, name), join(folder, "node_modules", name));
  const flags = type === "module" ? ["--experimental-vm-modules"] : [];

  const runner = [...flags, "node_modules/jest/bin/jest.js", "--config", config, "--testMatch", "**/*.jest.js"];
  const { code, output } = node(type, ...runner);

  expect(output).toMatch(/Tests: +1 passed, 1 total/);
  expect(code).toBe(0);
});
