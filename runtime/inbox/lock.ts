/** Which process loads a content. Locks spare work alone: two that load one content at once make each run once all the same. */
import { readFile, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { isAlive } from "../../sdk/client/source.ts";
import { fieldOf } from "../../sdk/port/text.ts";

/** A holder shows this often that it lives; one that has not for so long is taken for dead; ms. */
const [beatMs, staleMs] = [3000, 15_000];

/** A lock that is held. */
export interface Held {
  /** When a process began to load this content that did not come to its end. */
  readonly since: Date | null;
  release(): Promise<void>;
}

interface Note {
  readonly host: string;
  readonly pid: number;
  readonly at: string;
}

export class Locks {
  readonly #folder: string;
  readonly #now: () => Date;
  readonly #held = new Set<string>();
  /** Locks of others: how each looked, and since when, by this process's own clock. */
  readonly #seen = new Map<string, { readonly mark: string; readonly at: number }>();

  /** `now`: by the store's clock. */
  constructor(folder: string, now: () => Date) {
    this.#folder = folder;
    this.#now = now;
  }

  /** The lock of a content; null while another process has it. */
  async take(hash: string): Promise<Held | null> {
    const path = join(this.#folder, `${hash.slice(0, 40)}.lock`);
    if (this.#held.has(path)) return null; // this process loads it from another file
    this.#held.add(path);
    try {
      const since = await this.#since(path);
      if (since !== "held") return this.#hold(path, since);
    } catch (error) {
      this.#held.delete(path);
      throw error;
    }
    this.#held.delete(path);
    return null;
  }

  async #since(path: string): Promise<Date | null | "held"> {
    const note = JSON.stringify({ host: hostname(), pid: process.pid, at: this.#now().toISOString() } satisfies Note);
    if (await made(path, note)) return null;
    const before = await this.#stale(path);
    if (before === null) return "held";
    await unlink(path).catch(() => undefined);
    this.#seen.delete(path);
    return (await made(path, note)) ? before : "held";
  }

  /** Since when a lock is held whose holder is dead; null if it may live. */
  async #stale(path: string): Promise<Date | null> {
    try {
      const [text, { mtimeMs, ino }] = [await readFile(path, "utf8"), await stat(path)];
      const note = noteOf(text);
      const since = new Date(note?.at ?? mtimeMs);
      if (note && note.host === hostname() && (note.pid === process.pid || !isAlive(note.pid))) return since;
      const mark = `${ino} ${mtimeMs}`;
      const known = this.#seen.get(path);
      if (known?.mark === mark && performance.now() - known.at > staleMs) return since;
      if (known?.mark !== mark) this.#seen.set(path, { mark, at: performance.now() });
      return null;
    } catch (error) {
      if (fieldOf(error, "code") === "ENOENT") return null; // it was released this moment: the next look takes it
      throw error;
    }
  }

  #hold(path: string, since: Date | null): Held {
    const beat = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), beatMs).unref();
    return {
      since,
      release: async () => {
        clearInterval(beat);
        await unlink(path).catch(() => undefined);
        this.#held.delete(path);
      },
    };
  }
}

async function made(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (fieldOf(error, "code") === "EEXIST") return false;
    throw error;
  }
}

function noteOf(text: string): Note | null {
  try {
    const note = JSON.parse(text) as Partial<Note> | null;
    const isWhole = typeof note?.host === "string" && Number.isInteger(note.pid) && !Number.isNaN(Date.parse(note.at!));
    return isWhole ? (note as Note) : null;
  } catch {
    return null; // it is being written
  }
}
