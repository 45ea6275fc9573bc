import { StoreUnavailable } from "../../sdk/port/error.ts";
import type { Clock } from "./clock.ts";
import { logged, type Logger } from "./log.ts";

/** Whether the store answers. Says so once when it goes away and once when it is back; other failures are said as they
 *  come. Never more than one line a second. */
export class Health {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #back: () => void;
  #away = false;
  #said = false;
  #spokeAt = -Infinity;

  /** `back` is called when the store answers again. */
  constructor(clock: Clock, logger: Logger, back: () => void) {
    this.#clock = clock;
    this.#logger = logger;
    this.#back = back;
  }

  get away(): boolean {
    return this.#away;
  }

  /** The store answered. */
  ok(): void {
    if (!this.#away) return;
    this.#away = false;
    this.#back();
    if (this.#said) this.#logger.info({}, "Store back");
    this.#said = false;
  }

  /** A call failed; `what` names it. */
  failed(what: string, error: unknown): void {
    if (!(error instanceof StoreUnavailable)) {
      if (this.#maySpeak()) this.#logger.error({ err: logged(error) }, `${what} failed`);
      return;
    }
    this.#away = true;
    if (this.#said || !this.#maySpeak()) return;
    this.#said = true;
    this.#logger.warn({ err: logged({ name: error.name, message: error.message }) }, "Store away; trying again");
  }

  #maySpeak(): boolean {
    const now = this.#clock.ticks();
    if (now - this.#spokeAt < 1000) return false;
    this.#spokeAt = now;
    return true;
  }
}
