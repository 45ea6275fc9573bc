/** What an inbox notes in its folder: which contents were loaded, and which are being loaded. */
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Ledger } from "../../runtime/inbox/ledger.ts";
import { Locks } from "../../runtime/inbox/lock.ts";
import { folder } from "./kit.ts";

const hash = (n: number): string => n.toString(16).padStart(64, "0").split("").reverse().join("");
const at = new Date("2030-01-01T00:00:00Z");
const locks = (dir: string): Locks => new Locks(dir, () => at);

test("what one ledger adds, others of the same file know, also those that are opened later", async () => {
  const path = join(folder(), "loaded");
  const [one, two] = [new Ledger(path), new Ledger(path)];
  expect(await two.has(hash(1))).toBe(false);

  await Promise.all([one.add(hash(1), "a"), one.add(hash(2), "b\u00e9"), two.add(hash(3), "c")]);

  const three = new Ledger(path);
  for (const ledger of [one, two, three]) {
    expect(await Promise.all([1, 2, 3, 4].map((n) => ledger.has(hash(n))))).toEqual([true, true, true, false]);
    await ledger.close();
  }
  expect(readFileSync(path, "utf8").split("\n")).toHaveLength(4);
});

test("a line that was cut by a crash is none, and harms no other", async () => {
  const path = join(folder(), "loaded");
  const whole = `${hash(1).slice(0, 40)} 2030-01-01T00:00:00.000Z a\n`;
  writeFileSync(path, `${whole}${hash(2).slice(0, 30)}`);
  const ledger = new Ledger(path);

  await ledger.add(hash(3), "c");

  expect(await Promise.all([1, 2, 3].map((n) => ledger.has(hash(n))))).toEqual([true, false, true]);
  await ledger.close();
});

test("100,000 lines are read", async () => {
  const path = join(folder(), "loaded");
  const lines = Array.from(
    { length: 100_000 },
    (_, n) => `${hash(n).slice(0, 40)} 2030-01-01T00:00:00.000Z file-${n}.json\n`,
  );
  appendFileSync(path, lines.join(""));
  const ledger = new Ledger(path);

  expect(await Promise.all([0, 50_000, 99_999, 100_000].map((n) => ledger.has(hash(n))))).toEqual([
    true,
    true,
    true,
    false,
  ]);
  await ledger.close();
});

test("a lock is held by one, and free once it is released", async () => {
  const dir = folder();
  const [one, two] = [locks(dir), locks(dir)];

  const held = await one.take(hash(1));
  const other = await one.take(hash(2));
  const again = await one.take(hash(1));
  await held!.release();
  const next = await one.take(hash(1));

  expect([held?.since, other?.since, again, next?.since]).toEqual([null, null, null, null]);
  await Promise.all([other!.release(), next!.release()]);
  expect(readdirSync(dir)).toEqual([]);
  expect(await two.take(hash(1))).toMatchObject({ since: null });
});

test.each([
  ["a process that has ended", (): number => spawnSync(process.execPath, ["-e", ""]).pid],
  ["an earlier process with the id of this one", (): number => process.pid],
])("the lock of %s is taken over, and tells since when it was held", async (_, pidOf) => {
  const dir = folder();
  const path = join(dir, `${hash(1).slice(0, 40)}.lock`);
  writeFileSync(path, JSON.stringify({ host: hostname(), pid: pidOf(), at: "2029-12-31T00:00:00.000Z" }));

  const held = await locks(dir).take(hash(1));

  expect(held?.since).toEqual(new Date("2029-12-31T00:00:00.000Z"));
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ host: hostname(), pid: process.pid, at: at.toISOString() });
});

test.each([
  ["a process that lives", JSON.stringify({ host: hostname(), pid: process.ppid, at: at.toISOString() })],
  ["another machine", JSON.stringify({ host: `not-${hostname()}`, pid: 1, at: at.toISOString() })],
  ["a process that has only begun to write it", ""],
])("the lock of %s is left to it", async (_, text) => {
  const dir = folder();
  const path = join(dir, `${hash(1).slice(0, 40)}.lock`);
  writeFileSync(path, text);
  const own = locks(dir);

  expect([await own.take(hash(1)), await own.take(hash(1))]).toEqual([null, null]);
  expect(existsSync(path)).toBe(true);
});
