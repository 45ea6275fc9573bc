/** Durations as counts by bucket, so that they can be added up over nodes and time. A bucket ends at 1.19 times where it begins,
 *  so that is how far off a percentile may be at most. */

/** How many durations were in each bucket: the first is that of less than 1 ms; bucket n ends at 2^(n/4) ms. Buckets after the last that has
 *  some are left out. */
export type Histogram = readonly number[];

const perDouble = 4;
/** Longer ones are in this bucket, too: 69 years. */
const mostBuckets = 164;

/** Counts a duration. O(1) once the bucket is there. */
export function count(histogram: number[], ms: number): void {
  const bucket = ms < 1 ? 0 : Math.min(mostBuckets, 1 + Math.floor(Math.log2(ms) * perDouble));
  while (histogram.length <= bucket) histogram.push(0);
  histogram[bucket]!++;
}

/** Adds the counts of one to another. */
export function merge(into: number[], from: Histogram): void {
  while (into.length < from.length) into.push(0);
  for (const [bucket, some] of from.entries()) into[bucket]! += some;
}

/** The duration, ms, that a share of all does not exceed; null where there are none. Within a bucket they are taken to be spread evenly by factor. */
export function percentile(histogram: Histogram, share: number): number | null {
  const total = histogram.reduce((sum, some) => sum + some, 0);
  if (total === 0) return null;
  let left = share * total;
  for (const [bucket, some] of histogram.entries()) {
    if (some > 0 && left <= some) return bucket === 0 ? left / some : 2 ** ((bucket - 1 + left / some) / perDouble);
    left -= some;
  }
  return 2 ** ((histogram.length - 1) / perDouble); // rounding has left a little
}
