import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { StoreUnusable } from "../../sdk/port/error.ts";
import { isAlive } from "../../sdk/client/source.ts";

/** Runs `act` under the file lock `path`, which one call holds at a time, in this process and others.
 *
 *  A process claims the lock by a file that names the process and its start: `<path>.<pid>-<start>-<random>`. It holds the lock
 *  if it finds no other claim after it wrote its own. Claims of dead processes are ignored.
 *  @param patienceMs how long to wait for a live holder; a server that replays its log may take 2 minutes
 *  @throws what `act` throws; {StoreUnusable} if the folder can't be written, or the holder does not finish */
export async function locked<T>(path: string, act: () => Promise<T>, patienceMs = 150_000): Promise<T> {
  const mine = `${path}.${process.pid}-${startOf(process.pid) ?? "unknown"}-${randomBytes(4).toString("hex")}`;
  try {
    await take(path, mine, patienceMs);
    return await act();
  } finally {
    remove(mine);
  }
}

async function take(path: string, mine: string, patienceMs: number): Promise<void> {
  const end = performance.now() + patienceMs;
  for (let claimed = false; ;) {
    const [first] = claims(path)
      .filter((other) => other !== mine)
      .sort();
    if (!first && claimed) return;
    if (!first) {
      claim(mine);
      claimed = true; // check again: another process may have claimed it meanwhile
      continue;
    }
    if (performance.now() > end) throw kept(path, first, patienceMs);
    if (claimed && first < mine) {
      remove(mine); // one of two claims that wait for each other must yield
      claimed = false;
    }
    await pause(20);
  }
}

/** Claims of live processes. Other claims, and locks of older versions, are removed if this user may. */
function claims(path: string): string[] {
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(basename(path)));
  return names
    .map((name) => join(dirname(path), name))
    .filter((found) => {
      const [, pid, start] = /\.(\d+)-([\w.]+)-[0-9a-f]+$/.exec(found) ?? [];
      if (pid && start && lives(Number(pid), start)) return true;
      remove(found);
      return false;
    });
}

function claim(path: string): void {
  try {
    writeFileSync(path, "", { flag: "wx" });
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    if (!["EACCES", "EPERM", "EROFS"].includes(code)) throw error;
    const folder = dirname(path);
    throw new StoreUnusable(
      `this user can't write to the folder "${folder}" (${message}); make it writable, or use another folder`,
      { cause: error },
    );
  }
}

function kept(path: string, claim: string, patienceMs: number): StoreUnusable {
  const [, pid] = /\.(\d+)-[^/]*$/.exec(claim) ?? [];
  return new StoreUnusable(
    `the lock "${path}" did not come free within ${patienceMs / 1000} s: process ${pid} claims it; end that process, or remove "${claim}" if it is not one of tasker`,
  );
}

/** A claim that can't be removed is ignored once its process has ended. */
function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // missing, another user's, or on a read-only disk
  }
}

/** Whether the process with this id, and this start if it is known, is alive. */
function lives(pid: number, start: string): boolean {
  return isAlive(pid) && [start, null].includes(startOf(pid));
}

/** A text that tells the process from an earlier one with the same id, which containers soon reuse. Null if the system does not tell. */
function startOf(pid: number): string | null {
  try {
    const [state, ...fields] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, 8);
    return state === "Z" ? "ended" : `${boot}.${fields[18]}`; // clock ticks since boot
  } catch {
    const env = { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" };
    const { stdout } = spawnSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8", env });
    return stdout?.replace(/\W+/g, "") || null;
  }
}
