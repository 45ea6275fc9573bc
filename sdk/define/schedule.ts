/** Schedules as jobs declare them. */
import { encode } from "../port/codec.ts";
import { InvalidInput, InvalidPayload, invalid } from "../port/error.ts";
import { checkKeys, checkName, checkPriority, checkTags, checkText, isList, type Priority } from "../port/option.ts";
import { overrides, type RetryOptions } from "./retry.ts";
import { ruleKeys, ruleOf, type TickPolicy, type When } from "./rule.ts";
import { check } from "./schema.ts";
import type { DeclaredSchedule, JobSpec } from "./spec.ts";
import type { NewSchedule } from "../port/target.ts";

/** What runs of a schedule have instead of their job's own. */
export interface RunsOf {
  readonly queue?: string | undefined;
  /** 0–9, higher first. */
  readonly priority?: Priority | undefined;
  /** Added to the job's own. */
  readonly tags?: readonly string[] | undefined;
  /** Replaces parts of the job's policy. */
  readonly retry?: RetryOptions | undefined;
}

/** A schedule that a job declares. */
export type ScheduleOptions<Input = unknown> = When &
  TickPolicy &
  RunsOf & {
    /** Tells the schedules of one job apart: 1–128 characters. Only one of them may go without. */
    readonly key?: string | undefined;
  } & (undefined extends Input ? { readonly payload?: Input } : { readonly payload: Input });

/** A list, without the methods of one: beside those, the compiler takes a schedule's `every` for `Array.prototype.every`. */
export interface Several<T> extends Iterable<T> {
  readonly length: number;
  readonly [n: number]: T;
}

const optionKeys = new Set<string>([...ruleKeys, "key", "payload", "queue", "priority", "tags", "retry"]);

/** Checks the schedules of a job.
 *  @throws {InvalidInput} {InvalidPayload} for what can't be right; of functions and async schemas only `read` can tell */
export function declaredOf(job: Pick<JobSpec, "id" | "schema">, given: unknown): readonly DeclaredSchedule[] {
  if (given === undefined) return [];
  const list = (isList(given) ? given : [given]) as readonly ScheduleOptions[];
  const seen = new Set<string>();
  return list.map((options) => {
    const declared = declare(job, options);
    if (seen.has(declared.key)) throw taken(declared.key);
    seen.add(declared.key);
    return declared;
  });
}

function taken(key: string): InvalidInput {
  return invalid(
    "schedule.key",
    key === ""
      ? 'two schedules have no key; give each but one of them its own, such as key: "weekly"'
      : `two schedules have the key "${key}"; rename one of them`,
  );
}

function declare(job: Pick<JobSpec, "id" | "schema">, options: ScheduleOptions): DeclaredSchedule {
  const key = checkOptions(options);
  const read = (zone: string): NewSchedule => newSchedule({ job: job.id, key }, options, zone);
  const payload = check(job.schema, options.payload);
  const refuse = ({ issues }: Awaited<typeof payload>): void => {
    if (!issues) return;
    const list = issues.slice(0, 5).map(({ path, message }) => `payload${path && `.${path}`}: ${message}`);
    throw new InvalidInput(`schedule${key && ` "${key}"`}: ${list.join("; ")}; write payload: … beside its rule`, {
      path: "schedule.payload",
      cause: new InvalidPayload(job.id, issues),
    });
  };
  if (payload instanceof Promise)
    payload.catch(() => undefined); // `read` tells
  else refuse(payload);
  if (!asksFunctions(options)) read("UTC");
  return {
    key,
    read: (zone) => (payload instanceof Promise ? payload.then(refuse).then(() => read(zone)) : read(zone)),
  };
}

function asksFunctions({ cron, timezone }: { readonly cron?: unknown; readonly timezone?: unknown }): boolean {
  return typeof cron === "function" || typeof timezone === "function";
}

/** The key of checked options. */
function checkOptions(options: ScheduleOptions): string {
  if (typeof options !== "object" || options === null)
    throw invalid("schedule", 'a schedule is not an object; write schedule: { cron: "0 30 2 * * *" }');
  checkKeys("a schedule", options, optionKeys);
  return options.key === undefined ? "" : checkKey(options.key);
}

/** @throws {InvalidInput} unless it is a text of 1–128 characters without NUL */
export function checkKey(key: unknown): string {
  return checkText("key", key, 128);
}

/** A schedule as stores take it; the payload has been checked.
 *  @throws {InvalidInput} {NotStorable} */
export function newSchedule(
  name: Pick<NewSchedule, "job" | "key">,
  options: When & TickPolicy & RunsOf & { readonly payload?: unknown },
  zone: string,
): NewSchedule {
  const { queue, priority, tags, retry } = options;
  return {
    ...name,
    rule: { ...ruleOf(options, zone), ...(retry !== undefined && { retry: overrides(retry) }) },
    input: encode(options.payload, "payload"),
    queue: queue === undefined ? null : checkName("queue", queue),
    priority: priority === undefined ? null : checkPriority(priority),
    tags: tags === undefined ? [] : checkTags(tags),
  };
}
