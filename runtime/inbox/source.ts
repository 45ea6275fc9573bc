/** A job file that is open: it is read in chunks, as often as needed, and must not change meanwhile. */
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { TaskerError } from "../../sdk/port/error.ts";
import type { Chunks } from "./check.ts";
import { formOf, type Form } from "./split.ts";

/** A file became another one while it was read: it is read again once it stands still. */
export class FileChanged extends TaskerError {
  readonly code = "FILE_CHANGED";
  constructor(name: string) {
    super(
      `"${name}" was changed while it was read; write job files under another name, and rename them when they are complete`,
    );
  }
}

/** What tells a file, and its content at one time, from others; instants in nanoseconds. */
export interface Stamp {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly mtimeNs: bigint;
}

export interface Source {
  readonly name: string;
  readonly form: Form;
  readonly stamp: Stamp;
  readonly mode: number;
  /** The whole file. A chunk is good until the next one is asked for.
   *  @throws {FileChanged} */
  chunks(): Chunks;
  close(): Promise<void>;
}

const chunkBytes = 64 * 1024;
// A link is not followed, and a pipe is not waited for.
const careful = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Opens a file. `name`: for messages. `links`: whether one may lead to it.
 *  Answers null for what is no regular file. @throws what the system says */
export async function openSource(path: string, name: string, links: boolean): Promise<Source | null> {
  const handle = await open(path, links ? constants.O_RDONLY | constants.O_NONBLOCK : careful);
  try {
    const stat = await handle.stat({ bigint: true });
    if (stat.isFile()) return sourceOf(handle, name, stat, Number(stat.mode & 0o777n));
  } catch (error) {
    await handle.close();
    throw error;
  }
  await handle.close();
  return null;
}

function sourceOf(handle: FileHandle, name: string, stamp: Stamp, mode: number): Source {
  return {
    name,
    form: formOf(name),
    stamp,
    mode,
    async *chunks() {
      const buffer = Buffer.allocUnsafe(chunkBytes);
      for (let at = 0; ;) {
        const { bytesRead } = await handle.read(buffer, 0, chunkBytes, at);
        if (!isSame(await handle.stat({ bigint: true }), stamp)) throw new FileChanged(name);
        if (bytesRead === 0) return;
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    },
    close: () => handle.close(),
  };
}

/** Whether two looks saw the same file with the same content. */
export function isSame(a: Stamp, b: Stamp): boolean {
  return a.dev === b.dev && a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs;
}
