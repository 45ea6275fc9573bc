/** Job files as pieces of text, an item each: read in chunks, so that a file of any size takes the memory of one item. */

/** `lines`: a value a line. `document`: one list, or values one after the other. */
export type Form = "lines" | "document";

/** An item of a file as text, or what is wrong there. `line` counts from 1. */
export type Piece =
  | {
      readonly line: number;
      readonly text: string;
      /** It ends with the file, so there may be more of it to come. */
      readonly open?: true;
    }
  | {
      readonly line: number;
      readonly error: string;
      /** The file ends too soon: it may still be being written. */
      readonly cut?: true;
    };

/** Bytes that an item may have. */
export const longestItem = 1024 * 1024;

const [tab, newline, space, quote, comma, backslash] = [9, 10, 32, 34, 44, 92];
const [open, close, curly, uncurly] = [91, 93, 123, 125];
const tooLong = `the item is longer than ${longestItem / 1024 / 1024} MiB; store what is large elsewhere, and pass its id`;

/** Splits a file. Chunks go in one after the other; pieces come out as they are complete. After an error in a document nothing more comes. */
export class Splitter {
  readonly #form: Form;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #line = 1;
  /** Of the item at hand: its first line, the parts of it in earlier chunks, and their bytes. */
  #startLine = 0;
  #parts: Buffer[] = [];
  #bytes = 0;
  #inside = false;
  #depth = 0;
  #text = false;
  #escaped = false;
  #first = true;
  #over = false;
  /** Whether an item has begun. */
  #after = false;
  /** Of a document: whether it is one list, and what may come next in it. */
  #list: "none" | "item" | "more" | "closed" = "none";

  constructor(form: Form) {
    this.#form = form;
  }

  /** The pieces that this chunk completes. */
  push(chunk: Buffer): readonly Piece[] {
    if (this.#over) return [];
    const bytes = this.#first ? this.#begin(chunk) : chunk;
    if (!Buffer.isBuffer(bytes)) return [bytes];
    return this.#form === "lines" ? this.#lines(bytes) : this.#document(bytes);
  }

  /** The last piece, or what is missing. */
  end(): readonly Piece[] {
    if (this.#over) return [];
    if (!this.#after && !this.#inside && this.#list === "none") return [this.#cut("the file is empty")];
    if (this.#form === "lines" || (this.#inside && this.#depth === 0 && !this.#text && this.#list === "none"))
      return this.#inside
        ? [this.#piece(Buffer.alloc(0))].filter(isFull).map((piece) => ({ ...piece, open: true }))
        : [];
    if (this.#inside) return [this.#cut("the file ends within the item that begins here", this.#startLine)];
    if (this.#list === "item" || this.#list === "more") return [this.#cut('the file ends without the "]" of its list')];
    return [];
  }

  #begin(chunk: Buffer): Buffer | Piece {
    this.#first = false;
    if ((chunk[0] === 0xff && chunk[1] === 0xfe) || (chunk[0] === 0xfe && chunk[1] === 0xff))
      return this.#fail("the file is UTF-16; save it as UTF-8");
    return chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf ? chunk.subarray(3) : chunk;
  }

  #lines(chunk: Buffer): readonly Piece[] {
    const pieces: Piece[] = [];
    let from = 0;
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, from)) {
      this.#startLine = this.#line++;
      pieces.push(this.#piece(chunk.subarray(from, at)));
      from = at + 1;
    }
    this.#startLine = this.#line;
    this.#take(chunk.subarray(from));
    this.#inside = this.#bytes > 0;
    const full = pieces.filter(isFull);
    this.#after ||= full.length > 0;
    return full;
  }

  #document(chunk: Buffer): readonly Piece[] {
    const pieces: Piece[] = [];
    let from = 0; // where the item at hand begins in this chunk
    for (let at = 0; at < chunk.length && !this.#over; at++) {
      const byte = chunk[at]!;
      if (byte === newline) this.#line++;
      const end = this.#inside ? this.#step(byte) : null;
      if (end !== null) {
        if (end === "before") at--;
        pieces.push(this.#piece(chunk.subarray(from, at + 1)));
        if (end === "before" && byte === newline) this.#line--;
      } else if (!this.#inside) {
        from = at;
        const wrong = this.#between(byte);
        if (wrong !== null) pieces.push(this.#fail(wrong));
      }
    }
    if (this.#inside) this.#take(chunk.subarray(from));
    return pieces;
  }

  /** A byte of an item. Whether that ends with it, or before it; null: it goes on. */
  #step(byte: number): "with" | "before" | null {
    if (this.#text) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === backslash) this.#escaped = true;
      else if (byte === quote) this.#text = false;
      return null;
    }
    if (byte === quote) this.#text = true;
    else if (byte === curly || byte === open) this.#depth++;
    else if (byte === uncurly || byte === close) {
      if (this.#depth === 0) return "before";
      if (--this.#depth === 0) return "with";
    } else if (this.#depth === 0 && (byte === comma || isSpace(byte))) return "before";
    return null;
  }

  /** A byte between items; what is wrong with it, or null. */
  #between(byte: number): string | null {
    if (isSpace(byte)) return null;
    if (this.#list === "closed") return "something follows the end of the list";
    if (this.#list === "none" && !this.#after && byte === open) {
      this.#list = "item";
      return null;
    }
    if (this.#list !== "none" && byte === close) {
      if (this.#list === "item" && this.#after) return 'a comma is followed by "]"';
      this.#list = "closed";
      return null;
    }
    if (byte === comma) {
      if (this.#list !== "more") return "a comma is where an item should be";
      this.#list = "item";
      return null;
    }
    if (this.#list === "more") return "a comma is missing between two items";
    if (byte === uncurly || byte === close) return `"${String.fromCharCode(byte)}" is where an item should be`;
    this.#inside = this.#after = true;
    this.#startLine = this.#line;
    if (this.#list === "item") this.#list = "more";
    this.#step(byte);
    return null;
  }

  #take(part: Buffer): void {
    if (this.#bytes <= longestItem && part.length > 0) this.#parts.push(Buffer.from(part)); // a copy: the chunk is used again
    this.#bytes += part.length;
  }

  /** Ends the item at hand with its last part. */
  #piece(last: Buffer): Piece {
    const line = this.#startLine;
    const bytes = this.#bytes + last.length;
    const whole = this.#parts.length > 0 ? Buffer.concat([...this.#parts, last]) : last;
    this.#parts = [];
    this.#bytes = 0;
    this.#inside = this.#text = this.#escaped = false;
    this.#depth = 0;
    if (bytes > longestItem) return { line, error: tooLong };
    try {
      return { line, text: this.#decoder.decode(whole) };
    } catch {
      return { line, error: "the item is not UTF-8; save the file as UTF-8" };
    }
  }

  #fail(error: string): Piece {
    this.#over = true;
    return { line: this.#line, error };
  }

  #cut(error: string, line = this.#line): Piece {
    return { line, error, cut: true };
  }
}

function isFull(piece: Piece): boolean {
  return "error" in piece || piece.text.trim() !== "";
}

function isSpace(byte: number): boolean {
  return byte === space || byte === newline || byte === 13 || byte === tab;
}

/** By the name: `.jsonl` and `.ndjson` have a value a line. */
export function formOf(name: string): Form {
  return /\.(?:jsonl|ndjson)$/i.test(name) ? "lines" : "document";
}
