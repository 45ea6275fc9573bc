import { NotStorable } from "../../sdk/port/error.ts";
import { errorRecord } from "../../sdk/port/text.ts";
import { within, type Clock } from "../core/clock.ts";
import type { Health } from "../core/health.ts";
import type { Leased } from "../core/lease.ts";
import { Outbox } from "./outbox.ts";
import type { Outcome, Released, Settled, Settlement, Store } from "../store/port.ts";

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

/** Hears what the store answered to an outcome. `runMs`: from the start of the handler to the outcome. */
export type Report = (leased: Leased, outcome: Outcome, settled: Settled, runMs: number) => void;

/** Ends leases at the store, in batches: outcomes, and leases that go back unspent. */
export class Settler {
  readonly #clock: Clock;
  readonly #report: Report;
  readonly #settled: (leased: Leased) => void;
  readonly #outcomes: Outbox<Ended | Back>;
  /** Outcomes that wait for something to be written before them. */
  readonly #coming = new Set<Promise<void>>();

  /** `before` is awaited before each batch of outcomes: what it writes is there when a run is seen to have ended. */
  constructor(parts: {
    readonly store: Store;
    readonly clock: Clock;
    readonly health: Health;
    readonly before: () => Promise<void> | null;
    readonly report: Report;
    /** The store has taken the outcome of a lease, or never will. */
    readonly settled: (leased: Leased) => void;
    /** Resolves when the claim that is in flight, if any, has been answered and taken in. Never rejects. */
    readonly claimed: () => Promise<unknown>;
    readonly drained: () => void;
  }) {
    const { store, clock, health } = parts;
    this.#clock = clock;
    this.#settled = parts.settled;
    this.#report = parts.report;
    this.#outcomes = new Outbox({
      clock,
      health,
      what: "Settling runs",
      send: async (batch) => {
        await parts.before();
        const answers = await store.runs.settle(batch);
        if (batch.some(({ leased }, i) => leased && answers[i] === "lost")) await parts.claimed(); // it may be this node itself that has leased them anew
        for (let i = 0; i < batch.length; i++) this.#answered(batch[i]!, answers[i]!);
        parts.drained();
      },
      refused: ({ leased, outcome }, error) => {
        if (leased === null) return; // its lease expires
        if (outcome.to !== "failed") this.end(leased, refused(outcome, error));
        else parts.settled(leased);
      },
    });
  }

  /** Outcomes and releases that the store has not taken yet. */
  get size(): number {
    return this.#outcomes.size + this.#coming.size;
  }

  /** Ends a lease with an outcome. */
  end(leased: Leased, outcome: Outcome): void {
    leased.settling = true;
    const { id, token, job } = leased.lease;
    const { startedMs, hooks } = leased;
    const ended = { id, token, job, outcome, startedMs, hooks, leased, at: this.#clock.ticks() };
    const last = leased.progress?.end() ?? null;
    if (!last) return this.#outcomes.add(ended);
    const coming = last.then(() => {
      this.#coming.delete(coming);
      this.#outcomes.add(ended);
    });
    this.#coming.add(coming);
  }

  /** Gives a lease back; no attempt is spent. */
  release({ lease: { id, token, job }, hooks }: Pick<Leased, "lease" | "hooks">): void {
    this.#outcomes.add({ id, token, job, outcome: { to: "released" }, startedMs: null, hooks, leased: null });
  }

  /** Waits until the store has taken everything, or until `at` (ticks). Answers whether it has. */
  async drained(at: number): Promise<boolean> {
    await within(this.#clock, Promise.all(this.#coming), at);
    return this.#outcomes.drained(at);
  }

  /** Sends what waits, at once, and resolves when the store has answered, or failed to; or at `at` (ticks). */
  async flush(at: number): Promise<void> {
    const flushed = Promise.all(this.#coming).then(() => this.#outcomes.flush());
    await within(this.#clock, flushed, at);
  }

  /** Gives up what the store has not taken; those leases expire. */
  clear(): void {
    this.#outcomes.clear();
  }

  #answered(ended: Ended | Back, settled: Settled): void {
    if (ended.leased === null) return;
    const { leased, outcome, startedMs, at } = ended;
    const { anew } = leased;
    if (settled === "lost" && anew && leased.renew(anew.lease)) {
      leased.anew = null; // nobody else has run it: the outcome stands, under the newer token
      return this.#outcomes.add({ ...ended, token: anew.lease.token });
    }
    this.#report(leased, outcome, settled, startedMs === null ? 0 : at - leased.startedAt);
    this.#settled(leased);
  }
}

function refused(outcome: Outcome, cause: unknown): Outcome {
  const problem = `of an attempt (${outcome.to}) was refused by the store: ${errorRecord(cause).message}`;
  return {
    to: "failed",
    reason: "error",
    error: errorRecord(new NotStorable("the outcome", problem, "look into the log of the node")),
  };
}
