/** What a handler throws to say how its attempt shall go on. `AbortError` in error.ts is the third of them. */
import { toMs, type DurationText } from "./duration.ts";
import { TaskerError } from "./error.ts";

/** Thrown by a handler: try again, but only after `delay`. The attempt is spent; after the last one the run fails.
 *  @throws {InvalidInput} if `delay` is no duration. */
export class RetryAfterError extends TaskerError {
  readonly code = "RETRY_AFTER";
  readonly delayMs: number;
  constructor(delay: DurationText, message = `try again after ${delay}`, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.delayMs = toMs(delay);
  }
}

/** What `snooze` and `ctx.snooze` throw: the attempt ends unspent, and the run starts again after `delayMs`. */
export class Snooze extends TaskerError {
  readonly code = "SNOOZE";
  readonly delayMs: number;
  constructor(delay: DurationText) {
    super(`snoozed for ${delay}`);
    this.delayMs = toMs(delay);
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
 *  @throws {Snooze} always. @throws {InvalidInput} if `delay` is no duration. */
export function snooze(delay: DurationText): never {
  throw new Snooze(delay);
}

/** The `code` of an error, also if a second copy of this module made it; null if it has none. */
export function codeOf(error: unknown): string | null {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : null;
  return typeof code === "string" ? code : null;
}
