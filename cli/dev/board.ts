import { colors, plain, safe, type Colors } from "../view/color.ts";
import { prettify } from "../view/logger.ts";
import { redact } from "../view/redact.ts";
import { frame, placeOf } from "./frame.ts";
import type { Failure } from "./protocol.ts";

/** What the engine says at each start and stop; dev says it of versions, in one line. */
const quiet = new Set(["Job registered", "Runtime started", "Runtime stopped"]);

/** Where dev prints: lines for people, or with `json` the entries of the log as they are. What is shown is told to viewers, too. */
export class Board {
  readonly #out: NodeJS.WritableStream;
  readonly #json: boolean;
  readonly paint: Colors;
  /** Hears each entry, to hand it on. */
  told: (entry: string) => void = () => undefined;

  constructor(out: NodeJS.WritableStream & { readonly isTTY?: boolean }, json: boolean) {
    this.#out = out;
    this.#json = json;
    this.paint = colors(out);
  }

  /** Shows an entry of a log: a line of JSON. */
  entry(line: string): void {
    const entry = parsed(line);
    const printed = typeof entry["printed"] === "string" ? entry["printed"] : null;
    if (quiet.has(String(entry["msg"]))) return;
    if (!line.startsWith("{") && printed !== null) return this.printed(printed, "out");
    this.told(line);
    if (this.#json) return this.#write(`${line.trimEnd()}\n`);
    if (printed !== null) return this.#write(`${this.paint.dim("              |")} ${plain(printed)}\n`);
    this.#write(prettify(line, this.paint) + this.#frameOf(entry));
  }

  /** What the project's code printed itself. */
  printed(text: string, to: "out" | "err"): void {
    this.entry(
      JSON.stringify({ level: to === "out" ? "info" : "warn", time: new Date().toISOString(), printed: text }),
    );
  }

  #frameOf(entry: Entry): string {
    const err = entry["err"] as (Partial<Failure> & { readonly type?: string }) | null | undefined;
    if (typeof err?.message !== "string") return "";
    const place = placeOf({ message: err.message, stack: err.stack ?? null, file: err.file ?? null });
    const text = place ? frame(place, this.paint) : "";
    return text && `${text.replace(/^/gm, "            ")}\n`;
  }

  #write(text: string): void {
    this.#out.write(safe(redact(text)));
  }
}

type Entry = Readonly<Record<string, unknown>>;

function parsed(line: string): Entry {
  try {
    return JSON.parse(line) as Entry;
  } catch {
    return { printed: line }; // something else wrote to the pipe
  }
}
