/** What an item of a job file says, whichever of its two forms it has. */
import type { RetryOptions } from "../../sdk/define/retry.ts";
import type { DurationText } from "../../sdk/port/duration.ts";
import { wrong, type Priority } from "../../sdk/port/option.ts";

/** When the run is to start; `cron` and `every` make a schedule, `next` is the first tick of a cron text alone. */
export type When =
  | { readonly kind: "cron" | "next"; readonly cron: string; readonly timezone?: string | undefined }
  | { readonly kind: "every"; readonly every: DurationText }
  | { readonly kind: "runAt"; readonly runAt: Date }
  | { readonly kind: "delay"; readonly delay: DurationText }
  | { readonly kind: "now" };

export interface Item {
  readonly job: string;
  readonly payload: unknown;
  readonly when: When;
  /** The idempotency key of the run, or the key of the schedule. */
  readonly id: string | null;
  readonly retry?: RetryOptions | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly priority?: Priority | undefined;
  /** What it says that does not count, and why. */
  readonly notes: readonly string[];
  /** How the item spells an option, where it does so in another way. */
  readonly names: Readonly<Record<string, string>>;
}

/** An instant as ISO text, with a zone unless it is a date alone.
 *  @throws {InvalidInput} naming the field */
export function instant(what: string, value: unknown): Date {
  const isText =
    typeof value === "string" &&
    /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/.test(value);
  const at = new Date(isText ? value : Number.NaN);
  if (!Number.isNaN(at.getTime())) return at;
  throw wrong(what, value, 'is not an ISO time with a zone; write it like "2030-01-31T09:00:00Z"');
}
