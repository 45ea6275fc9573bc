/** What `trigger` is given, checked: a run as stores take it. */
import { createHash } from "node:crypto";
import type { DurationText } from "../port/duration.ts";
import type { Wire } from "../port/codec.ts";
import { invalid } from "../port/error.ts";
import { fileMark, tickMark } from "../port/id.ts";
import {
  checkDuration,
  checkInstant,
  checkKeys,
  checkName,
  checkPriority,
  checkSpan,
  checkTags,
  checkText,
  shown,
  type Priority,
} from "../port/option.ts";
import type { NewKey, NewRun, RunOptions, Tx } from "../port/target.ts";
import { overrides, type RetryOptions } from "../define/retry.ts";
import type { JobSpec } from "../define/spec.ts";

/** One key makes one run of a job, for any number of callers. */
export interface KeyOptions {
  /** 1–256 characters. */
  readonly key: string;
  /** How long a completed run still holds its key, after its end; 24h by default. A failed or canceled one frees it at
   *  once. */
  readonly keep?: DurationText | undefined;
  /** If the key has a run: `return` it (default), `replace` it while it has not started, or fail with KeyConflict. */
  readonly onConflict?: "return" | "replace" | "error" | undefined;
}

export interface TriggerOptions {
  /** From now, by the store's clock. Not together with `runAt`. */
  readonly delay?: DurationText | undefined;
  /** One in the past means now. */
  readonly runAt?: Date | undefined;
  readonly idempotencyKey?: string | KeyOptions | undefined;
  /** 0–9, higher first among the due runs of a queue; the job's by default. */
  readonly priority?: Priority | undefined;
  readonly queue?: string | undefined;
  /** Added to the job's own: at most 10 together. */
  readonly tags?: readonly string[] | undefined;
  /** The run fails as `expired` if it has not started this long after it fell due. */
  readonly ttl?: DurationText | undefined;
  /** Replaces parts of the job's policy, for this run. */
  readonly retry?: RetryOptions | undefined;
  readonly timeout?: DurationText | undefined;
  /** A pg client in a transaction, or a transaction of Kysely, Drizzle or postgres.js: the run exists exactly if that commits. */
  readonly tx?: Tx | undefined;
}

/** What a run takes from its job. */
export type Base = Pick<JobSpec, "id" | "queue" | "priority" | "tags" | "ttlMs">;

const optionKeys: ReadonlySet<string> = new Set<keyof TriggerOptions>([
  ...(["delay", "runAt", "idempotencyKey", "priority", "queue", "tags", "ttl", "retry", "timeout", "tx"] as const),
]);

const keyKeys: ReadonlySet<string> = new Set<keyof KeyOptions>(["key", "keep", "onConflict"]);

/** A run without options, due now. */
export function plainRun({ id, queue, priority, tags, ttlMs }: Base, input: Wire): NewRun {
  return {
    job: id,
    queue,
    priority,
    tags,
    ttlMs,
    input,
    dueAt: null,
    delayMs: 0,
    key: null,
    options: null,
    replayOf: null,
  };
}

/** A run as stores take it.
 *  @throws {InvalidInput} naming the option that is invalid. */
export function newRun(job: Base, input: Wire, options?: TriggerOptions): NewRun {
  const run = plainRun(job, input);
  if (options === undefined) return run;
  checkKeys("trigger", options, optionKeys);
  checkTx(options.tx);
  return {
    ...run,
    ...instant(options),
    ...(options.queue !== undefined && { queue: checkName("queue", options.queue) }),
    ...(options.priority !== undefined && { priority: checkPriority(options.priority) }),
    ...(options.tags !== undefined && { tags: checkTags([...job.tags, ...checkTags(options.tags)]) }),
    ...(options.ttl !== undefined && { ttlMs: checkSpan("ttl", options.ttl) }),
    key: options.idempotencyKey === undefined ? null : newKey(options.idempotencyKey, input),
    options: runOptions(options),
  };
}

/** @throws {InvalidInput} for what can't be a transaction */
export function checkTx(tx: unknown): void {
  if (tx === undefined || (typeof tx === "object" && tx !== null) || typeof tx === "function") return; // postgres.js has functions
  throw invalid(
    "tx",
    "tx is not a transaction; pass the pg client that runs your BEGIN, or your library's transaction",
  );
}

/** When a run is to start, as stores take it.
 *  @throws {InvalidInput} for both, a negative or absurd delay, or what is not a Date. */
export function instant({ delay, runAt }: Pick<TriggerOptions, "delay" | "runAt">): Pick<NewRun, "dueAt" | "delayMs"> {
  if (delay !== undefined && runAt !== undefined)
    throw invalid("runAt", "delay and runAt are both given; keep one of them");
  if (runAt !== undefined) return { dueAt: checkInstant("runAt", runAt), delayMs: 0 };
  return { dueAt: null, delayMs: delay === undefined ? 0 : checkDuration("delay", delay) };
}

function newKey(given: string | KeyOptions, input: Wire): NewKey {
  if (typeof given !== "string") checkKeys("idempotencyKey", given, keyKeys);
  const { key, keep = "24h", onConflict = "return" } = typeof given === "string" ? { key: given } : given;
  if (onConflict !== "return" && onConflict !== "replace" && onConflict !== "error")
    throw invalid(
      "idempotencyKey.onConflict",
      `onConflict "${shown(onConflict)}" is none of "return", "replace" and "error"`,
    );
  const keepMs = checkSpan("keep", keep);
  const text = checkText("idempotencyKey", key, 256);
  const mark = [tickMark, fileMark].find((each) => text.startsWith(each));
  if (mark)
    throw invalid(
      "idempotencyKey",
      `idempotencyKey "${key}" begins with "${mark}", which is reserved; choose another key`,
    );
  return { key: text, keepMs, onConflict, hash: hash(input) };
}

/** Tells payloads apart; the order of an object's keys does not count. */
function hash(input: Wire): string {
  return createHash("sha1")
    .update(sorted(input.json))
    .update("\0")
    .update(input.meta === null ? "" : sorted(input.meta))
    .digest("hex");
}

function sorted(json: string): string {
  return JSON.stringify(JSON.parse(json), (_, part: unknown) => {
    if (typeof part !== "object" || part === null || Array.isArray(part)) return part;
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function runOptions({ retry, timeout }: TriggerOptions): RunOptions | null {
  if (retry === undefined && timeout === undefined) return null;
  return {
    ...(retry !== undefined && { retry: overrides(retry) }),
    ...(timeout !== undefined && { timeoutMs: checkSpan("timeout", timeout) }),
  };
}
