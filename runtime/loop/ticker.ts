import { formatId, scheduleId } from "../../sdk/port/id.ts";
import { Bell, wait, type Clock, type StoreClock } from "../core/clock.ts";
import type { Bus } from "../core/event.ts";
import type { Health } from "../core/health.ts";
import { logged, type Logger } from "../core/log.ts";
import { plan, type Plan } from "../schedule/plan.ts";
import type { ScheduleName } from "../../sdk/port/target.ts";
import type { Due, DueList, Store } from "../store/port.ts";

/** Runs are made this long before they are due, so that they start on the dot. A pause or an edit in between comes too late. */
const aheadMs = 100;
/** How many schedules a step takes. */
const batch = 100;
/** A node that has just come up leaves older ticks to those that were up all the time, for so long. */
const deferMs = 2000;
/** A schedule that could not be moved beside other nodes is looked at again after this long. */
const againMs = 500;
/** Nodes that look at the same instant get in each other's way: each looks up to this much later. */
const jitterMs = 30;

export interface TickerParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly health: Health;
  readonly bus: Bus;
  readonly logger: Logger;
  readonly pollMs: number;
  readonly drain: AbortSignal;
  node(): number;
  /** Whether the node's own lease stands; whether it sleeps; and makes it beat at once. */
  alive(): boolean;
  asleep(): boolean;
  revive(): void;
  /** Runs were made that may be due soon. */
  made(): void;
}

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
  readonly #parts: TickerParts;
  readonly #bell: Bell;
  /** When to look again; ticks. */
  #at = 0;
  /** Since when this node has been up without a break, by the store's clock; null: it was not until now. */
  #sinceMs: number | null = null;
  /** Schedules that this version can't read, until one is changed. */
  readonly #strange = new Map<string, ScheduleName>();

  constructor(parts: TickerParts) {
    this.#parts = parts;
    this.#bell = new Bell(parts.clock);
  }

  /** Schedules were changed: look. */
  wake(): void {
    this.#strange.clear();
    this.#at = 0;
    this.#bell.ring();
  }

  /** The next schedule is due at `tickMs` (epoch ms by the store's clock); null: none is. */
  expect(tickMs: number | null): void {
    if (tickMs === null) return;
    const at = this.#parts.storeClock.tickAt(tickMs - aheadMs);
    if (at >= this.#at) return;
    this.#at = at;
    this.#bell.ring();
  }

  /** The node stands again. */
  rouse(): void {
    this.#bell.ring();
  }

  /** The node's lease had ended: what fell due meanwhile was missed. */
  lapsed(): void {
    this.#sinceMs = null;
    this.wake();
  }

  /** Ticks until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, pollMs, health } = this.#parts;
    while (!signal.aborted) {
      if (clock.ticks() < this.#at) await this.#bell.next(this.#at, signal);
      else if (!this.#parts.alive()) {
        if (!this.#parts.asleep()) this.#sinceMs = null;
        this.#parts.revive();
        await this.#bell.next(clock.ticks() + pollMs, signal);
      } else {
        try {
          await this.#pass();
        } catch (error) {
          health.failed("Ticking schedules", error);
          await wait(clock, clock.ticks() + pollMs * (1 - Math.random() * 0.5), signal);
        }
      }
    }
  }

  /** Looks, and does what is due: by batches, leaving out what can't be moved, so that it is in nobody's way. */
  async #pass(): Promise<void> {
    this.#at = Infinity; // a wake-up from here on counts
    const except = new Map<string, ScheduleName>();
    try {
      while ((await this.#batch(except)) && !this.#parts.drain.aborted);
    } catch (error) {
      this.#at = 0;
      throw error;
    }
  }

  /** Answers whether there may be more. What did not move goes to `except`. */
  async #batch(except: Map<string, ScheduleName>): Promise<boolean> {
    const { store, clock, storeClock, health } = this.#parts;
    const sentAt = clock.ticks();
    const left = [...except.values(), ...this.#strange.values()];
    const list = await store.ticks.due({ node: this.#parts.node(), aheadMs, limit: batch, except: left });
    health.ok();
    storeClock.observe(list.nowMs, sentAt, clock.ticks());
    this.#sinceMs ??= Math.ceil(list.nowMs);
    const { nowMs, others, next } = list;
    const own = this.#own(list, this.#sinceMs);
    for (const due of list.due) if (!own.includes(due)) except.set(scheduleId(due), due);
    for (const stuck of await this.#tick(own, { nowMs, others, sinceMs: this.#sinceMs })) {
      except.set(scheduleId(stuck), stuck);
      // Somebody was faster, changed it, or holds it: look again, soon where that can't have been another node's tick.
      this.#look(nowMs + (others ? againMs : againMs / 5), false);
    }
    if (next) this.#look(next.atMs - (next.dot ? 0 : aheadMs), others);
    return list.due.length === batch;
  }

  /** What this node sees to: ticks from before it came up are first left to those that were up. */
  #own({ due, nowMs, others }: DueList, sinceMs: number): readonly Due[] {
    if (!others || nowMs >= sinceMs + deferMs) return due;
    const own = due.filter(({ fresh, nextMs }) => fresh || nextMs >= sinceMs);
    if (own.length < due.length) this.#look(sinceMs + deferMs, false);
    return own;
  }

  /** Answers those that did not move. */
  async #tick(due: readonly Due[], now: Now): Promise<readonly ScheduleName[]> {
    const { store } = this.#parts;
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
      if (nextMs !== null) this.#look(nextMs - planned.ahead, now.others); // whoever was faster planned the same
      const runs = made[i];
      if (runs) this.#report(planned, runs);
      else stuck.push(planned.tick);
    }
    if (made.some((runs) => runs?.some((run) => run !== null))) this.#parts.made();
    return stuck;
  }

  /** Null for a schedule that this version can't read: a newer one will. */
  #plan(due: Due, { nowMs, sinceMs }: Now): Plan | null {
    try {
      return plan(due, { nowMs, aheadMs, sinceMs: Math.max(sinceMs, due.servedMs ?? sinceMs) });
    } catch (error) {
      const schedule = scheduleId(due);
      this.#parts.logger.error({ schedule, err: logged(error) }, "A schedule can't be read; it is left to others");
      this.#strange.set(schedule, due);
      return null;
    }
  }

  #look(atMs: number, shared: boolean): void {
    const at = this.#parts.storeClock.tickAt(atMs) + (shared ? Math.random() * jitterMs : 0);
    this.#at = Math.min(this.#at, at);
  }

  #report({ tick, skipped }: Plan, runs: readonly (number | null)[]): void {
    const { bus, logger, storeClock } = this.#parts;
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
    }
    for (const [i, run] of runs.entries()) {
      if (run === null) continue;
      const when = new Date(tick.runs[i]!.tickMs);
      logger.debug({ schedule, tick: when, run: formatId(run) }, "Schedule ticked");
      bus.publish({ type: "schedule.ticked", at, schedule, job, tick: when, run: formatId(run) });
    }
  }
}
