import { spreadOf, ticking, tickOptions } from "../../sdk/define/rule.ts";
import type { Due, Tick, TickRun } from "../store/port.ts";

/** Runs are made this long before they are due, so that they start on the dot. A pause or an edit in between comes too late. */
export const aheadMs = 100;

/** What a node knows when it looks at a due schedule; epoch ms of the store's clock. */
export interface Look {
  readonly nowMs: number;
  /** Runs are made this long before they are due, where overlap is allowed. */
  readonly aheadMs: number;
  /** Since when this node has been up without a break: nobody needs to catch up on ticks after that. */
  readonly sinceMs: number;
}
/** What to do about a due schedule: `tick` is for the store; `cancel` holds the live runs that have to go first. */
export interface Plan {
  readonly tick: Tick;
  readonly cancel: readonly number[];
  /** Ticks that make no run: the oldest and the newest of them, and why. */
  readonly skipped: { readonly from: number; readonly tick: number; readonly reason: "overlap" | "missed" } | null;
}

/** More runs of one schedule than that are never made in one step; the rest comes in the next. */
const most = 1000;

/** Which ticks of a due schedule make runs now, and when it is due again. Touches nothing.
 *  @throws if this version does not understand the rule */
export function plan(due: Due, look: Look): Plan {
  const { rule, count, job, key, rev } = due;
  const { ticks: all, missed, next } = passed(due, look);
  const left = rule.limit === undefined ? Infinity : Math.max(0, rule.limit - count);
  const ticks = rule.overlap === "allow" || left === 0 ? all.slice(0, left) : all; // past its limit it does not tick
  const blocked = rule.overlap === "skip" && due.live.length > 0;
  const runs = blocked ? [] : rule.overlap === "allow" ? ticks : ticks.slice(-1);
  const spread = spreadOf(due, rule);
  return {
    tick: {
      ...{ job, key, rev },
      nextMs: next === null || left === 0 ? null : next + spread,
      lastMs: ticks.at(-1) ?? null,
      runs: runs.map((tick) => runOf(due, tick, spread)),
    },
    cancel: rule.overlap === "cancel" && runs.length > 0 ? due.live : [],
    skipped: skippedOf(ticks, runs, missed),
  };
}

function skippedOf(ticks: readonly number[], runs: readonly number[], missed: Missed | null): Plan["skipped"] {
  const without = ticks.filter((tick) => !runs.includes(tick));
  const newest = without.at(-1);
  if (newest !== undefined) return { from: without[0]!, tick: newest, reason: "overlap" };
  return missed && { ...missed, reason: "missed" };
}

/** A range of ticks that are not caught up with, by its ends. */
interface Missed {
  readonly from: number;
  readonly tick: number;
}

/** The ticks that are due, with those that are to be caught up on; `missed` are those that are not; `next` comes after them. */
function passed(
  due: Due,
  { nowMs, aheadMs, sinceMs }: Look,
): { readonly ticks: readonly number[]; readonly missed: Missed | null; readonly next: number | null } {
  const { rule } = due;
  const rhythm = ticking(rule);
  const spread = spreadOf(due, rule);
  const until = nowMs - spread + (rule.overlap === "allow" ? aheadMs : 0);
  const watched = Math.min(sinceMs, nowMs) - spread;
  const first = due.fresh ? firstOf(due, spread) : due.nextMs - spread;
  if (first === null) return { ticks: [], missed: null, next: null };
  const late = first < watched ? caughtUp(due, first, watched) : { ticks: [], missed: null };
  const ticks = [...late.ticks];
  let next: number | null = first < watched ? rhythm.next(watched - 1) : first;
  while (next !== null && next <= until && ticks.length < most) {
    ticks.push(next);
    next = rhythm.next(next);
  }
  return { ticks, missed: late.missed, next };
}

/** The first tick of a schedule that is new or changed. A one-shot ticks whatever its instant. */
function firstOf({ rule, nextMs, lastMs }: Due, spread: number): number | null {
  const after = rule.atMs === undefined ? nextMs - spread : -Infinity;
  return ticking(rule).next(Math.max(after, lastMs ?? -Infinity));
}

/** Of the ticks from `first` on that came before this node was up, those that `catchUp` wants by then. */
function caughtUp(
  { rule }: Due,
  first: number,
  watched: number,
): { readonly ticks: readonly number[]; readonly missed: Missed | null } {
  const { max, withinMs } = rule.catchUp;
  const rhythm = ticking(rule);
  const ticks: number[] = [];
  let tick = rhythm.prev(watched);
  for (; tick !== null && tick >= first && ticks.length < max; tick = rhythm.prev(tick)) {
    if (withinMs !== null && watched - tick > withinMs) break;
    ticks.unshift(tick);
  }
  return { ticks, missed: tick !== null && tick >= first ? { from: first, tick } : null };
}

function runOf(due: Due, tick: number, spread: number): TickRun {
  const { key, rule, queue, priority, tags, ttlMs } = due;
  return { tickMs: tick, dueMs: tick + spread, queue, priority, tags, ttlMs, options: tickOptions(key, rule, tick) };
}
