import { fileURLToPath } from "node:url";

/** Where in a file something is; line and column count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** The place of a line of a stack; null for one that names no file, such as those of Node itself. */
export function frameOf(line: string): Place | null {
  const found = /(?:\(|at )(?:async )?((?:file:\/\/)?(?:\/|[A-Za-z]:[\\/]).*?)(?:\?[^:)]*)?:(\d+):(\d+)\)?$/.exec(line);
  if (!found) return null;
  const file = found[1]!.startsWith("file:") ? fileURLToPath(found[1]!) : found[1]!;
  return { file, line: Number(found[2]), column: Number(found[3]) };
}
