import { encode } from "../../sdk/port/codec.ts";
import { InvalidInput, StepTimeout } from "../../sdk/port/error.ts";
import type { Entry } from "../../sdk/port/flow.ts";
import { formatId } from "../../sdk/port/id.ts";
import type { Tx } from "../../sdk/port/target.ts";
import type { StepContext } from "../../sdk/define/flow.ts";
import type { Alarm, Clock } from "../core/clock.ts";
import type { Leased } from "../core/lease.ts";
import type { StepCall } from "./call.ts";

/** One try of a step, and what its function is given. */
export class Step implements StepContext {
  readonly attempt: number;
  readonly #call: StepCall;
  readonly #leased: Leased;
  readonly #clock: Clock;
  #alarm: Alarm | null = null;
  #own: AbortController | null = null;
  #signal: AbortSignal | null = null;
  #over = false;

  constructor(call: StepCall, leased: Leased, clock: Clock) {
    this.attempt = call.tries + 1;
    this.#call = call;
    this.#leased = leased;
    this.#clock = clock;
  }

  get idempotencyKey(): string {
    return `${formatId(this.#leased.lease.id)}:${this.#call.key}`;
  }

  /** Made when it is asked for. */
  get signal(): AbortSignal {
    if (this.#call.timeoutMs === null) return this.#leased.signal;
    this.#own ??= new AbortController();
    return (this.#signal ??= AbortSignal.any([this.#leased.signal, this.#own.signal]));
  }

  /** Calls the function; at its timeout it has failed, whatever it does later. */
  run(returned: (value: Entry["value"]) => void, failed: (error: unknown) => void): void {
    const { fn, timeoutMs, key } = this.#call;
    if (timeoutMs !== null) {
      this.#alarm = this.#clock.alarm(() => {
        const error = new StepTimeout(key, timeoutMs);
        this.#own?.abort(error);
        failed(error);
      });
      this.#alarm.set(this.#clock.ticks() + timeoutMs);
    }
    new Promise((resolve) => resolve(fn(this))).then((value) => returned(this.#wire(value))).catch(failed);
  }

  /** As `run`, in a transaction: `write` puts the result down in it. */
  async within(write: (value: Entry["value"], tx: Tx) => Promise<void>): Promise<void> {
    const { fn, within } = this.#call;
    let done = false;
    await within!(async (tx) => {
      if (done) throw new InvalidInput("ctx.tx: the transaction was run twice; give it work that is not repeated");
      done = true;
      await write(this.#wire(await fn(this, tx)), tx);
    });
  }

  #wire(value: unknown): Entry["value"] {
    return value === undefined ? null : encode(value, `step "${this.#call.key}"`);
  }

  get over(): boolean {
    return this.#over;
  }

  /** The try is over. False if it was before. */
  end(): boolean {
    if (this.#over) return false;
    this.#alarm?.clear();
    return (this.#over = true);
  }
}
