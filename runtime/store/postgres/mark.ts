export type Marks = ReturnType<typeof marks>;

export interface Seen {
  readonly lanes: readonly number[];
  /** By lane, when the last of the rows that it brought became ready; epoch ms. */
  readonly lastMs: ReadonlyMap<number, number>;
  /** Age of the oldest row that was found below its lane's mark and that no claim had brought before; ms, 0 if none was. */
  readonly lateMs: number;
  /** Whether it brought all that there was. */
  readonly exhausted: boolean;
  /** The store's clock when it answered, and how long that took; ms. */
  readonly nowMs: number;
  readonly tookMs: number;
}

/** A mark stays this far below the time of the claim: a row is stamped before its transaction commits. Longer for a while where late
 *  rows show that commits take longer. */
const leastMarginMs = 100;
const mostMarginMs = 2000;
/** What is left of a longer margin after each claim. */
const fading = 0.999;
/** What a full scan may take besides its lanes and rows, if claims are to do it, and if beats are; ms. */
const longMs = 5;
const longForBeatsMs = 50;
/** What it may take for each lane and each row. */
const eachMs = 0.05;

/** Low-water marks: by lane, the instant (epoch ms) before which earlier claims of this process left nothing to claim. Leased rows,
 *  and index entries of deleted rows that an old snapshot may still see, stay at the head of the ready index; a claim from the head
 *  walks over all of them, one from the mark over none. Rows that turn up below a mark after all (a late commit, a lease that ran
 *  out) are found by full scans. */
export function marks() {
  const known = new Map<number, number>();
  const fromHead = new Set<number>();
  /** How long the last full scan took, by lane, where that is long. */
  const slow = new Map<number, number>();
  let marginMs = leastMarginMs;
  let scans = 0;
  const tookLong = (lanes: readonly number[], ms: number): void => lanes.forEach((lane) => slow.set(lane, ms));
  const isOver = (lanes: readonly number[], mostMs: number): boolean =>
    slow.size > 0 && lanes.some((lane) => slow.get(lane)! > mostMs);
  return {
    /** The mark of a lane; 0 if it has none, or is to be scanned from the head. */
    of: (lane: number): number => (fromHead.has(lane) ? 0 : (known.get(lane) ?? 0)),
    /** Whether a row that became ready then turned up below the last mark of its lane; epoch ms. */
    isBelow: (lane: number, readyMs: number): boolean => readyMs < (known.get(lane) ?? 0),
    /** The next claim begins at the head of these lanes. */
    forget: (lanes: readonly number[]): void => lanes.forEach((lane) => fromHead.add(lane)),
    /** As `forget`, of all lanes where that does not take long. */
    forgetQuick() {
      for (const lane of known.keys()) if (!slow.has(lane)) fromHead.add(lane);
    },
    /** Begins no later than at this instant. */
    lower: (lane: number, atMs: number): void => void known.set(lane, Math.min(known.get(lane) ?? Infinity, atMs)),
    /** Moves the marks on by what a claim, or a scan, saw. */
    saw({ lanes, lastMs, lateMs, exhausted, nowMs, tookMs }: Seen) {
      marginMs = Math.max(leastMarginMs, marginMs * fading, Math.min(lateMs, mostMarginMs));
      const mostMs = Math.floor(nowMs - tookMs - marginMs);
      for (const lane of lanes) {
        const last = exhausted ? mostMs : (lastMs.get(lane) ?? Infinity) - 1; // others may be ready since that very millisecond
        if (last === Infinity) continue; // it was not reached
        fromHead.delete(lane);
        known.set(lane, Math.min(last, mostMs));
      }
    },
    /** Whether a full scan of these lanes takes too long for a claim. */
    isSlow: (lanes: readonly number[]): boolean => isOver(lanes, longMs),
    /** Whether it takes too long for a beat, on which all leases of a node hang, or a full scan is under way that will tell. */
    isTooSlowForBeats: (lanes: readonly number[]): boolean => scans > 0 || isOver(lanes, longForBeatsMs),
    /** A full scan begins. */
    begin: (): void => void scans++,
    /** A full scan ended after so long (ms of the store's clock; Infinity: it failed). `complete`: it did not stop at a limit. */
    end(lanes: readonly number[], ms: number, rows: number, complete: boolean) {
      scans--;
      const overMs = ms - (lanes.length + rows) * eachMs;
      if (overMs > longMs) tookLong(lanes, overMs);
      else if (complete) for (const lane of lanes) slow.delete(lane); // what it found first says nothing about the rest
    },
    /** A beat took so long. A quick one proves nothing, because it may not have looked. */
    beat(lanes: readonly number[], ms: number) {
      if (ms > longForBeatsMs) tookLong(lanes, ms);
    },
  };
}
