import { spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";

/** One process's use of a server: an open end of a FIFO that the server's guard reads. The kernel closes the ends of dead processes, so the
 *  guard reads the end of the file when nobody uses the server any more. */
export interface Hold {
  /** Ends the use; may be repeated.
   *  @returns whether others still use the server */
  release(): boolean;
}

/** Creates the FIFO of a server that is about to start.
 *  @returns the file descriptor for its guard, and the first hold */
export function makeHold(data: string): { readonly input: number; readonly hold: Hold } {
  const path = fifo(data);
  rmSync(path, { force: true });
  const { status, stderr, error } = spawnSync("mkfifo", ["-m", "600", path], { encoding: "utf8" });
  if (status !== 0) throw error ?? new Error(stderr.trim());
  const both = openSync(path, constants.O_RDWR); // opening one end alone would block
  const input = openSync(path, constants.O_RDONLY);
  const hold = holdOf(path, openSync(path, constants.O_WRONLY));
  closeSync(both);
  return { input, hold };
}

/** Joins the users of the running server.
 *  @returns null if it is about to end, or another program started it */
export function joinHold(data: string): Hold | null {
  const path = fifo(data);
  try {
    return holdOf(path, openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
  } catch (error) {
    if (["ENXIO", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
}

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
    return (error as NodeJS.ErrnoException).code === "EAGAIN"; // a writer exists
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
