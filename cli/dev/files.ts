import { type FSWatcher, watch } from "chokidar";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";

/** Saves of one moment come together: an editor writes several files, a formatter follows. */
const settleMs = 15;
/** Files beside the code that it depends on. Their loaders read them at the start of a process. */
const beside = ["package.json", "tsconfig.json", ".env"] as const;
const unwatched = new Set(["node_modules", ".git", ".tasker"]);

/** The project's files as they were when they were loaded; says when one that matters has other content, and which. */
export class Files {
  readonly #changed: (files: readonly string[]) => void;
  readonly #isJobFile: (file: string) => boolean;
  /** What was loaded, with a hash of its content; null: it was not there. */
  readonly #seen = new Map<string, string | null>();
  readonly #watcher: FSWatcher;
  readonly #roots = new Set<string>();
  readonly #folders = new Set<string>();
  readonly #touched = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  /** `changed` hears absolute paths. `isJobFile` tells of a file that is new below a root whether it is to be loaded. */
  constructor(changed: (files: readonly string[]) => void, isJobFile: (file: string) => boolean) {
    this.#changed = changed;
    this.#isJobFile = isJobFile;
    this.#watcher = watch([], {
      ignoreInitial: true,
      atomic: false, // what is replaced by a rename is looked at when it is there
      ignored: (path) => this.#isIgnored(path),
    });
    this.#watcher.on("all", (_event, path) => this.#touch(resolve(path)));
    this.#watcher.on("error", () => undefined); // a folder that went away, or too many watches: `r` reloads
    for (const name of beside) this.see(resolve(name));
  }

  /** A file is loaded now, as it is. */
  see(file: string): void {
    this.#seen.set(file, hash(file));
    this.#follow(dirname(file));
  }

  /** Job files may come below this folder, or be this file. */
  root(path: string): void {
    if (this.#roots.has(path)) return;
    this.#roots.add(path);
    this.#watcher.add(path);
  }

  /** Whether what is read at the start of a process is among these. */
  static isBeside(files: readonly string[]): boolean {
    return files.some((file) => beside.some((name) => name !== ".env" && file === resolve(name)));
  }

  /** Empty for a file that is not there. */
  static contentOf(file: string): Buffer {
    try {
      return readFileSync(file);
    } catch {
      return Buffer.alloc(0);
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#watcher.close();
  }

  #follow(folder: string): void {
    if (this.#folders.has(folder) || this.#isInRoot(folder)) return;
    this.#folders.add(folder);
    this.#watcher.add(folder);
  }

  /** Below a folder that is only followed, deeper folders are none of ours. */
  #isIgnored(path: string): boolean {
    const full = resolve(path);
    if (full.split(sep).some((part) => unwatched.has(part)) && ![...this.#folders].includes(full)) return true;
    return !this.#folders.has(full) && !this.#folders.has(dirname(full)) && !this.#isInRoot(full);
  }

  #isInRoot(path: string): boolean {
    return [...this.#roots].some((root) => path === root || path.startsWith(root + sep));
  }

  #touch(file: string): void {
    this.#touched.add(file);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell(), settleMs);
  }

  #tell(): void {
    const touched = [...this.#touched];
    this.#touched.clear();
    const changed = touched.filter((file) =>
      this.#seen.has(file)
        ? hash(file) !== this.#seen.get(file)
        : this.#isInRoot(file) && this.#isJobFile(file) && hash(file) !== null,
    );
    if (changed.length > 0) this.#changed(changed);
  }
}

function hash(file: string): string | null {
  try {
    return createHash("sha1").update(readFileSync(file)).digest("hex");
  } catch {
    return null; // it is not there, or a folder
  }
}
