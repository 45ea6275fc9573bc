import { plain, type Colors, type Paint } from "./color.ts";
import { exit } from "../error.ts";

/** How bad something is: fine, worth knowing, to be mended some day, to be mended now. */
export type Level = "ok" | "note" | "warning" | "error";

/** The colour of a level. */
export function levelPaint(level: Level, paint: Colors): Paint {
  if (level === "ok") return paint.green;
  if (level === "error") return paint.red;
  return level === "warning" ? paint.yellow : paint.cyan;
}

/** One finding as text: its level, then what is said; further lines stand below it, indented. */
export function levelLine(level: Level, text: string, paint: Colors): string {
  const [first, ...rest] = plain(text).split("\n");
  return [`${levelPaint(level, paint)(level.padEnd(7))}  ${first}`, ...rest.map((line) => `         ${line}`)].join(
    "\n",
  );
}

/** 1 if there is an error, or with `strict` a warning; else 0. */
export function exitOf(levels: readonly Level[], strict: boolean): number {
  return levels.includes("error") || (strict && levels.includes("warning")) ? exit.failed : exit.ok;
}

/** `1 error, 2 warnings`. */
export function tally(levels: readonly Level[]): string {
  const count = (level: Level): number => levels.filter((each) => each === level).length;
  return `${many(count("error"), "error")}, ${many(count("warning"), "warning")}`;
}

/** `1 run`, `2 runs`. */
export function many(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
