import { formatId, scheduleId } from "../../sdk/port/id.ts";
import type { Core } from "../core/core.ts";
import { logged } from "../core/log.ts";
import { aheadMs, plan, type Plan } from "../schedule/plan.ts";
import { tellAdded } from "../store/announce.ts";
import type { ScheduleName } from "../../sdk/port/target.ts";
import type { Due, DueList } from "../store/port.ts";

/** How many schedules a step takes. */
const batch = 100;
/** A node that has just come up leaves older ticks to those that were up all the time, for so long. */
const deferMs = 2000;
/** A schedule that could not be moved beside other nodes is looked at again after this long. */
const againMs = 500;
/** Nodes that look at the same instant get in each other's way: each looks up to this much later. */
const jitterMs = 30;

/** What a pass goes by; epoch ms of the store's clock. */
interface Now {
  readonly nowMs: number;
  readonly sinceMs: number;
  /** Whether other nodes live. */
  readonly others: boolean;
}

/** Makes runs from schedules when they are due: every node does, and the store lets one of them through. Nothing is asked while
 *  nothing is due: beats say when the next schedule is, the store when one was changed. */
export class Ticker {
  readonly #core: Core;
  /** Since when this node has been up without a break, by the store's clock; null: it has just come up. */
  #sinceMs: number | null = null;
  #lapses = 0;
  /** Schedules that this version can't read, until one is changed. */
  readonly #strange = new Map<string, ScheduleName>();

  constructor(core: Core) {
    this.#core = core;
  }

  /** Ticks until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, ticks, settings, standing } = this.#core;
    while (!signal.aborted) {
      const why = ticks.begin();
      if (why === "told") this.#strange.clear();
      if (why !== null && standing.alive) await this.#look(signal);
      else if (why !== null) {
        this.#missed();
        this.#core.beats.stir();
        ticks.plan(clock.ticks() + settings.pollMs);
      }
      await ticks.next(signal);
    }
  }

  /** Looks until there is nothing to do, leaving out what can't be moved, so that it is in nobody's way. */
  async #look(signal: AbortSignal): Promise<void> {
    const { clock, ticks, settings, health } = this.#core;
    const except = new Map<string, ScheduleName>();
    let at = Infinity;
    try {
      while ((await this.#batch(except)) && !signal.aborted);
    } catch (error) {
      health.failed("Ticking schedules", error);
      at = clock.ticks() + settings.pollMs * (1 - Math.random() * 0.5);
    }
    ticks.plan(at);
  }

  /** What fell due while the node's lease had ended, or the store's clock was set over it, was missed. */
  #missed(): void {
    const { standing } = this.#core;
    if (standing.lapses === this.#lapses && (standing.alive || standing.sleep)) return;
    this.#lapses = standing.lapses;
    this.#sinceMs = null;
  }

  /** Answers whether there may be more. What did not move goes to `except`. */
  async #batch(except: Map<string, ScheduleName>): Promise<boolean> {
    const { store, clock, storeClock, health, standing } = this.#core;
    const sentAt = clock.ticks();
    const left = [...except.values(), ...this.#strange.values()];
    const list = await store.ticks.due({ node: standing.id, aheadMs, limit: batch, except: left });
    health.ok();
    storeClock.observe(list.nowMs, sentAt, clock.ticks());
    this.#missed(); // also if this very answer shows that the store's clock was set
    this.#sinceMs ??= Math.ceil(list.nowMs);
    const { nowMs, others, next } = list;
    const own = this.#own(list, this.#sinceMs);
    for (const due of list.due) if (!own.includes(due)) except.set(scheduleId(due), due);
    for (const stuck of await this.#tick(own, { nowMs, others, sinceMs: this.#sinceMs })) {
      except.set(scheduleId(stuck), stuck);
      // Somebody was faster, changed it, or holds it: look again, soon where that can't have been another node's tick.
      this.#lookAgain(nowMs + (others ? againMs : againMs / 5), false);
    }
    if (next) this.#lookAgain(next.atMs - (next.dot ? 0 : aheadMs), others);
    return list.due.length === batch;
  }

  /** What this node sees to: ticks from before it came up are first left to those that were up. */
  #own({ due, nowMs, others }: DueList, sinceMs: number): readonly Due[] {
    if (!others || nowMs >= sinceMs + deferMs) return due;
    const own = due.filter(({ fresh, nextMs }) => fresh || nextMs >= sinceMs);
    if (own.length < due.length) this.#lookAgain(sinceMs + deferMs, false);
    return own;
  }

  /** Answers those that did not move. */
  async #tick(due: readonly Due[], now: Now): Promise<readonly ScheduleName[]> {
    const { store } = this.#core;
    const plans = due.flatMap((one) => {
      const planned = this.#plan(one, now);
      return planned ? { ...planned, ahead: one.rule.overlap === "allow" ? aheadMs : 0 } : [];
    });
    if (plans.length === 0) return [];
    const cancel = plans.flatMap((one) => one.cancel);
    // Before their successors are made: by then another node may have made these, and they would be canceled.
    if (cancel.length > 0) await store.desk.cancel(cancel, "superseded");
    const made = await store.ticks.tick(plans.map(({ tick }) => tick));
    const stuck: ScheduleName[] = [];
    for (const [i, planned] of plans.entries()) {
      const { nextMs } = planned.tick;
      if (nextMs !== null) this.#lookAgain(nextMs - planned.ahead, now.others); // whoever was faster planned the same
      const runs = made[i];
      if (runs) this.#report(planned, runs);
      else stuck.push(planned.tick);
    }
    if (made.some((runs) => runs?.some((run) => run !== null))) this.#core.leases.want("poll");
    return stuck;
  }

  /** Null for a schedule that this version can't read: a newer one will. */
  #plan(due: Due, { nowMs, sinceMs }: Now): Plan | null {
    try {
      return plan(due, { nowMs, aheadMs, sinceMs: Math.max(sinceMs, due.servedMs ?? sinceMs) });
    } catch (error) {
      const schedule = scheduleId(due);
      this.#core.logger.error({ schedule, err: logged(error) }, "A schedule can't be read; it is left to others");
      this.#strange.set(schedule, due);
      return null;
    }
  }

  #lookAgain(atMs: number, shared: boolean): void {
    const { ticks, storeClock } = this.#core;
    ticks.by(storeClock.tickAt(atMs) + (shared ? Math.random() * jitterMs : 0));
  }

  #report({ tick, skipped }: Plan, runs: readonly (number | null)[]): void {
    const { bus, voice, logger, storeClock, meters } = this.#core;
    const [schedule, at] = [scheduleId(tick), storeClock.date()];
    const { job } = tick;
    if (skipped) {
      const { reason } = skipped;
      const ends = { from: new Date(skipped.from), tick: new Date(skipped.tick) };
      const one = skipped.from === skipped.tick;
      logger.warn(
        { schedule, ...(one ? { tick: ends.tick } : { from: ends.from, to: ends.tick }), reason },
        one ? "Schedule skipped a tick" : "Schedule skipped ticks",
      );
      bus.publish({ type: "schedule.skipped", at, schedule, job, ...ends, reason });
      for (const meter of meters) meter.ticked(job, reason, 0);
    }
    for (const [i, run] of runs.entries()) {
      if (run === null) continue;
      const { tickMs, dueMs, queue } = tick.runs[i]!;
      const when = new Date(tickMs);
      logger.debug({ schedule, tick: when, run: formatId(run) }, "Schedule ticked");
      for (const meter of meters) {
        meter.ticked(job, "ticked", Math.max(0, at.getTime() - dueMs));
        meter.added({ job, queue }, 1);
      }
      if (!bus.active) continue;
      bus.publish({ type: "schedule.ticked", at, schedule, job, tick: when, run: formatId(run) });
      tellAdded(voice, [{ job, ...tick.runs[i]! }], [{ id: run, created: true, conflict: false }]);
    }
  }
}
