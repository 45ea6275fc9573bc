import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Place } from "./call.ts";

/** Our own folders, as stacks name files: as paths and as URLs. */
const root = new URL("../..", import.meta.url);
const own = ["runtime/", "sdk/", "dist/"].flatMap((folder) => {
  const url = new URL(folder, root);
  return [url.href, fileURLToPath(url)];
});
/** Places that were seen, by the raw ones, which are cheap to ask for: source maps are read once for each. */
const known = new Map<string, Place | null>();
const codes = new Map<string, string | null>();
const mostKnown = 10_000;
/** Frames that are looked at, from the caller of a verb on. */
const depth = 5;

/** Where `callee` was called; null where the stack does not tell. */
export function placeOf(callee: (...args: never[]) => unknown): Place | null {
  const { stackTraceLimit, prepareStackTrace } = Error;
  Error.stackTraceLimit = depth;
  try {
    Error.prepareStackTrace = (_, sites) => sites;
    const sites = stackOf(callee) as readonly NodeJS.CallSite[];
    Error.prepareStackTrace = prepareStackTrace;
    const at = sites.findIndex((site) => isTheirs(site.getFileName()));
    if (at < 0) return null;
    const file = sites[at]!.getFileName()!;
    const raw = `${file}:${sites[at]!.getLineNumber()}:${sites[at]!.getColumnNumber()}`;
    const place = known.get(raw);
    if (place !== undefined) return place;
    const line = String(stackOf(callee)).split("\n")[at + 1] ?? "";
    const text = /([^/\\(]+[/\\][^/\\]+:\d+):\d+\)?$/.exec(line)?.[1];
    const found = text === undefined ? null : { at: text, code: codeOf(file) };
    if (known.size < mostKnown) known.set(raw, found);
    return found;
  } finally {
    Object.assign(Error, { stackTraceLimit, prepareStackTrace });
  }
}

function isTheirs(file: string | null | undefined): boolean {
  return file != null && !file.startsWith("node:") && !own.some((folder) => file.startsWith(folder));
}

function stackOf(callee: (...args: never[]) => unknown): unknown {
  const holder: { stack?: unknown } = {};
  Error.captureStackTrace(holder, callee);
  return holder.stack;
}

/** How this process runs code: where that differs, so may lines. */
const manner = JSON.stringify([process.version, process.execArgv, process.env["NODE_OPTIONS"]]);

/** Tells the content of a file from others, in six characters; read once. Null if it can't be read, or was changed since this process began: it may
 *  not be what runs here. */
function codeOf(file: string): string | null {
  const seen = codes.get(file);
  if (seen !== undefined) return seen;
  let code: string | null = null;
  try {
    const path = file.startsWith("file:") ? fileURLToPath(file.split("?")[0]!) : file;
    if (statSync(path).ctimeMs < performance.timeOrigin)
      code = createHash("sha1").update(manner).update(readFileSync(path)).digest("base64url").slice(0, 6);
  } catch {
    // it was made in memory, or is gone
  }
  if (codes.size < mostKnown) codes.set(file, code);
  return code;
}
