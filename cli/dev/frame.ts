import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { frameOf, type Place } from "../../sdk/port/frame.ts";
import { plain, type Colors } from "../view/color.ts";
import { isAuthors } from "../error.ts";
import type { Failure } from "./protocol.ts";

/** The place that a failure is about: what the compiler names, else where the file speaks of the thing that is missing, doubled or wrong,
 *  else the first frame of the author's code. Null where nothing tells. */
export function placeOf({ message, stack, file }: Pick<Failure, "message" | "stack" | "file">): Place | null {
  const named = /^(\/[^\n]*?|[A-Za-z]:\\[^\n]*?):(\d+):(\d+): ERROR: /m.exec(message);
  if (named) return { file: named[1]!, line: Number(named[2]), column: Number(named[3]) + 1 };
  const call = firstFrame(stack);
  return spokenOf(message, file) ?? optionOf(message, call) ?? headOf(stack) ?? call;
}

/** A SyntaxError of Node begins with the place, and marks the column below the line. */
function headOf(stack: string | null): Place | null {
  const [head = "", , mark = ""] = stack?.split("\n", 3) ?? [];
  const found = /^((?:file:\/\/)?(?:\/|[A-Za-z]:[\\/]).*):(\d+)$/.exec(head);
  if (!found) return null;
  const file = found[1]!.startsWith("file:") ? fileURLToPath(found[1]!) : found[1]!;
  return { file, line: Number(found[2]), column: Math.max(1, mark.indexOf("^") + 1) };
}

/** The compiler's complaint without the rest, or the first line of a message. */
export function gist(message: string): string {
  return / ERROR: (.*)/.exec(message)?.[1] ?? message.split("\n", 1)[0]!;
}

function firstFrame(stack: string | null): Place | null {
  const lines = stack?.split("\n").filter((line) => isAuthors(line) && !/node_modules/.test(line)) ?? [];
  return lines.map(frameOf).find((place) => place !== null) ?? null;
}

/** Of a package that can't be found, its import; of an id that is taken, its definition. */
function spokenOf(message: string, file: string | null): Place | null {
  const importer = / imported from (\/[^\n]+|[A-Za-z]:\\[^\n]+)$/m.exec(message)?.[1] ?? file;
  const what = /^(?:Cannot find (?:package|module)|job) ['"]([^'"]+)['"](?!:)/.exec(message)?.[1];
  if (!importer || !what) return null;
  const lines = linesOf(importer);
  const at = lines.findIndex((line) => line.includes(`"${what}"`) || line.includes(`'${what}'`));
  return at < 0 ? null : { file: importer, line: at + 1, column: lines[at]!.indexOf(what) };
}

/** Of an option of a job that can't be right, its value, else its name, else the schedule that it belongs to: the first below the call of
 *  `defineJob`. */
function optionOf(message: string, call: Place | null): Place | null {
  const [, said] = /^job "[^"]+": (?:a )?([^]*)/.exec(message) ?? [];
  if (said === undefined || !call) return null;
  const [value, name] = [/"([^"]+)"/.exec(said)?.[1], /^\w+/.exec(said)?.[0]];
  const quoted = value === undefined ? [] : [`"${value}"`, `'${value}'`, `\`${value}\``];
  const lines = linesOf(call.file);
  for (const text of [...quoted, `${value}:`, `${name}:`, "schedule:"]) {
    const at = lines.findIndex((line, i) => i >= call.line - 1 && line.includes(text));
    if (at >= 0) return { file: call.file, line: at + 1, column: lines[at]!.indexOf(text) + 1 };
  }
  return null;
}

/** The lines around a place, the place itself marked; empty if the file can't be read. */
export function frame({ file, line, column }: Place, paint: Colors): string {
  const lines = linesOf(file);
  if (line > lines.length) return "";
  const from = Math.max(1, line - 2);
  const shown = lines.slice(from - 1, line + 1);
  const width = String(from + shown.length).length;
  const text = shown.map((each, i) => {
    const n = from + i;
    const mark = n === line ? paint.red(">") : " ";
    const code = `${mark} ${paint.dim(`${String(n).padStart(width)} |`)} ${plain(each).slice(0, 160)}`;
    return n === line
      ? `${code}\n  ${" ".repeat(width)} ${paint.dim("|")} ${" ".repeat(Math.max(0, column - 1))}${paint.red("^")}`
      : code;
  });
  return [
    `  ${paint.cyan(`${relative(process.cwd(), file) || file}:${line}:${column}`)}`,
    ...text.map((each) => `  ${each}`),
  ].join("\n");
}

function linesOf(file: string): readonly string[] {
  try {
    return readFileSync(file, "utf8").split("\n");
  } catch {
    return [];
  }
}
