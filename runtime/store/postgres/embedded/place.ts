import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chownSync, existsSync, lstatSync, mkdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StoreUnusable } from "../../../../sdk/port/error.ts";

/** The user to run as; empty: that of this process. */
export type Owner = { readonly uid: number; readonly gid: number } | { readonly uid?: undefined };

/** Where the server's files are, and its user. */
export interface Place {
  readonly folder: string;
  readonly owner: Owner;
}

/** Finds a folder that the server can use: `dir`, or one below the system's temp folder if the server's user can't enter it. `name` is the
 *  data folder; its owner remains the user.
 *  @throws {StoreUnusable} if root has no other user for it, or the temp folder is another user's */
export function findPlace(dir: string, name: string): Place {
  const temp = join(tmpdir(), `tasker-${createHash("sha256").update(dir).digest("hex").slice(0, 16)}`);
  const data = [join(dir, name), join(temp, name)].find((folder) => existsSync(folder));
  const owner = ownerFor(data);
  if (enterable(dir, owner)) return { folder: dir, owner };
  return { folder: ownFolder(temp, owner), owner };
}

/** Gives a file or folder to the server's user. */
export function give(path: string, owner: Owner): void {
  if (owner.uid !== undefined) chownSync(path, owner.uid, owner.gid);
}

/** PostgreSQL refuses to run as root, and to use another user's data. */
function ownerFor(data: string | undefined): Owner {
  if (process.getuid?.() !== 0) return {};
  const { uid, gid } = data ? statSync(data) : { uid: 0, gid: 0 };
  return uid === 0 ? lesserUser() : { uid, gid };
}

function lesserUser(): Owner {
  for (const name of ["postgres", "nobody"]) {
    const [uid, gid] = ["-u", "-g"].map((flag) => spawnSync("id", [flag, name], { encoding: "utf8" }));
    if (uid?.status === 0 && gid?.status === 0) return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  }
  throw new StoreUnusable(
    'PostgreSQL refuses to run as root, and there is no user "postgres" or "nobody"; add one, or run as another user',
  );
}

function enterable(dir: string, owner: Owner): boolean {
  if (owner.uid === undefined) return true;
  return spawnSync("sh", ["-c", 'cd "$1"', "sh", dir], { ...owner, cwd: "/" }).status === 0;
}

/** Everybody may write to the temp folder, so a folder that exists is used only if it is the server's own. */
function ownFolder(path: string, owner: Owner): string {
  if (!existsSync(path)) {
    mkdirSync(path, { mode: 0o700 });
    give(path, owner);
  }
  const found = lstatSync(path);
  if (found.isDirectory() && found.uid === owner.uid && enterable(path, owner)) return path;
  throw new StoreUnusable(
    `the embedded PostgreSQL needs the folder "${path}", but it is another user's, or can't be entered; remove it, or set TMPDIR`,
  );
}
