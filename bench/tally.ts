import { now, type Payload } from "./contender.ts";
import { quantile } from "./number.ts";

/** What a worker's handler keeps: `none` counts alone; `since` also how long ago `t` was by `now()`; `late` how long after `t`, epoch ms. */
export type Keep = "none" | "since" | "late";

export interface Counted {
  readonly count: number;
  /** `now()` at the latest call; 0 before the first. */
  readonly lastMs: number;
}

/** What was kept of calls between two instants, by `now()`; ms. */
export interface Spread {
  readonly count: number;
  readonly duplicates: number;
  readonly least: number;
  readonly p50: number;
  readonly p99: number;
}

/** Counts calls of a handler, cheaply. */
export interface Tally {
  handle(payload: Payload): void;
  counted(): Counted;
  spread(fromMs: number, toMs: number): Spread;
}

export function tally(keep: Keep): Tally {
  let seen = new Uint8Array(1 << 20);
  let count = 0;
  let duplicates = 0;
  let lastMs = 0;
  const calls: number[] = [];
  const waits: number[] = [];
  const toWall = wallOffset();
  return {
    handle({ id, t }) {
      lastMs = now();
      count++;
      while (id >= seen.length) seen = grown(seen);
      if (seen[id]) duplicates++;
      seen[id] = 1;
      if (keep === "none") return;
      calls.push(lastMs);
      waits.push(keep === "since" ? lastMs - t : lastMs + toWall - t);
    },
    counted: () => ({ count, lastMs }),
    spread(fromMs, toMs) {
      const within = waits.filter((_, i) => calls[i]! >= fromMs && calls[i]! <= toMs);
      return {
        count: within.length,
        duplicates,
        least: quantile(within, 0),
        p50: quantile(within, 0.5),
        p99: quantile(within, 0.99),
      };
    },
  };
}

function grown(seen: Uint8Array): Uint8Array<ArrayBuffer> {
  const more = new Uint8Array(seen.length * 2);
  more.set(seen);
  return more;
}

/** What added to `now()` gives the wall clock: taken at the moment when its millisecond changes, good to some microseconds. */
function wallOffset(): number {
  const before = Date.now();
  let wall = before;
  while (wall === before) wall = Date.now();
  return wall - now();
}
