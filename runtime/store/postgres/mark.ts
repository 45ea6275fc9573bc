export type Marks = ReturnType<typeof marks>;

export interface Seen {
  readonly lanes: readonly number[];
  /** By lane, when its last row became ready; epoch ms. */
  readonly lastMs: ReadonlyMap<number, number>;
  /** Age of the oldest row that was first found below its lane's mark; ms, or 0. */
  readonly lateMs: number;
  /** Whether it returned all claimable rows. */
  readonly exhausted: boolean;
  /** The store's clock at the answer, and how long the answer took; ms. */
  readonly nowMs: number;
  readonly tookMs: number;
}

/** A mark stays this far below the time of the claim, because rows are stamped before they commit. Late rows make the margin longer for a
 *  while. */
const leastMarginMs = 100;
const mostMarginMs = 2000;
/** A longer margin shrinks by this factor each claim. */
const fading = 0.999;
/** A full scan is slow for claims, and for beats, if it takes longer than its lanes and rows account for; ms. */
const longMs = 5;
const longForBeatsMs = 50;
/** Time that each lane and row accounts for. */
const eachMs = 0.05;

/** Low-water marks: per lane, the instant (epoch ms) before which earlier claims left nothing to claim. Leased rows, and dead entries that an
 *  old snapshot still sees, stay at the head of the ready index; claims from the mark do not walk over them. Rows that turn up below a mark
 *  (a late commit, a lapsed lease) are found by full scans. */
export function marks() {
  const known = new Map<number, number>();
  const fromHead = new Set<number>();
  /** By lane, how long its last full scan took, where that was slow. */
  const slow = new Map<number, number>();
  let marginMs = leastMarginMs;
  let scans = 0;
  const tookLong = (lanes: readonly number[], ms: number): void => lanes.forEach((lane) => slow.set(lane, ms));
  const isOver = (lanes: readonly number[], mostMs: number): boolean =>
    slow.size > 0 && lanes.some((lane) => slow.get(lane)! > mostMs);
  return {
    /** The mark of a lane; 0: claim from the head. */
    of: (lane: number): number => (fromHead.has(lane) ? 0 : (known.get(lane) ?? 0)),
    /** Whether a row is below the last mark of its lane. */
    isBelow: (lane: number, readyMs: number): boolean => readyMs < (known.get(lane) ?? 0),
    /** The next claim of these lanes begins at the head. */
    forget: (lanes: readonly number[]): void => lanes.forEach((lane) => fromHead.add(lane)),
    /** As `forget`, of all lanes that are not slow. */
    forgetQuick() {
      for (const lane of known.keys()) if (!slow.has(lane)) fromHead.add(lane);
    },
    /** Lowers the mark to this instant. */
    lower: (lane: number, atMs: number): void => void known.set(lane, Math.min(known.get(lane) ?? Infinity, atMs)),
    /** Advances the marks after a claim or scan. */
    saw({ lanes, lastMs, lateMs, exhausted, nowMs, tookMs }: Seen) {
      marginMs = Math.max(leastMarginMs, marginMs * fading, Math.min(lateMs, mostMarginMs));
      const mostMs = Math.floor(nowMs - tookMs - marginMs);
      for (const lane of lanes) {
        const last = exhausted ? mostMs : (lastMs.get(lane) ?? Infinity) - 1; // other rows may be of the same millisecond
        if (last === Infinity) continue; // the claim did not reach this lane
        fromHead.delete(lane);
        known.set(lane, Math.min(last, mostMs));
      }
    },
    /** Whether a full scan is too slow for a claim. */
    isSlow: (lanes: readonly number[]): boolean => isOver(lanes, longMs),
    /** Whether it is too slow for a beat, which must renew leases in time, or unknown because a scan is under way. */
    isTooSlowForBeats: (lanes: readonly number[]): boolean => scans > 0 || isOver(lanes, longForBeatsMs),
    begin: (): void => void scans++,
    /** A full scan ended after `ms`, by the store's clock; Infinity: it failed. `complete`: it did not stop at a limit. */
    end(lanes: readonly number[], ms: number, rows: number, complete: boolean) {
      scans--;
      const overMs = ms - (lanes.length + rows) * eachMs;
      if (overMs > longMs) tookLong(lanes, overMs);
      else if (complete) for (const lane of lanes) slow.delete(lane); // a quick part proves nothing about the rest
    },
    /** A beat took `ms`. A quick one proves nothing, because it may not have looked. */
    beat(lanes: readonly number[], ms: number) {
      if (ms > longForBeatsMs) tookLong(lanes, ms);
    },
  };
}
