import { fileURLToPath } from "node:url";
import { InvalidInput, TaskerError } from "../sdk/port/error.ts";
import { oneLine, plain } from "./view/color.ts";
import { redact } from "./view/redact.ts";

/** What a process answers: all went well; the act failed or nothing matched; the command line was wrong. */
export const exit = { ok: 0, failed: 1, usage: 2 } as const;

/** A command line or setting that can't be right. Exit code 2. */
export class BadUsage extends TaskerError {
  readonly code = "BAD_USAGE";
}

/** A job file or a config file that can't be loaded; `cause` is what it threw, and its stack is always shown. */
export class FileBroken extends TaskerError {
  readonly code = "FILE_BROKEN";
}

/** What was asked for did not happen; the message says why. Exit code 1. */
export class ActFailed extends TaskerError {
  readonly code = "ACT_FAILED";
}

/** The exit code that an error stands for. */
export function exitCode(error: unknown): number {
  return error instanceof BadUsage || error instanceof InvalidInput ? exit.usage : exit.failed;
}

/** An error for people: `error: …` in one line, then the stack of a broken file, or with `debug` every stack and cause. */
export function describe(error: unknown, debug: boolean): string {
  const lines = [`error: ${messageOf(error)}`];
  if (debug) lines.push(...chain(error).map((each) => indent(each.stack ?? String(each))));
  else if (error instanceof FileBroken && error.cause instanceof Error) lines.push(indent(trimmed(error.cause)));
  return redact(lines.join("\n"));
}

/** An error for programs: `{"error":{"code","message"}}`. */
export function document(error: unknown): { readonly error: { readonly code: string; readonly message: string } } {
  const code = error instanceof TaskerError ? error.code : "UNEXPECTED";
  return { error: { code, message: redact(messageOf(error)) } };
}

/** The stack of an error without the frames of Node and of loaders, `frames` lines at most. */
export function trimmed(error: Error, frames = 5): string {
  const [head, tail] = split(error);
  return [head, ...tail.filter(isAuthors).slice(0, frames)].join("\n");
}

/** Whether a line of a stack is one that an author may know: no frame of Node, of loaders, or of tasker itself. */
export function isAuthors(line: string): boolean {
  return !/(?:\(|at )node:|\/node_modules\/(tsx|esbuild)\//.test(line) && !ours.some((folder) => line.includes(folder));
}

const ours = ["cli", "runtime", "sdk"].map((folder) => fileURLToPath(new URL(`../${folder}/`, import.meta.url)));

function split(error: Error): readonly [head: string, frames: readonly string[]] {
  const lines = (error.stack ?? String(error)).split("\n");
  const first = lines.findIndex((line) => /^\s+at /.test(line));
  return first < 0 ? [lines.join("\n"), []] : [lines.slice(0, first).join("\n"), lines.slice(first)];
}

function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return oneLine(text);
}

function chain(error: unknown): readonly Error[] {
  const list: Error[] = [];
  for (let at = error; at instanceof Error && list.length < 5; at = at.cause) list.push(at);
  return list;
}

function indent(text: string): string {
  return plain(text).replace(/^/gm, "  ");
}
