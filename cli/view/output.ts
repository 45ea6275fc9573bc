import { once } from "node:events";
import { colors, safe, type Colors } from "./color.ts";
import { redact } from "./redact.ts";

/** Where a command prints: text for people, or with `--json` one document for programs. */
export interface Output {
  readonly json: boolean;
  readonly colors: Colors;
  /** Prints the document with `--json`, else the text. Once a command. */
  answer(value: unknown, text: () => string): void;
  /** Prints one of many as it comes: with `--json` a document in a line, else the text. Resolves once whoever reads has kept up. */
  line(value: unknown, text: () => string): Promise<void>;
  /** A line for people that is not part of the answer, on stderr; nothing with `--json`. */
  note(text: string): void;
}

/** Prints to the streams of this process by default. */
export function output(
  json: boolean,
  to: { readonly out: NodeJS.WritableStream; readonly err: NodeJS.WritableStream } = {
    out: process.stdout,
    err: process.stderr,
  },
): Output {
  return {
    json,
    colors: colors(to.out as { isTTY?: boolean }),
    answer: (value, text) => void to.out.write(safe(json ? JSON.stringify(value, null, 2) : redact(text())) + "\n"),
    async line(value, text) {
      const isTaken = to.out.write(safe(json ? JSON.stringify(value) : redact(text())) + "\n");
      if (!isTaken) await once(to.out, "drain");
    },
    note: (text) => void (json || to.err.write(safe(redact(text)) + "\n")),
  };
}
