import { randomBytes } from "node:crypto";
import { linkSync, readFileSync, rmSync, statSync, utimes, writeFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** A lock whose holder has not touched it for so long is broken, even if a process has its id. */
const staleMs = 15_000;

/** Runs `act` while nobody else holds the lock file at `path`, in this process or another. The file names its holder's
 *  process; a lock whose holder died, or stands still for 15 s, is broken. Waits for as long as a holder lives.
 *  @throws what `act` throws, or a file system error if `path` can't be written */
export async function locked<T>(path: string, act: () => Promise<T>): Promise<T> {
  const mine = `${process.pid} ${randomBytes(8).toString("hex")}`;
  while (!take(path, mine)) {
    breakStale(path);
    await pause(20);
  }
  const beat = setInterval(() => utimes(path, new Date(), new Date(), () => undefined), 1_000);
  try {
    return await act();
  } finally {
    clearInterval(beat);
    if (read(path) === mine) rmSync(path, { force: true });
  }
}

/** Whether a process has this id; a zombie has. */
export function alive(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** A file's text, or null if it is not there. */
export function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

function take(path: string, content: string): boolean {
  try {
    writeFileSync(path, content, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Two starters may find the same dead lock. The link lets one of them through, or the second would remove the first's new lock. */
function breakStale(path: string): void {
  const found = read(path);
  const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  if (found === null || touched === undefined) return;
  const [pid, nonce] = found.split(" ");
  const dead = pid ? !alive(Number(pid)) : false; // empty: its holder is about to write it
  if (!dead && Date.now() - touched < staleMs) return;
  const mark = `${path}.${nonce ?? "empty"}`;
  try {
    linkSync(path, mark);
  } catch {
    return; // another starter is at it
  }
  if (read(mark) === found) rmSync(path, { force: true });
  rmSync(mark, { force: true });
}
