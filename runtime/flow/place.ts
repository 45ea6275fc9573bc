import { fileURLToPath } from "node:url";

/** Our own folders, as stacks name files: as paths and as URLs. */
const root = new URL("../..", import.meta.url);
const own = ["runtime/", "sdk/", "dist/"].flatMap((folder) => {
  const url = new URL(folder, root);
  return [url.href, fileURLToPath(url)];
});
/** Places that were seen, by the raw ones, which are cheap to ask for: source maps are read once for each. */
const known = new Map<string, string | null>();
const mostKnown = 10_000;
/** Frames that are looked at, from the caller of a verb on. */
const depth = 5;

/** Where `callee` was called: file and line, with the folder, such as `jobs/order.ts:12`; null where the stack does not tell. */
export function placeOf(callee: (...args: never[]) => unknown): string | null {
  const { stackTraceLimit, prepareStackTrace } = Error;
  Error.stackTraceLimit = depth;
  try {
    Error.prepareStackTrace = (_, sites) => sites;
    const sites = stackOf(callee) as readonly NodeJS.CallSite[];
    Error.prepareStackTrace = prepareStackTrace;
    const at = sites.findIndex((site) => isTheirs(site.getFileName()));
    if (at < 0) return null;
    const raw = `${sites[at]!.getFileName()}:${sites[at]!.getLineNumber()}:${sites[at]!.getColumnNumber()}`;
    const place = known.get(raw);
    if (place !== undefined) return place;
    const line = String(stackOf(callee)).split("\n")[at + 1] ?? "";
    const found = /([^/\\(]+[/\\][^/\\]+:\d+):\d+\)?$/.exec(line)?.[1] ?? null;
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
