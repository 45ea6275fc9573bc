/** Places that were seen, by the raw ones, which are cheap to ask for: source maps are read once for each. */
const known = new Map<string, string | null>();
const most = 10_000;

/** Where `callee` was called: file and line, with the folder, such as `jobs/order.ts:12`; null where the stack does not tell. */
export function placeOf(callee: (...args: never[]) => unknown): string | null {
  const { stackTraceLimit, prepareStackTrace } = Error;
  Error.stackTraceLimit = 1;
  try {
    Error.prepareStackTrace = (_, sites) => sites;
    const raw = stackOf(callee) as unknown as readonly (NodeJS.CallSite | undefined)[];
    Error.prepareStackTrace = prepareStackTrace;
    const [site] = raw;
    const at = site ? `${site.getFileName()}:${site.getLineNumber()}:${site.getColumnNumber()}` : "";
    const place = known.get(at);
    if (place !== undefined) return place;
    const found = /([^/\\(]+[/\\][^/\\]+:\d+):\d+\)?$/m.exec(stackOf(callee) ?? "")?.[1] ?? null;
    if (known.size < most) known.set(at, found);
    return found;
  } finally {
    Object.assign(Error, { stackTraceLimit, prepareStackTrace });
  }
}

function stackOf(callee: (...args: never[]) => unknown): string | undefined {
  const holder: { stack?: string } = {};
  Error.captureStackTrace(holder, callee);
  return holder.stack;
}
