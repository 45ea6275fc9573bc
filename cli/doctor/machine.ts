/** What can be told without a database. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { isAlive, hidden } from "../../sdk/client/source.ts";
import { fault, fine, note, type Finding, warning } from "./finding.ts";
import { saidOf } from "../../sdk/port/text.ts";

/** Whether this Node, "20.19.0" for example, is in the range of `engines`: parts like "^20.19.0" and ">=22.12.0", between "||". */
export function nodeVersion(version: string, range: string): Finding {
  const isWithin = range.split("||").some((part) => {
    const [, sign, least] = /^(\^|>=)(.+)$/.exec(part.trim())!;
    return rank(version) >= rank(least!) && (sign === ">=" || major(version) === major(least!));
  });
  if (isWithin) return fine("node", `Node ${version}`);
  return fault("node", `Node ${version} is not one that tasker runs on: ${range}`, "install a newer Node");
}

function major(version: string): number {
  return Number.parseInt(version, 10);
}

function rank(version: string): number {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  return major * 1e6 + minor * 1e3 + patch;
}

/** What the system can't do, of `process.platform` and `process.arch`. */
export function platform(name: string, arch: string): Finding {
  const what = `${name} ${arch}`;
  if (name === "linux" || name === "darwin") return fine("platform", what);
  return note(
    "platform",
    `${what}: the embedded Postgres does not run here`,
    "name a server with TASKER_DATABASE_URL, or use WSL",
  );
}

/** The state that commands keep in `.tasker/` of a folder, and the room on its disk. */
export async function folder(cwd: string, freeBytes = free): Promise<readonly Finding[]> {
  return [...staleNote(cwd), ...(await data(join(cwd, hidden))), ...room(await freeBytes(cwd).catch(() => null))];
}

/** `bytes`: null where the system does not tell. */
function room(bytes: number | null): readonly Finding[] {
  if (bytes === null) return [];
  if (bytes >= 1e9) return [fine("disk", `${(bytes / 1e9).toFixed(1)} GB are free on the disk of this folder`)];
  const found = `${Math.round(bytes / 1e6)} MB are free on the disk of this folder`;
  return [warning("disk", found, "make room: a Postgres whose disk is full stops")];
}

async function free(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

function staleNote(cwd: string): readonly Finding[] {
  const path = join(cwd, hidden, "dev.json");
  if (!existsSync(path)) return [];
  const { pid } = read(path);
  if (pid !== null && isAlive(pid)) return [fine("dev", `"tasker dev" or "tasker start" runs here (pid ${pid})`)];
  return [
    note(
      "dev",
      `${hidden}/dev.json was left by a process that has gone${pid === null ? "" : ` (pid ${pid})`}; it is ignored`,
      "nothing, or remove it; the next start writes it anew",
    ),
  ];
}

function read(path: string): { readonly pid: number | null } {
  try {
    const { pid } = JSON.parse(readFileSync(path, "utf8")) as { readonly pid?: unknown };
    return { pid: Number.isInteger(pid) ? (pid as number) : null };
  } catch {
    return { pid: null };
  }
}

/** The data of embedded servers, each in a folder named after its major. */
async function data(dir: string): Promise<readonly Finding[]> {
  if (!existsSync(dir)) return [];
  const folders = readdirSync(dir).filter((name) => /^pg\d+$/.test(name) && existsSync(join(dir, name, "PG_VERSION")));
  if (folders.length === 0) return [];
  const major = await binaries();
  if (typeof major !== "number") return [major];
  return folders.map((name) => {
    const found = readFileSync(join(dir, name, "PG_VERSION"), "utf8").trim();
    if (found === String(major))
      return fine("embedded", `${hidden}/${name} is of PostgreSQL ${found}, as the binaries are`);
    return (name === `pg${major}` ? fault : warning)(
      "embedded",
      `${hidden}/${name} holds data of PostgreSQL ${found}, but the binaries found here are of ${major}: its runs are not seen`,
      `name the binaries of ${found} in TASKER_PG_BIN, or remove the folder if nothing in it is needed`,
    );
  });
}

/** The major of the binaries that an embedded server would start; a finding if there are none. */
async function binaries(): Promise<number | Finding> {
  const { embeddedMajor } = await import("../../runtime/store/admin.ts");
  try {
    return await embeddedMajor();
  } catch (error) {
    const found = saidOf(error);
    return note("embedded", found, null);
  }
}
