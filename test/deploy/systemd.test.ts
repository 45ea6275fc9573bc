/** The unit, as systemd reads it where it is installed. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { has, read, unit } from "./kit.ts";

const systemd = has("systemd-analyze");

/** The unit in a folder of its own, with a command that is on this machine. */
function installed(): string {
  const folder = mkdtempSync(join(tmpdir(), "tasker-unit-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "tasker.service");
  writeFileSync(file, read("deploy/tasker.service").replace("/srv/shop/node_modules/.bin/tasker", process.execPath));
  return file;
}

test("the process alone gets the signal, may compile code, and is started again however it ends", () => {
  const said = (name: string): readonly string[] | undefined => unit().get(`Service.${name}`);

  expect(said("KillMode")).toEqual(["mixed"]);
  expect(said("Restart")).toEqual(["always"]);
  expect(said("DynamicUser")).toEqual(["yes"]);
  expect(said("MemoryDenyWriteExecute")).toBeUndefined(); // V8 would not start
});

test.runIf(systemd)("systemd finds nothing wrong with the unit", () => {
  const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", installed()], { encoding: "utf8" });

  expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: "" });
});

test.runIf(systemd)("systemd finds the unit about as safe as docs/deploy.md says", () => {
  const said = execFileSync("systemd-analyze", ["security", "--offline=true", installed()], { encoding: "utf8" });
  const rated = Number(/Overall exposure level for tasker\.service: ([\d.]+)/.exec(said)![1]);
  const told = Number(/rates it (\d\.\d)/.exec(read("docs/deploy.md"))![1]);

  expect(Math.abs(rated - told)).toBeLessThan(0.3); // a later systemd has more to look for
});
