import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tasker-docs-"));

beforeAll(() => {
  const page = readFileSync(join(root, "docs/testing.md"), "utf8");
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(root, join(folder, "node_modules/tasker"));
  for (const name of ["zod", "vitest", "tsx"])
    symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  for (const [, name, code] of page.matchAll(/^```[jt]s\n\/\/ file: (\S+)\n(.*?)^```$/gms))
    if (name !== "jest.config.js") writeFileSync(join(folder, name!), code!);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs node in the folder of the examples. Answers what it wrote, and its exit code. */
function node(...args: readonly string[]): { readonly code: number | null; readonly output: string } {
  const env = { PATH: process.env["PATH"], NO_COLOR: "1" }; // not those of the runner around
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, env, encoding: "utf8" });
  return { code: status, output: stdout + stderr };
}

const vitest = ["node_modules/vitest/vitest.mjs", "run", "--root", ".", "--config", "none.js"] as const;

test("the examples for vitest pass", () => {
  writeFileSync(join(folder, "none.js"), "export default {};");

  const { code, output } = node(...vitest);

  expect(output).toMatch(/Tests +5 passed \(5\)/);
  expect(code).toBe(0);
});

test("the example for node:test passes", () => {
  const { code, output } = node("--import", "tsx", "--test", "order.node.ts");

  expect(output).toMatch(/pass 1\n/);
  expect(code).toBe(0);
});

test("the example for Jest passes with the globals that Jest has", () => {
  writeFileSync(join(folder, "none.js"), "export default { test: { globals: true, include: ['*.jest.js'] } };");

  const { code, output } = node(...vitest);

  expect(output).toMatch(/Tests +1 passed \(1\)/);
  expect(code).toBe(0);
});
