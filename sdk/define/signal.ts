/** What a handler throws to say how its attempt goes on. `AbortError` in error.ts is the third of them. */
import { longestMs, type DurationText } from "../port/duration.ts";
import { TaskerError } from "../port/error.ts";
import { checkDuration, shown } from "../port/option.ts";
import { fieldOf } from "../port/text.ts";

/** Thrown by a handler: try again, but only after `delay`. The attempt is spent; after the last one the run fails.
 *  @throws {InvalidInput} if `delay` is not a duration. */
export class RetryAfterError extends TaskerError {
  readonly code = "RETRY_AFTER";
  readonly delayMs: number;
  constructor(
    delay: DurationText,
    message = `try again after ${shown(delay)}`,
    options?: { readonly cause?: unknown },
  ) {
    super(message, options);
    this.delayMs = checkDuration("delay", delay);
  }
}

/** What `snooze` and `ctx.snooze` throw: the attempt ends unspent, and the run starts again after `delayMs`. */
export class Snooze extends TaskerError {
  readonly code = "SNOOZE";
  readonly delayMs: number;
  constructor(delay: DurationText) {
    super(`snoozed for ${shown(delay)}`);
    this.delayMs = checkDuration("delay", delay);
  }
}

/** What `ctx.skip` throws: the run ends as completed, reason `skipped`. */
export class Skip extends TaskerError {
  readonly code = "SKIP";
  readonly reason: string;
  constructor(reason: string) {
    super(`skipped: ${reason}`);
    this.reason = reason;
  }
}

/** Ends this attempt without spending it; the run starts again after `delay`. The same as `ctx.snooze`, for code that
 *  has no context.
 *  @throws {Snooze} always. @throws {InvalidInput} if `delay` is not a duration. */
export function snooze(delay: DurationText): never {
  throw new Snooze(delay);
}

const brand = Symbol.for("tasker.error");

/** The `code` of one of our errors, also if a second copy of this module made it; null for anything else, whatever
 *  code that has. Never throws. */
export function codeOf(error: unknown): string | null {
  const code = fieldOf(error, brand) === true ? fieldOf(error, "code") : null;
  return typeof code === "string" ? code : null;
}

/** The `delayMs` of a RetryAfterError or Snooze; null if that is not a span. Never throws. */
export function delayOf(error: unknown): number | null {
  const delayMs = fieldOf(error, "delayMs");
  return typeof delayMs === "number" && delayMs >= 0 && delayMs <= longestMs ? delayMs : null;
}
