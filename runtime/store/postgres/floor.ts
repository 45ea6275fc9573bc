/** Where claims begin to look. Rows that are leased, and entries of rows that are gone but that an old snapshot may still see, stay at the
 *  head of the ready index, and a claim from the head walks over all of them. So each lane has a floor: what has been ready since before
 *  it was taken, or seen to be another's, by the claims of this process. What turns up below a floor after all (a lease that ran
 *  out, a run that a long transaction added) is found by claims that look at everything: each poll asks for one. */
export interface Floors {
  /** The floor of a lane, epoch ms: claims look at what has been ready since later. 0 where none is known. */
  of(lane: number): number;
  /** Forgets what took too long to walk over. */
  forget(lanes: readonly number[]): void;
  /** Whether looking at everything in these lanes takes long, or a claim is about to tell: then beats leave it to claims, for a node's lease
   *  hangs on its beats. */
  isSlow(lanes: readonly number[]): boolean;
  /** A claim begins to look at everything; it has looked for so long (ms, by the store's clock), and seen `all` there was or had enough before. */
  looks(): void;
  looked(lanes: readonly number[], ms: number, all: boolean): void;
  /** A beat took so long. That it is quick tells nothing, for it may not have looked. */
  beaten(lanes: readonly number[], ms: number): void;
  /** Takes in what a claim brought. */
  saw(claim: Seen): void;
}

export interface Seen {
  readonly lanes: readonly number[];
  /** By lane, since when the last of its rows that were brought was ready; epoch ms. */
  readonly lastMs: ReadonlyMap<number, number>;
  /** Since how long the runs have been ready that no claim had brought and that turned up below their lane's floor, at most; ms. 0: none did. */
  readonly lateMs: number;
  /** Whether it brought all that there was. */
  readonly exhausted: boolean;
  /** The store's clock when it answered, and how long that took; ms. */
  readonly nowMs: number;
  readonly tookMs: number;
}

/** A run that is being added has been stamped already and is not seen yet, mostly for less than this. It is what each claim still walks over,
 *  so it is short; where commits take longer, as runs that come late tell, it is longer for a while. */
const leastMarginMs = 100;
const mostMarginMs = 2000;
/** A look at everything that takes longer is slow. */
const longMs = 50;
/** What is left of a longer margin after each claim. */
const fading = 0.999;

export function floors(): Floors {
  const known = new Map<number, number>();
  let marginMs = leastMarginMs;
  const slow = new Set<number>();
  let looking = 0;
  return {
    of: (lane) => known.get(lane) ?? 0,
    isSlow: (lanes) => looking > 0 || (slow.size > 0 && lanes.some((lane) => slow.has(lane))),
    looks: () => void looking++,
    looked(lanes, ms, all) {
      looking--;
      if (ms > longMs) for (const lane of lanes) slow.add(lane);
      else if (all) for (const lane of lanes) slow.delete(lane);
    },
    beaten(lanes, ms) {
      if (ms > longMs) for (const lane of lanes) slow.add(lane);
    },
    forget: (lanes) => lanes.forEach((lane) => known.delete(lane)),
    saw({ lanes, lastMs, lateMs, exhausted, nowMs, tookMs }) {
      marginMs = Math.max(leastMarginMs, marginMs * fading, Math.min(lateMs, mostMarginMs));
      const mostMs = Math.floor(nowMs - tookMs - marginMs);
      for (const lane of lanes) {
        const last = lastMs.get(lane);
        if (exhausted) known.set(lane, mostMs);
        else if (last !== undefined) known.set(lane, Math.min(last - 1, mostMs)); // others may be ready since that very millisecond
      }
    },
  };
}
