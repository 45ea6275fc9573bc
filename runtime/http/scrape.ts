import type { Open } from "../../sdk/client/config.ts";
import type { Metrics } from "../metrics/index.ts";
import type { Runtime } from "../runtime.ts";

/** The metrics of this process, counted from the first time that they are asked for until `over` aborts. */
export function scraping(open: Open, runtime: Runtime | undefined, over: AbortSignal): () => Promise<Metrics> {
  let counting: Promise<Metrics> | null = null;
  const begin = async (): Promise<Metrics> => {
    const { metrics } = await import("../metrics/index.ts");
    const begun = metrics(runtime ?? open, { process: true });
    over.addEventListener("abort", () => begun.close());
    return begun;
  };
  return () => (counting ??= begin());
}
