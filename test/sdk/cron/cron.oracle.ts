import fc from "fast-check";
import type { Dst } from "../../../sdk/cron/cron.ts";

/** What a zone's clock shows, moment by moment. Instants are epoch ms, `walls` epoch seconds as if the zone were UTC. */
export interface Tape {
  readonly [fc.toStringMethod]: () => string;
  readonly zone: string;
  readonly from: number;
  readonly to: number;
  readonly stepS: number;
  readonly walls: readonly number[];
}

/** Reads the clock of the zone each `stepS` seconds, from Intl's own calendar fields. */
export function tape(zone: string, from: number, to: number, stepS: number): Tape {
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  const walls: number[] = [];
  for (let at = from; at <= to; at += stepS * 1000) {
    const [month, day, year, hour, minute, second] = format.format(at).split(/\D+/).map(Number);
    walls.push(Date.UTC(year!, month! - 1, day, hour, minute, second) / 1000);
  }
  return { [fc.toStringMethod]: () => `${zone} from ${new Date(from).toISOString()}`, zone, from, to, stepS, walls };
}

/** The ticks of the tape, by the words of the rule alone: looks at each moment, and at each one that a gap swallows. */
export function ticksOf(film: Tape, matches: (wall: number) => boolean, elapsed: boolean, dst: Dst): number[] {
  const { walls, from, stepS } = film;
  const gap = dst.gap ?? (elapsed ? "skip" : "short");
  const overlap = dst.overlap ?? (elapsed ? "both" : "first");
  const seen = new Set<number>();
  const final = new Map(walls.map((wall, i) => [wall, i]));
  return walls.flatMap((wall, i) => {
    const swallowed = i === 0 ? 0 : wall - walls[i - 1]! - stepS;
    const counts = swallowed > 0 && (gap === "next" || (gap === "short" && swallowed <= 3 * 3600));
    const late = counts && missing(wall, swallowed, stepS).some(matches);
    const again = seen.has(wall);
    seen.add(wall);
    const passes = overlap === "both" || (overlap === "first" ? !again : final.get(wall) === i);
    return late || (matches(wall) && passes) ? [from + i * stepS * 1000] : [];
  });
}

function missing(wall: number, swallowed: number, stepS: number): number[] {
  return Array.from({ length: swallowed / stepS }, (_, i) => wall - swallowed + i * stepS);
}
