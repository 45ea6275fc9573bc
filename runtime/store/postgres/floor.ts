/** Where claims begin to look. Rows that are leased, and entries of rows that are gone but that an old snapshot may still see, stay at the
 *  head of the ready index, and a claim from the head walks over all of them. So each lane has a floor: what has been ready since before
 *  it was taken, or seen to be another's, by the claims of this process. What turns up below a floor after all (a lease that ran
 *  out, a run that a long transaction added) is found by claims that look at everything: each poll asks for one. */
export interface Floors {
  /** The floor of a lane, epoch ms: claims look at what has been ready since later. 0 where none is known. */
  of(lane: number): number;
  /** Takes in what a claim brought. */
  saw(claim: Seen): void;
}

export interface Seen {
  readonly lanes: readonly number[];
  /** By lane, since when the last of its rows that were brought was ready; epoch ms. */
  readonly lastMs: ReadonlyMap<number, number>;
  /** Whether it brought all that there was. */
  readonly exhausted: boolean;
  /** The store's clock when it answered, and how long that took; ms. */
  readonly nowMs: number;
  readonly tookMs: number;
}

/** A run that is being added has been stamped already and is not seen yet, mostly for less than this. Kept short: it is what each claim
 *  still walks over. */
const marginMs = 100;

export function floors(): Floors {
  const known = new Map<number, number>();
  return {
    of: (lane) => known.get(lane) ?? 0,
    saw({ lanes, lastMs, exhausted, nowMs, tookMs }) {
      const mostMs = nowMs - tookMs - marginMs;
      for (const lane of lanes) {
        const last = lastMs.get(lane);
        if (exhausted) known.set(lane, mostMs);
        else if (last !== undefined) known.set(lane, Math.min(last - 1, mostMs)); // others may be ready since that very millisecond
      }
    },
  };
}
