import { NotStorable } from "../../sdk/port/error.ts";
import { errorRecord } from "../../sdk/port/text.ts";
import { within } from "../core/clock.ts";
import type { Core } from "../core/core.ts";
import type { Leased } from "../core/lease.ts";
import type { Lines } from "../core/log.ts";
import type { HookKind } from "../../sdk/port/target.ts";
import type { Fence, Outcome, Released, Settled, Settlement } from "../store/port.ts";
import { Batcher } from "../core/batcher.ts";

/** A settlement as the store takes it, and what it is about. */
interface Ended extends Settlement {
  readonly outcome: Outcome;
  readonly leased: Leased;
  /** When the outcome was decided; ticks. */
  readonly at: number;
}
/** A lease that goes back: nobody here waits for the answer. */
interface Back extends Settlement {
  readonly outcome: Released;
  readonly leased: null;
}

/** What the store answered to an outcome, or that it never will take it. `runMs`: from the start of the handler to the outcome. */
export interface Answer {
  readonly outcome: Outcome;
  readonly settled: Settled | "refused";
  readonly runMs: number;
}

/** Ends leases at the store, in batches: outcomes, and leases that go back unspent. */
export class Completer {
  readonly #core: Core;
  readonly #lines: Lines;
  readonly #answered: (leased: Leased, answer: Answer) => void;
  readonly #outcomes: Batcher<Ended | Back>;
  /** Outcomes that wait for something to be written before them. */
  readonly #coming = new Set<Promise<void>>();

  constructor(core: Core, lines: Lines, answered: (leased: Leased, answer: Answer) => void) {
    this.#core = core;
    this.#lines = lines;
    this.#answered = answered;
    this.#outcomes = new Batcher({
      ...{ clock: core.clock, health: core.health, what: "Settling runs" },
      send: (batch) => this.#send(batch),
      refused: (ended, error) => this.#refused(ended, error),
    });
  }

  /** Settlements that the store has not taken yet. */
  get size(): number {
    return this.#outcomes.size + this.#coming.size;
  }

  /** Ends a lease with an outcome. `startedMs`: when its handler was called, null if it was not. */
  end(leased: Leased, outcome: Outcome, entries?: Settlement["entries"]): void {
    const { id, token, job } = leased.lease;
    const { startedMs, hooks, hasFlow: flow } = leased;
    const at = this.#core.clock.ticks();
    const ended = { id, token, job, outcome, startedMs, hooks, flow, entries, leased, at };
    const last = leased.begun?.progress?.end() ?? null;
    if (!last) return this.#outcomes.add(ended);
    const coming = last.then(() => {
      this.#coming.delete(coming);
      this.#outcomes.add(ended);
    });
    this.#coming.add(coming);
  }

  /** Gives a lease back; no attempt is spent. */
  release({ id, token, job }: Fence & { readonly job: string }, hooks: readonly HookKind[]): void {
    this.#outcomes.add({ id, token, job, outcome: { to: "released" }, startedMs: null, hooks, leased: null });
  }

  /** Waits until the store has taken everything, or until `at` (ticks). Answers whether it has. */
  async drained(at: number): Promise<boolean> {
    await within(this.#core.clock, Promise.all(this.#coming), at);
    return this.#outcomes.drained(at);
  }

  /** Sends what waits, at once, and resolves when the store has answered, or failed to; or at `at` (ticks). */
  async flush(at: number): Promise<void> {
    const flushed = Promise.all(this.#coming).then(() => this.#outcomes.flush());
    await within(this.#core.clock, flushed, at);
  }

  /** Gives up what the store has not taken; those leases expire. */
  clear(): void {
    this.#outcomes.clear();
  }

  async #send(batch: readonly (Ended | Back)[]): Promise<void> {
    const { store, clock, claims, leases, meters } = this.#core;
    if (this.#lines.waiting) await this.#lines.flush(); // they are there when a run is seen to have ended
    const sentAt = clock.ticks();
    const answers = await store.runs.settle(batch);
    for (const meter of meters) meter.answered("settle", clock.ticks() - sentAt);
    // It may be this node itself that has leased them anew.
    if (batch.some(({ leased }, i) => leased && answers[i] === "lost")) await claims.passed();
    for (let i = 0; i < batch.length; i++) this.#settled(batch[i]!, answers[i]!);
    leases.rest();
  }

  #settled(ended: Ended | Back, settled: Settled): void {
    if (ended.leased === null) return;
    const { leased, outcome, at } = ended;
    const { anew } = leased;
    if (settled === "lost" && anew && leased.renew(anew.lease)) {
      leased.anew = null; // nobody else has run it: the outcome stands, under the newer token
      return this.#outcomes.add({ ...ended, token: anew.lease.token });
    }
    this.#answered(leased, { outcome, settled, runMs: ended.startedMs === null ? 0 : at - leased.begun!.at });
  }

  /** The store won't take an outcome: the run fails instead. */
  #refused(ended: Ended | Back, cause: unknown): void {
    if (ended.leased === null) return; // its lease expires
    const { leased, outcome } = ended;
    if (outcome.to === "failed") return this.#answered(leased, { outcome, settled: "refused", runMs: 0 });
    const problem = `of an attempt (${outcome.to}) was refused by the store: ${errorRecord(cause).message}`;
    const error = errorRecord(new NotStorable("the outcome", problem, "look into the log of the node"));
    this.#outcomes.add({ ...ended, outcome: { to: "failed", reason: "error", error } });
  }
}
