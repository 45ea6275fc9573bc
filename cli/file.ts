import { chmodSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { ActFailed } from "./error.ts";
import { saidOf } from "../sdk/port/text.ts";

/** Writes a file as a whole: whoever reads it meanwhile, or after a failure, finds the old text or the new one. Makes its folders. What is
 *  there keeps its mode, and a link goes on leading to it.
 *  @throws {ActFailed} naming the file */
export function write(file: string, text: string): void {
  try {
    mkdirSync(dirname(file), { recursive: true });
    const before = statSync(file, { throwIfNoEntry: false });
    replace(before ? realpathSync(file) : file, text, before?.mode);
  } catch (cause) {
    const said = saidOf(cause);
    throw new ActFailed(`"${file}" can't be written: ${said}; see to it that its folder can be written to`, { cause });
  }
}

function replace(file: string, text: string, mode: number | undefined): void {
  const draft = `${file}.${process.pid}.tmp`;
  try {
    writeFileSync(draft, text);
    if (mode !== undefined) chmodSync(draft, mode);
    renameSync(draft, file);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** The text of a file; null if there is none. `next`: what to do about one that can't be read.
 *  @throws {ActFailed} naming the file */
export function read(file: string, next: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new ActFailed(`"${file}" can't be read: ${saidOf(cause)}; ${next}`, { cause });
  }
}

/** Reads the .env of this folder; variables of the environment win. False: there is no such file. */
export function loadEnv(): boolean {
  try {
    process.loadEnvFile(".env");
    return true;
  } catch {
    return false;
  }
}
