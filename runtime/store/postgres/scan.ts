import type { Marks } from "./mark.ts";
import { numbers, type Pool, type Row } from "./pool.ts";
import { scanned } from "./sql/claim.ts";
import type { Statements } from "./sql.ts";

export type Scanner = ReturnType<typeof scanner>;

interface Parts {
  readonly pool: Pool;
  readonly sql: Statements;
  readonly marks: Marks;
}
interface Found {
  readonly lane: number;
  readonly id: number;
  readonly readyMs: number;
}

/** A scan takes one part in `share` of the time; more if it failed, because the server may have been away. */
const share = 20;
const failedShare = 2;
const longestRestMs = 60_000;
/** Limits of a scan: of all runs, and at least of each lane. */
const mostFound = 1000;
const leastEach = 10;

/** Full scans of slow lanes. They only read which runs wait below the low-water marks; the next claim takes those by id.
 *  `ring` is called with the lanes in which runs were found. */
export function scanner({ pool, sql, marks }: Parts, ring: (lanes: readonly number[]) => void) {
  let waiting: readonly Found[] = [];
  let mayStartAt = 0;

  async function scan(lanes: readonly number[]): Promise<void> {
    const sentAt = performance.now();
    const limit = Math.max(leastEach, Math.ceil(mostFound / lanes.length));
    mayStartAt = Infinity;
    let rests = failedShare;
    marks.begin();
    try {
      const from = lanes.map((lane) => marks.of(lane) || null);
      const [row] = await pool.guest.rows("tasker_scan", sql.scan, [numbers(lanes), numbers(from), limit]);
      rests = share;
      takeIn(lanes, limit, row!, performance.now() - sentAt);
    } catch {
      marks.end(lanes, Infinity, 0, false); // the next poll starts another
    }
    mayStartAt = performance.now() + Math.min(longestRestMs, (performance.now() - sentAt) * rests);
  }

  function takeIn(lanes: readonly number[], limit: number, row: Row, tookMs: number): void {
    const { nowMs, tookMs: walkedMs, ...lists } = scanned.read(row);
    const runs = lists.ids.map((id, i): Found => ({ id, lane: lists.lanes[i]!, readyMs: lists.instants[i]! }));
    const { last, isCut } = lastOf(runs, limit);
    marks.end(lanes, walkedMs, runs.length, !lanes.some(isCut));
    if (!marks.isSlow(lanes)) {
      marks.forget([...last.keys()]); // claims may begin at the head again
    } else {
      waiting = runs;
      const unknown = lanes.filter((lane) => marks.of(lane) === 0);
      marks.saw({ lanes: unknown, lastMs: new Map(), lateMs: 0, exhausted: true, nowMs, tookMs });
      for (const [lane, readyMs] of last) if (isCut(lane)) marks.lower(lane, readyMs - 1); // claims continue from there
    }
    if (runs.length > 0) ring([...last.keys()]);
  }

  return {
    /** Starts a scan of these lanes, unless one is under way or has just ended. */
    start(lanes: readonly number[]): void {
      if (lanes.length > 0 && performance.now() >= mayStartAt) void scan(lanes);
    },
    /** Takes ids of found runs, at most `limit`. */
    take(lanes: readonly number[], limit: number): readonly number[] {
      if (waiting.length === 0) return [];
      const among = new Set(lanes);
      const taken = new Set(waiting.filter(({ lane }) => among.has(lane)).slice(0, limit));
      waiting = waiting.filter((run) => !taken.has(run));
      return [...taken].map(({ id }) => id);
    },
  };
}

/** When the last run of each lane became ready, and whether the scan stopped there at its limit. */
function lastOf(runs: readonly Found[], limit: number) {
  const counts = new Map<number, number>();
  for (const { lane } of runs) counts.set(lane, (counts.get(lane) ?? 0) + 1);
  return {
    last: new Map(runs.map(({ lane, readyMs }) => [lane, readyMs])),
    isCut: (lane: number): boolean => (counts.get(lane) ?? 0) >= limit,
  };
}
