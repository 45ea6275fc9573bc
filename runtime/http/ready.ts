/** Whether this process can do its work. */
import type { Open } from "../../sdk/client/config.ts";
import { saidOf } from "../../sdk/port/text.ts";
import type { Runtime } from "../runtime.ts";

/** How long an answer of the store counts, and how long it may take. */
const freshMs = 1000;
const patienceMs = 3000;

/** Says why the process can't work now, or null: its runtime is not running or has lost its lease, or the store does not answer. */
export function readiness(open: Open, runtime: Runtime | undefined): () => Promise<string | null> {
  let known = { atMs: -Infinity, why: null as string | null };
  let asking: Promise<string | null> | null = null;
  const ask = async (): Promise<string | null> => {
    const why = await storeAway(open);
    known = { atMs: performance.now(), why };
    return why;
  };
  return async () => {
    const own = runtime ? standingOf(runtime) : null;
    if (own !== null) return own;
    if (performance.now() - known.atMs < freshMs) return known.why;
    return (asking ??= ask().finally(() => (asking = null)));
  };
}

function standingOf({ state, alive }: Runtime): string | null {
  if (state !== "running") return `the runtime is ${state}`;
  return alive ? null : "the runtime has lost its lease: the store does not answer it, or its loops have stalled";
}

async function storeAway(open: Open): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`the store did not answer within ${patienceMs / 1000}s`), patienceMs);
  });
  const answer = open().then(async (to) => {
    await to.find.get(1);
    return null;
  });
  try {
    return await Promise.race([answer.catch((error: unknown) => saidOf(error)), late]);
  } finally {
    clearTimeout(timer);
  }
}
