/** Bodies of requests: bounded, and read as JSON, or line by line. */
import { InvalidInput } from "../../sdk/port/error.ts";
import { saidOf } from "../../sdk/port/text.ts";
import { Refused } from "./error.ts";
import type { Header } from "./guard.ts";

/** Bytes of a body, or of a line of one. */
export const largestBody = 1024 * 1024;
/** Bytes of a body of JSON lines. */
export const largestLines = 256 * 1024 * 1024;

/** `application/json`, of `Application/JSON; charset=utf-8`. */
export function mediaType(header: Header): string {
  return (header("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();
}

/** A body as JSON; undefined if it is empty.
 *  @throws {Refused} for another type, a body that is too large, and for what is not JSON, with the place */
export async function readJson(request: Request, header: Header): Promise<unknown> {
  const text = await readText(request, header);
  if (text === "") return undefined;
  const type = mediaType(header);
  if (type !== "application/json" && !type.endsWith("+json")) throw unsupported(type, "application/json");
  return parse(text);
}

export function unsupported(type: string, wanted: string): Refused {
  return new Refused("UNSUPPORTED_TYPE", `the body is "${type.slice(0, 80)}"; send it with Content-Type: ${wanted}`, {
    Accept: wanted,
  });
}

async function readText(request: Request, header: Header): Promise<string> {
  const length = header("content-length");
  if (length !== null) {
    if (Number(length) > largestBody) throw tooLarge();
    return decoded(await request.arrayBuffer());
  }
  if (header("transfer-encoding") === null && !request.body) return "";
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunksOf(request)) {
    if ((bytes += chunk.length) > largestBody) throw tooLarge();
    chunks.push(chunk);
  }
  return decoded(Buffer.concat(chunks));
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function decoded(bytes: ArrayBuffer | Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new Refused("INVALID_JSON", "the body is not UTF-8; encode it so", {}, { cause });
  }
}

function tooLarge(): Refused {
  return new Refused(
    "TOO_LARGE",
    `the body has more than ${largestBody} bytes; send many items as JSON lines, with Content-Type: application/x-ndjson`,
  );
}

async function* chunksOf(request: Request): AsyncGenerator<Uint8Array, void, undefined> {
  if (request.body) yield* request.body as unknown as AsyncIterable<Uint8Array>;
}

/** The parser's own words tell the place: a position, or the text around it. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new Refused("INVALID_JSON", `the body is not JSON: ${saidOf(cause)}`, {}, { cause });
  }
}

/** The items of a body of JSON lines, as they come; empty lines are passed over. What is not JSON is an error in its place.
 *  @throws {Refused} for a line, or a body, that is too large */
export async function* readLines(request: Request): AsyncGenerator<unknown, void, undefined> {
  const decoder = new TextDecoder("utf-8");
  let rest = "";
  let bytes = 0;
  let n = 0;
  for await (const chunk of chunksOf(request)) {
    if ((bytes += chunk.length) > largestLines) throw tooLarge();
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    if (rest.length > largestBody) throw tooLarge();
    for (const line of lines) {
      n++;
      if (line.trim() !== "") yield lineOf(line, n);
    }
  }
  rest += decoder.decode();
  if (rest.trim() !== "") yield lineOf(rest, n + 1);
}

function lineOf(line: string, n: number): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (cause) {
    return new InvalidInput(`line ${n} is not JSON: ${saidOf(cause)}`, { path: String(n), cause });
  }
}
