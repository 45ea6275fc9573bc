/** A file read through once, before anything of it is made: its hash, and what is wrong with it. */
import { createHash } from "node:crypto";
import { make, type Made, type Making, type Problem } from "./make.ts";
import { Splitter, type Form, type Piece } from "./split.ts";

export type Chunks = AsyncIterable<Buffer>;

/** What a file has. */
export interface Checked {
  /** Tells its content from any other. */
  readonly hash: string;
  readonly bytes: number;
  readonly items: number;
  /** How many items are refused, and the first complaints about them. */
  readonly refused: number;
  readonly problems: readonly Problem[];
  /** It ends too soon: it may still be being written. */
  readonly cut: boolean;
  /** What it makes; null for a file that is too large to be held. */
  readonly made: readonly Made[] | null;
}

/** Complaints that are kept of a file. */
const mostProblems = 100;
/** Bytes of items that are held, and how much one has beside its payload; what is larger is read a second time. */
const [mostHeld, itemWeight] = [4 * 1024 * 1024, 1000];

/** The pieces of a file, in order; `read` hears of each chunk. */
export async function* piecesOf(
  chunks: Chunks,
  form: Form,
  read: (chunk: Buffer) => void,
): AsyncGenerator<Piece, void, undefined> {
  const splitter = new Splitter(form);
  for await (const chunk of chunks) {
    read(chunk);
    yield* splitter.push(chunk);
  }
  yield* splitter.end();
}

/** Reads a file and checks each item. `see` hears of each that is good.
 *  @throws {StoreUnavailable}, and what reading throws */
export async function check(
  chunks: Chunks,
  form: Form,
  making: Making,
  see: (made: Made) => void = () => undefined,
): Promise<Checked> {
  const hash = createHash("sha256");
  const problems: Problem[] = [];
  let held: Made[] | null = [];
  let [weight, items, refused, bytes, cut] = [0, 0, 0, 0, false];
  const read = (chunk: Buffer): void => {
    hash.update(chunk);
    bytes += chunk.length;
  };
  for await (const piece of piecesOf(chunks, form, read)) {
    items++;
    const made = "error" in piece ? [broken(piece)] : await make(making, piece.line, piece.text);
    if ("item" in made) {
      see(made);
      weight += made.bytes + itemWeight;
      if (weight > mostHeld) held = null;
      held?.push(made);
    } else {
      refused++;
      problems.push(...made.slice(0, mostProblems - problems.length));
      cut ||= "error" in piece ? piece.cut === true : piece.open === true;
    }
  }
  return { hash: hash.digest("hex"), bytes, items, refused, problems, cut, made: held };
}

function broken({ line, error }: Extract<Piece, { readonly error: string }>): Problem {
  return { line, path: "", message: error };
}
