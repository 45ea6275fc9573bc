/** What was loaded of a folder, by the hash of its content, in a file that only grows: it outlives the keys in the store. */
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";

/** Characters of a hash that are kept. */
const hashLength = 40;
const line = new RegExp(`^([0-9a-f]{${hashLength}}) `, "gm");

export class Ledger {
  readonly #path: string;
  readonly #known = new Set<string>();
  #handle: FileHandle | null = null;
  /** How far it has been read. */
  #read = 0;
  #waiting: string[] = [];
  /** The write that is under way, and the one after it. */
  #writing: Promise<void> = Promise.resolve();
  #next: Promise<void> | null = null;
  #looking: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  /** Whether a content was loaded, by any process. */
  async has(hash: string): Promise<boolean> {
    const short = hash.slice(0, hashLength);
    if (this.#known.has(short)) return true;
    this.#looking = this.#looking.then(() => this.#look());
    await this.#looking;
    return this.#known.has(short);
  }

  /** Resolves once it is on disk. Those that come while a write is under way share the next one. */
  add(hash: string, name: string): Promise<void> {
    const short = hash.slice(0, hashLength);
    this.#waiting.push(`${short} ${new Date().toISOString()} ${name}\n`);
    this.#next ??= this.#writing
      .catch(() => undefined)
      .then(() => {
        this.#next = null;
        this.#writing = this.#write();
        return this.#writing;
      });
    return this.#next.then(() => void this.#known.add(short));
  }

  async close(): Promise<void> {
    await (this.#next ?? this.#writing).catch(() => undefined); // whoever waits for it is told
    await this.#handle?.close();
    this.#handle = null;
  }

  async #write(): Promise<void> {
    const text = this.#waiting.splice(0).join("");
    const handle = await this.#open();
    await handle.appendFile(text);
    await handle.datasync();
  }

  /** Takes in what has come since the last look. */
  async #look(): Promise<void> {
    const handle = await this.#open();
    const { size } = await handle.stat();
    while (this.#read < size) {
      const step = Math.min(1024 * 1024, size - this.#read);
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(step), 0, step, this.#read);
      const end = buffer.subarray(0, bytesRead).lastIndexOf(10) + 1;
      if (end === 0) return; // a line that is being written
      for (const [, hash] of buffer.toString("latin1", 0, end).matchAll(line)) this.#known.add(hash!);
      this.#read += end;
    }
  }

  async #open(): Promise<FileHandle> {
    if (this.#handle) return this.#handle;
    const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;
    const handle = await open(this.#path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
    const { size } = await handle.stat();
    const last = size > 0 ? (await handle.read(Buffer.alloc(1), 0, 1, size - 1)).buffer.toString() : "\n";
    if (last !== "\n") await handle.appendFile("\n"); // a process was killed as it wrote
    return (this.#handle = handle);
  }
}
