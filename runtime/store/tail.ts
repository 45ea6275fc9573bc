import type { FeedPage } from "../../sdk/port/feed.ts";

/** How a store is read on. */
interface Source {
  look(): Promise<FeedPage>;
  /** Calls back when there may be more; the answer ends that. */
  hear(wake: () => void): () => void;
  /** How often to look in any case, ms. */
  floorMs(): number;
}

/** Looks until there is something, the wait ends, or the signal aborts. */
export async function tail(source: Source, waitMs: number, signal?: AbortSignal): Promise<FeedPage> {
  if (waitMs <= 0) return source.look();
  const deadline = performance.now() + waitMs;
  let told = false;
  let wake = (): void => undefined;
  const rouse = (): void => {
    told = true;
    wake();
  };
  const stop = source.hear(rouse);
  signal?.addEventListener("abort", rouse, { once: true });
  try {
    for (;;) {
      told = false;
      const page = await source.look();
      const left = Math.min(source.floorMs(), deadline - performance.now());
      if (page.lines.length > 0 || page.lost !== undefined || left <= 0 || signal?.aborted) return page;
      if (told) continue;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        wake = () => (clearTimeout(timer), resolve());
      });
    }
  } finally {
    stop();
    signal?.removeEventListener("abort", rouse);
  }
}
