import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { locked } from "../../runtime/store/lock.ts";
import { until } from "../kit/until.ts";

const module = fileURLToPath(new URL("../../runtime/store/lock.ts", import.meta.url));
let dir = "";
let path = "";

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "tasker-lock-"));
  path = join(dir, "postgres.lock");
  return () => rmSync(dir, { recursive: true, force: true });
});

/** A process that takes the lock and runs this. */
function holder(act: string): { readonly pid: number; readonly exited: Promise<unknown[]>; kill(): void } {
  const script = `
    const { locked } = await import(${JSON.stringify(module)});
    const { existsSync, rmSync, writeFileSync } = await import("node:fs");
    const inside = ${JSON.stringify(join(dir, "inside"))};
    ${act}`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    stdio: ["ignore", "inherit", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return { pid: child.pid!, exited: once(child, "exit"), kill: () => void child.kill("SIGKILL") };
}

test("of several processes that take it again and again one at a time is inside", { timeout: 60_000 }, async () => {
  const once = `locked(${JSON.stringify(path)}, async () => {
    writeFileSync(inside, "", { flag: "wx" }); // fails if another is inside
    await new Promise((done) => setImmediate(done));
    rmSync(inside);
  })`;

  const holders = Array.from({ length: 4 }, () => holder(`for (let n = 0; n < 50; n++) await ${once};`));

  expect(await Promise.all(holders.map(({ exited }) => exited))).toEqual(Array(4).fill([0, null]));
  expect(readdirSync(dir)).toEqual([]);
});

test("within one process, too, one at a time is inside; what the act throws is thrown, and the lock is free", async () => {
  let inside = 0;
  const acts = Array.from({ length: 5 }, (_, n) =>
    locked(path, async () => {
      expect(++inside).toBe(1);
      await new Promise((done) => setImmediate(done));
      inside--;
      if (n === 2) throw new Error("the act failed");
      return n;
    }).catch((error: Error) => error.message),
  );

  expect(await Promise.all(acts)).toEqual([0, 1, "the act failed", 3, 4]);
  expect(readdirSync(dir)).toEqual([]);
});

/** One that is inside until it is killed. */
async function sitter(): Promise<ReturnType<typeof holder>> {
  const forever = "new Promise((done) => setTimeout(done, 600_000))";
  const found = holder(`await locked(${JSON.stringify(path)}, () => (writeFileSync(inside, ""), ${forever}));`);
  await until(() => existsSync(join(dir, "inside")), { what: "it is inside", timeoutMs: 20_000 });
  return found;
}

test("a holder that lives is waited for; once it is killed, the next goes on", { timeout: 60_000 }, async () => {
  const first = await sitter();
  let killed = false;

  const next = locked(path, () => Promise.resolve(killed));
  killed = true;
  first.kill();

  expect(await next).toBe(true);
});

test("a holder that does not finish is named, with what to do", { timeout: 60_000 }, async () => {
  const first = await sitter();

  const next = locked(path, () => Promise.resolve(), 100);

  const name = `process ${first.pid} claims it; end that process, or remove ".*postgres\\.lock\\.${first.pid}-.*" if`;
  await expect(next).rejects.toThrow(new RegExp(`the lock ".*postgres.lock" did not come free within 0.1 s: ${name}`));
  expect(readdirSync(dir).filter((name) => name.includes(`.${process.pid}-`))).toEqual([]);
});
