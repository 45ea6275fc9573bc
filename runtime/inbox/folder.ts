/** The folder of job files: what is in it, and what becomes of its files. No path leaves it, and no link is followed. */
import { constants } from "node:fs";
import {
  chmod,
  copyFile,
  link,
  lstat,
  mkdir,
  readdir,
  realpath,
  rename,
  rm,
  stat,
  unlink,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, extname, join, relative, resolve, sep } from "node:path";
import { InvalidInput } from "../../sdk/port/error.ts";
import { globOf } from "../../sdk/port/glob.ts";
import { fieldOf, saidOf } from "../../sdk/port/text.ts";
import type { InboxSettings } from "../setting.ts";
import { isSame, type Stamp } from "./source.ts";

/** Where notes about the folder are kept. */
const hidden = ".tasker-inbox";
/** Characters of a file's name that its archived copy keeps at most: the file system's limit is 255 bytes. */
const longestName = 60;

/** A file that is to be looked at. */
export interface Found {
  readonly path: string;
  /** From the folder on, with "/", without characters that could steer a terminal or begin a line: for people. */
  readonly name: string;
  readonly stamp: Stamp;
  readonly isLink: boolean;
}

/** What became of moving a file: done, or somebody else has moved or changed it before. */
export type Moved = "moved" | "gone" | "changed";

export class Folder {
  readonly root: string;
  /** Where notes are kept. */
  readonly notes: string;
  readonly #settings: InboxSettings;
  readonly #wanted: RegExp;
  /** The mode of the folder, which those in it get. */
  #mode = 0o700;
  /** The folder itself, where a link leads to it. */
  #real = "";

  constructor(settings: InboxSettings) {
    this.#settings = settings;
    this.root = settings.dir;
    this.notes = join(settings.dir, hidden);
    this.#wanted = globOf(settings.pattern);
  }

  /** Makes the folder if it is not there. Answers whether anybody on the machine may write to it.
   *  @throws {InvalidInput} if it can't be used */
  async open(): Promise<{ readonly anybody: boolean }> {
    try {
      await mkdir(this.root, { recursive: true });
      const { mode } = await stat(this.root);
      this.#real = await realpath(this.root);
      this.#mode = mode & 0o777;
      await this.#folder(this.notes);
      const probe = join(this.notes, `probe.${process.pid}`);
      await writeFile(probe, "", { mode: 0o600 });
      await rm(probe);
      return { anybody: (mode & 0o002) !== 0 };
    } catch (cause) {
      const next =
        "tasker moves files in it and notes what it has loaded: make it writable for this user, or name another folder";
      throw new InvalidInput(`inbox.dir "${this.root}" can't be used: ${saidOf(cause)}; ${next}`, {
        path: "inbox.dir",
        cause,
      });
    }
  }

  /** The files to load, in order of their names, and the folders that may have some. */
  async list(): Promise<{ readonly files: readonly Found[]; readonly folders: ReadonlySet<string> }> {
    const files: Found[] = [];
    const folders = new Set<string>();
    await this.#walk(this.root, files, folders);
    return { files, folders };
  }

  /** Whether the file is where it seems to be: below the folder, reached over no link. */
  async holds({ path }: Found, stamp: Stamp): Promise<boolean> {
    const real = await realpath(path);
    return real === join(this.#real, relative(this.root, path)) && isSame(await lstat(real, { bigint: true }), stamp);
  }

  /** Does to a loaded file what the settings say. */
  async finish(file: Found, hash: string): Promise<Moved> {
    const { after, archiveDir } = this.#settings;
    if (after === "keep") return "moved";
    if (after === "archive") return this.#move(file, archiveDir, hash);
    const bin = join(this.notes, `${hash.slice(0, 16)}.${process.pid}`);
    const moved = await this.#moveTo(file, bin); // aside first: what has come in its place meanwhile is not deleted
    if (moved === "moved") await rm(bin, { force: true });
    return moved;
  }

  /** Moves a refused file away, and writes why beside it. `mode`: of the text. */
  async refuse(
    file: Found,
    { hash, why, mode }: { readonly hash: string; readonly why: string; readonly mode: number },
  ): Promise<Moved> {
    const { errorDir } = this.#settings;
    let text: string | null = null;
    const moved = await this.#move(file, errorDir, hash, async (target) => {
      text = `${target}.txt`;
      const draft = `${target}.${process.pid}.tmp`;
      await rm(draft, { force: true });
      await writeFile(draft, why, { flag: "wx", mode: mode & 0o666 });
      await rename(draft, text); // before the file, so that none is ever without its text
    });
    if (moved !== "moved" && text) await rm(text, { force: true });
    return moved;
  }

  async #walk(folder: string, files: Found[], folders: Set<string>): Promise<void> {
    const entries = await readdir(folder, { withFileTypes: true });
    folders.add(folder);
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = join(folder, entry.name);
      if (entry.name.startsWith(".") || [this.#settings.archiveDir, this.#settings.errorDir].includes(path)) continue;
      if (entry.isDirectory()) {
        if (this.#settings.recursive) await this.#walk(path, files, folders).catch(unlessGone);
      } else if (this.#isWanted(path) && (entry.isFile() || entry.isSymbolicLink())) {
        const stamp = await lstat(path, { bigint: true }).catch(unlessGone);
        if (stamp) files.push({ path, name: this.#nameOf(path), stamp, isLink: stamp.isSymbolicLink() });
      }
    }
  }

  #isWanted(path: string): boolean {
    const name = this.#settings.pattern.includes("/") ? relative(this.root, path).split(sep).join("/") : basename(path);
    return this.#wanted.test(name);
  }

  #nameOf(path: string): string {
    return shownName(relative(this.root, path).split(sep).join("/"));
  }

  /** Moves a file to its place below another folder, under its own name if that is free. `before` is called with the new path first. */
  async #move(
    file: Found,
    folder: string,
    hash: string,
    before: (target: string) => Promise<void> = async () => undefined,
  ): Promise<Moved> {
    const place = join(folder, dirname(relative(this.root, file.path)));
    await this.#folder(place);
    const name = basename(file.path).replace(/[^\w.@+, -]/g, "_");
    const end = extname(name).slice(0, 16);
    const stem = name.slice(0, name.length - end.length).slice(0, longestName);
    for (let n = 0; ; n++) {
      const target = join(
        place,
        n === 0 ? `${stem}${end}` : `${stem}.${hash.slice(0, 8)}${n > 1 ? `-${n}` : ""}${end}`,
      );
      if (await isThere(target)) continue;
      await before(target);
      try {
        return await this.#moveTo(file, target);
      } catch (error) {
        if (fieldOf(error, "code") !== "EEXIST") throw error; // another process was faster
      }
    }
  }

  /** Never overwrites: a second name first, then the first one is dropped. */
  async #moveTo({ path, stamp }: Found, target: string): Promise<Moved> {
    try {
      if (!isSame(await lstat(path, { bigint: true }), stamp)) return "changed";
      await link(path, target).catch(async (error: unknown) => {
        // another file system, or one without hard links
        if (!["EXDEV", "EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(String(fieldOf(error, "code"))))
          throw error;
        await copyFile(path, target, constants.COPYFILE_EXCL);
      });
    } catch (error) {
      unlessGone(error);
      return "gone";
    }
    const isStill = await lstat(path, { bigint: true }).then(
      (now) => isSame(now, stamp),
      () => false,
    );
    if (isStill) {
      await unlink(path).catch(async (error: unknown) => {
        await rm(target, { force: true });
        unlessGone(error);
      });
      return "moved";
    }
    await rm(target, { force: true });
    return "changed";
  }

  /** Makes a folder, and those above it up to the inbox or the one that exists; none of them may be a link that stands in the inbox. */
  async #folder(path: string): Promise<void> {
    const full = resolve(path);
    if (!full.startsWith(this.root + sep)) return void (await mkdir(full, { recursive: true }));
    let at = this.root;
    for (const part of relative(this.root, full).split(sep)) {
      at = join(at, part);
      const isNew = await mkdir(at).then(() => true, unlessThere);
      if (isNew) await chmod(at, this.#mode);
      if (!(await lstat(at)).isDirectory()) throw new Error(`"${at}" is no folder`);
    }
  }
}

async function isThere(path: string): Promise<boolean> {
  return lstat(path)
    .then(() => true, unlessGone)
    .then(Boolean);
}

function unlessGone(error: unknown): undefined {
  if (fieldOf(error, "code") === "ENOENT") return undefined;
  throw error;
}

function unlessThere(error: unknown): false {
  if (fieldOf(error, "code") === "EEXIST") return false;
  throw error;
}

/** A file's name as text that is safe in a line. */
export function shownName(name: string): string {
  return name.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "\ufffd").slice(0, 200);
}
