import { seekWall, type Pattern } from "./wall.ts";
import { lastS, windowS, type Part, type Zone } from "./zone.ts";

/** What a schedule picks, and what happens to it at clock changes. */
export interface Rule {
  readonly pattern: Pattern;
  /** Wall times that a gap swallows fire together at its end, if the gap is at most this long, in seconds. */
  readonly longestGapS: number;
  /** Which of two equal wall times fires. */
  readonly overlap: "first" | "last" | "both";
}

interface Range {
  readonly low: number;
  /** Exclusive. */
  readonly high: number;
}

const dayS = 86_400;
/** Windows looked at before a schedule is said to be over: those of a tick that falls into a gap for 20 years running. */
const patience = 40;

/** The tick nearest to `at` in the direction `step`, `at` included, epoch seconds. null: none before Date ends, none
 *  since 1970 (backwards), or every one in 20 years falls into a gap that the rule skips. */
export function seekTick(rule: Rule, zone: Zone, at: number, step: 1 | -1): number | null {
  let k = Math.floor(at / windowS);
  for (let i = 0; i < patience; i++) {
    const low = k * windowS;
    const range =
      step > 0 ? { low: Math.max(low, at), high: low + windowS } : { low, high: Math.min(low + windowS, at + 1) };
    const tick = tickIn(rule, zone.span(k), range, step);
    if (tick !== null) return tick < 0 && step < 0 ? null : tick > lastS ? null : tick;
    // Offsets stay within 16 h and repeat at most 24 h, so no tick is nearer than this wall time less a day.
    const wall = seekWall(rule.pattern, (step > 0 ? low + windowS : low) - step * 2 * dayS, step);
    if (wall === null) return null;
    const ahead = Math.floor((wall - step * dayS) / windowS);
    k = step > 0 ? Math.max(k + 1, ahead) : Math.min(k - 1, ahead);
    if (k * windowS > lastS || (step < 0 && k < 0)) return null;
  }
  return null;
}

function tickIn(rule: Rule, span: readonly Part[], range: Range, step: 1 | -1): number | null {
  for (let i = 0; i < span.length; i++) {
    const part = span[step > 0 ? i : span.length - 1 - i]!;
    if (part.end <= range.low || part.start >= range.high) continue;
    const late = part.start >= range.low && fallsInGap(rule, part) ? part.start : null;
    if (step > 0 && late !== null) return late;
    const tick = tickOf(rule, part, range, step) ?? late;
    if (tick !== null) return tick;
  }
  return null;
}

/** Whether a wall time fires that the change at the start of the part jumped over. */
function fallsInGap({ pattern, longestGapS }: Rule, { start, before, offset }: Part): boolean {
  if (offset <= before || offset - before > longestGapS) return false;
  const wall = seekWall(pattern, start + before, 1);
  return wall !== null && wall < start + offset;
}

/** The tick that the clock shows during the part. */
function tickOf({ pattern, overlap }: Rule, part: Part, range: Range, step: 1 | -1): number | null {
  const low = Math.max(part.start, range.low) + part.offset;
  const high = Math.min(part.end, range.high) + part.offset;
  const from = overlap === "first" ? Math.max(low, part.fresh) : low;
  const to = overlap === "last" ? Math.min(high, part.final) : high;
  const wall = seekWall(pattern, step > 0 ? from : to - 1, step);
  return wall === null || wall < from || wall >= to ? null : wall - part.offset;
}
