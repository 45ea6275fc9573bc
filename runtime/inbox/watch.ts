import { watch, type FSWatcher } from "node:fs";
import { saidOf } from "../../sdk/port/text.ts";
import type { Logger } from "../core/log.ts";

/** Rings when something in these folders changes, as far as the system tells: a hint to look, no more. A library that tells which file it was
 *  would look at all files of a folder at each change. */
export class Watch {
  readonly #changed: () => void;
  readonly #logger: Logger;
  readonly #watchers = new Map<string, FSWatcher>();
  #said = false;

  constructor(changed: () => void, logger: Logger) {
    this.#changed = changed;
    this.#logger = logger;
  }

  /** Watches these folders, and no others. */
  set(folders: ReadonlySet<string>): void {
    for (const [folder, watcher] of this.#watchers) if (!folders.has(folder)) this.#drop(folder, watcher);
    for (const folder of folders) if (!this.#watchers.has(folder)) this.#add(folder);
  }

  close(): void {
    this.set(new Set());
  }

  #add(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, this.#changed);
      watcher.on("error", (error) => {
        this.#drop(folder, watcher); // it is tried again by the next look, if the folder is still there
        this.#tell(folder, error);
      });
      this.#watchers.set(folder, watcher);
      this.#changed(); // something may have come since it was read
    } catch (error) {
      this.#tell(folder, error); // too many watches, or a folder that has gone
    }
  }

  #drop(folder: string, watcher: FSWatcher): void {
    watcher.close();
    this.#watchers.delete(folder);
  }

  #tell(folder: string, error: unknown): void {
    if (!this.#said)
      this.#logger.warn(
        { dir: folder, why: saidOf(error) },
        "A folder can't be watched; it is looked at every few seconds",
      );
    this.#said = true;
  }
}
