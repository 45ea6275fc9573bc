/** When a failed attempt is followed by another. */
import type { DurationText } from "../port/duration.ts";
import { invalid } from "../port/error.ts";
import { codeOf, delayOf } from "./signal.ts";
import type { RunOptions } from "../port/target.ts";
import { checkDuration, checkFlag, checkKeys, checkWhole, present, wrong } from "../port/option.ts";
import { asError } from "../port/text.ts";

export type RetryFunction = (attempt: number, error: Error) => number | false;

/** When to try again. `backoff: "function"` asks `next(attempt, error)`: milliseconds, or false for no more. */
export interface RetryPolicy {
  /** All tries, the first included. */
  readonly attempts: number;
  readonly backoff: "fixed" | "exponential" | "function";
  readonly delayMs: number;
  readonly maxDelayMs: number;
  /** ±20 %. */
  readonly jitter: boolean;
  readonly next: RetryFunction | null;
}

/** How often and when to try again. */
export interface RetryOptions {
  /** How many may fail, the first included: 1–1000, 3 by default. A crash is not one of them; `crashes` limits those. */
  readonly attempts?: number | undefined;
  /** `exponential` (default) doubles the delay after each attempt. */
  readonly backoff?: "fixed" | "exponential" | undefined;
  /** Before the second attempt; 1s by default, a year at most. */
  readonly delay?: DurationText | undefined;
  /** No delay is longer. The larger of 10m and `delay` by default, a year at most. */
  readonly maxDelay?: DurationText | undefined;
  /** Spreads each delay by ±20 %; true by default. */
  readonly jitter?: boolean | undefined;
}

/** Asked after each failed attempt: the delay before the next one, or false for no more. `failures` counts from 1, and at most to 1000;
 *  attempts that crashed, were put off or were given back are not among them. If it throws or answers anything else, the default policy
 *  decides in its place. */
export type RetryDelay = (failures: number, error: Error) => DurationText | false;

export const mostAttempts = 1000;
const optionKeys: ReadonlySet<string> = new Set<keyof RetryOptions>([
  ...(["attempts", "backoff", "delay", "maxDelay", "jitter"] as const),
]);
const yearMs = 365 * 86_400_000;
const capMs = 600_000;

/** The policy that a job's `retry` stands for, with its defaults.
 *  @throws {InvalidInput} naming the option that is out of its range. */
export function policy(retry: RetryOptions | RetryDelay = {}): RetryPolicy {
  const base = {
    attempts: 3,
    backoff: "exponential",
    delayMs: 1000,
    maxDelayMs: capMs,
    jitter: true,
    next: null,
  } as const;
  if (typeof retry !== "function") return merge(base, overrides(retry));
  const next: RetryPolicy["next"] = (attempt, error) => {
    const delay = retry(attempt, error);
    return delay === false ? false : within("the delay that it answered", delay);
  };
  return { ...base, attempts: mostAttempts, backoff: "function", next };
}

/** Checks the `retry` of a job or a trigger; milliseconds, and only what was given.
 *  @throws {InvalidInput} naming the option that is out of its range. */
export function overrides(options: RetryOptions): NonNullable<RunOptions["retry"]> {
  checkKeys("retry", options, optionKeys);
  const { attempts, backoff, jitter } = options;
  if (attempts !== undefined) checkWhole("retry.attempts", attempts, 1, mostAttempts);
  if (backoff !== undefined && backoff !== "fixed" && backoff !== "exponential")
    throw wrong("retry.backoff", backoff, `is neither "fixed" nor "exponential"`);
  if (jitter !== undefined) checkFlag("retry.jitter", jitter);
  const delayMs = options.delay === undefined ? undefined : within("retry.delay", options.delay);
  const maxDelayMs = options.maxDelay === undefined ? undefined : within("retry.maxDelay", options.maxDelay);
  if (maxDelayMs !== undefined && delayMs !== undefined && maxDelayMs < delayMs)
    throw invalid(
      "retry.maxDelay",
      `retry.maxDelay "${options.maxDelay}" is shorter than retry.delay "${options.delay}"`,
    );
  return present({ attempts, backoff, delayMs, maxDelayMs, jitter });
}

/** What an author would write for checked overrides: `overrides` makes the same of it. */
export function authoredRetry({ delayMs, maxDelayMs, ...same }: NonNullable<RunOptions["retry"]>): RetryOptions {
  const text = (ms: number | undefined): DurationText | undefined => (ms === undefined ? undefined : `${ms}ms`);
  return present({ ...same, delay: text(delayMs), maxDelay: text(maxDelayMs) });
}

/** A job's policy with what the run's trigger overrode. A delay or backoff given there replaces a retry function. */
export function merge(policy: RetryPolicy, over: RunOptions["retry"]): RetryPolicy {
  if (!over) return policy;
  const timed = over.backoff !== undefined || over.delayMs !== undefined;
  const backoff = over.backoff ?? (timed && policy.backoff === "function" ? "exponential" : policy.backoff);
  const delayMs = over.delayMs ?? policy.delayMs;
  return {
    attempts: over.attempts ?? (timed && policy.next ? 3 : policy.attempts),
    backoff,
    delayMs,
    maxDelayMs: over.maxDelayMs ?? Math.max(policy.maxDelayMs, delayMs),
    jitter: over.jitter ?? policy.jitter,
    next: backoff === "function" ? policy.next : null,
  };
}

/** Milliseconds until the next attempt, or null for none. Pure but for `random` (0 ≤ x < 1); never throws.
 *  `spent` counts failed attempts, the one that just failed included. An AbortError or a payload that its schema refuses ends
 *  it; a RetryAfterError says its own delay. */
export function nextDelayMs(
  policy: RetryPolicy,
  spent: number,
  error: unknown,
  random: () => number = Math.random,
): number | null {
  const code = codeOf(error);
  if (spent >= policy.attempts || code === "ABORT" || code === "INVALID_PAYLOAD") return null;
  const asked = code === "RETRY_AFTER" ? delayOf(error) : null;
  if (asked !== null) return asked;
  if (policy.next) return answer(policy.next, spent, error, random);
  const grown = policy.backoff === "fixed" ? policy.delayMs : policy.delayMs * 2 ** Math.min(spent - 1, 64);
  const delayMs = Math.min(grown, policy.maxDelayMs);
  return Math.round(policy.jitter ? spread(delayMs, policy.maxDelayMs, random()) : delayMs);
}

function answer(
  next: NonNullable<RetryPolicy["next"]>,
  spent: number,
  error: unknown,
  random: () => number,
): number | null {
  try {
    const delay = next(spent, asError(error));
    return delay === false ? null : delay;
  } catch {
    return nextDelayMs(fallback, spent, error, random);
  }
}

/** ±20 %; what would pass the cap is mirrored below it, so that capped delays stay spread. */
function spread(delayMs: number, maxMs: number, random: number): number {
  const shifted = delayMs * (0.8 + 0.4 * random);
  return shifted > maxMs ? 2 * maxMs - shifted : shifted;
}

function within(what: string, text: DurationText): number {
  const ms = checkDuration(what, text);
  if (ms > yearMs) throw invalid(what, `${what} is longer than a year; check its unit`);
  return ms;
}

const fallback = policy();
