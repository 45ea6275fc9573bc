/** Payloads and instants of command lines. */
import { readFileSync } from "node:fs";
import type { Given } from "./given.ts";
import { BadUsage } from "./error.ts";

/** The payload of a command line: JSON as an argument, "-" for stdin, or the file of `--file`; undefined if none is given.
 *  @throws {BadUsage} */
export function payloadOf(text: string | undefined, given: Given): unknown {
  const file = given.text("file");
  if (file !== null && text !== undefined)
    throw new BadUsage("the payload was given as argument and with --file; give one of them");
  if (file !== null) return json(read(file), `--file ${file}`);
  if (text === undefined) return undefined;
  return text === "-" ? json(read(0), "stdin") : json(text, "the payload");
}

/** The instant of `--at`, or of another flag, if it was given.
 *  @throws {BadUsage} naming the flag */
export function atOf(given: Given, flag = "at"): Date | undefined {
  const text = given.text(flag);
  if (text === null) return undefined;
  const at = new Date(text);
  if (/^\d{4}-\d\d/.test(text) && !Number.isNaN(at.getTime())) return at;
  throw new BadUsage(`--${flag}: "${text}" is not an ISO time like "2030-01-31T12:00:00Z"`);
}

function read(from: string | 0): string {
  try {
    return readFileSync(from, "utf8");
  } catch (cause) {
    throw new BadUsage(`the payload can't be read: ${(cause as Error).message}`, { cause });
  }
}

function json(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BadUsage(
      `${where} is not JSON: ${(cause as Error).message}; write it like '{"name":"Ada"}', in single quotes`,
      { cause },
    );
  }
}
