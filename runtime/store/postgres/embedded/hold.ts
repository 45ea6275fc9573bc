import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";

/** The use of a server by one process: an open end of a FIFO whose other end the server's guard reads. The kernel counts the
 *  ends and closes those of the dead, so the guard reads the end of the file when nobody uses the server any more. */
export interface Hold {
  /** Gives it up. Twice is once.
   *  @returns whether others use the server still */
  release(): boolean;
}

/** Makes the FIFO of a server that is about to start on this data folder.
 *  @returns the file descriptor for its guard, and the first hold */
export function makeHold(data: string): { readonly input: number; readonly hold: Hold } {
  const path = fifo(data);
  rmSync(path, { force: true });
  const { status, stderr, error } = spawnSync("mkfifo", ["-m", "600", path], { encoding: "utf8" });
  if (status !== 0) throw error ?? new Error(stderr.trim());
  const both = openSync(path, constants.O_RDWR); // one end alone would wait for the other
  const input = openSync(path, constants.O_RDONLY);
  const hold = holdOf(path, openSync(path, constants.O_WRONLY));
  closeSync(both);
  return { input, hold };
}

/** Joins the users of the server that runs on this data folder.
 *  @returns null if no guard reads: its last user has gone, so that it is about to end, or another program started it */
export function joinHold(data: string): Hold | null {
  const path = fifo(data);
  try {
    return holdOf(path, openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  } catch (error) {
    if (["ENXIO", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
}

/** In the data folder, which nobody but its owner can enter. */
function fifo(data: string): string {
  return join(data, "users.fifo");
}

function holdOf(path: string, fd: number): Hold {
  let held = true;
  return {
    release() {
      if (held) closeSync(fd);
      held = false;
      return hasUsers(path);
    },
  };
}

function hasUsers(path: string): boolean {
  let fd: number | null = null;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return readSync(fd, Buffer.alloc(1)) > 0; // 0: the end of the file
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EAGAIN"; // somebody may still write
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
