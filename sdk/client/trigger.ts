import { createHash } from "node:crypto";
import { encode, type Wire } from "../port/codec.ts";
import { target } from "./config.ts";
import { InvalidInput, InvalidPayload, JobNotFound } from "../port/error.ts";
import { tickMark } from "../port/id.ts";
import { toHandle, type RunHandle } from "./handle.ts";
import type { AnyJob, BatchItem, InputOf, KeyOptions, ResultOf, TriggerArgs, TriggerOptions } from "./job.ts";
import type { JobId, KnownJob, Triggerable } from "./jobs.ts";
import { lift, type JsonSchema } from "../define/lift.ts";
import { near } from "../port/near.ts";
import {
  checkDelay,
  checkInstant,
  checkKeys,
  checkName,
  checkPriority,
  checkSpan,
  checkTags,
  checkText,
  isList,
} from "../port/option.ts";
import { overrides } from "../define/retry.ts";
import { check, checkJson, type Checked } from "../define/schema.ts";
import type { JobSpec } from "../define/spec.ts";
import type { Added, JobRecord, NewKey, NewRun, RunOptions, Target, Tx } from "../port/target.ts";

/** Id, payload and options of a job, by its type; of several jobs, a union of such lists. */
export type ById<J> = J extends AnyJob ? [id: J["id"], ...args: TriggerArgs<InputOf<J>>] : never;

/** Triggers a job by its id: one that a file of `tasker types` declares, or with no more than its type:
 *  `trigger<typeof remind>("remind", payload)`. The payload is checked against the JSON Schema that nodes publish; plain
 *  JSON does: `"2030-01-01T00:00:00Z"` becomes a Date where the job wants one.
 *  @throws {JobNotFound} with ids that look like it. @throws {InvalidPayload} {NotStorable} {InvalidInput}
 *  {KeyConflict} {NotConfigured} */
export function trigger<Id extends JobId>(
  id: Id,
  ...args: TriggerArgs<InputOf<KnownJob<Id>>>
): Promise<RunHandle<ResultOf<KnownJob<Id>>>>;
export function trigger<J extends AnyJob = Triggerable>(...args: ById<J>): Promise<RunHandle<ResultOf<J>>>;
export async function trigger(...args: readonly unknown[]): Promise<RunHandle> {
  const [id, payload, options] = args as readonly [id: string, payload?: unknown, options?: TriggerOptions];
  const to = await target();
  const job = await published(to, id);
  const input = await encodePublished(job, payload);
  return toHandle(to, await addOne(to, newRun(base(job), input, options), options?.tx));
}

/** `job.trigger`: checks, encodes, adds. */
export async function triggerJob<Result>(
  job: JobSpec,
  payload: unknown,
  options?: TriggerOptions,
): Promise<RunHandle<Result>> {
  const checked = checkPayload(job, payload);
  const { issues } = checked instanceof Promise ? await checked : checked;
  if (issues) throw new InvalidPayload(job.id, issues);
  const run = newRun(job, encode(payload, "payload"), options);
  const to = await target();
  return toHandle(to, await addOne(to, run, options?.tx));
}

/** A payload that can't even be read (a revoked proxy) is refused as such, whatever a schema throws over it. */
function checkPayload(job: JobSpec, payload: unknown): ReturnType<typeof check> {
  const unreadable = (error: unknown): never => {
    encode(payload, "payload");
    throw error;
  };
  try {
    const checked = check(job.schema, payload);
    return checked instanceof Promise ? checked.catch(unreadable) : checked;
  } catch (error) {
    return unreadable(error);
  }
}

const chunk = 1000;

/** `job.batchTrigger`: handles or errors, in order. Chunks of 1000; each is prepared while the one before is
 *  under way. */
export async function triggerBatch<Result>(
  job: JobSpec,
  items: readonly BatchItem<unknown>[],
  { tx }: { readonly tx?: Tx | undefined } = {},
): Promise<readonly (RunHandle<Result> | Error)[]> {
  if (!isList(items)) throw new InvalidInput("a batch is not a list; write [{ payload, options }]", { path: "items" });
  checkTx(tx);
  const to = await target();
  const answers: Promise<readonly (Added | Error)[]>[] = [];
  for (let from = 0; from < items.length; from += chunk) {
    const runs = await settled(items.slice(from, from + chunk).map((item) => prepared(job, item)));
    await answers.at(-1);
    answers.push(addMany(to, runs, tx));
  }
  const all = (await Promise.all(answers)).flat();
  return all.map((added) => (added instanceof Error ? added : toHandle<Result>(to, added)));
}

/** A run or an error; a promise only where the schema's check is one, for a batch is long. */
function prepared(job: JobSpec, item: BatchItem<unknown>): NewRun | Error | Promise<NewRun | Error> {
  try {
    checkItem(item);
    const run = ({ issues }: Checked<unknown>): NewRun => {
      if (issues) throw new InvalidPayload(job.id, issues);
      return newRun(job, encode(item.payload, "payload"), item.options);
    };
    const checked = checkPayload(job, item.payload);
    return checked instanceof Promise ? checked.then(run).catch(asError) : run(checked);
  } catch (error) {
    return asError(error);
  }
}

/** Waits only if something is to be waited for. */
async function settled<T>(values: readonly (T | Promise<T>)[]): Promise<readonly T[]> {
  const done: T[] = [];
  for (const value of values) done.push(value instanceof Promise ? await value : value);
  return done;
}

function checkItem(item: BatchItem<unknown>): void {
  if (typeof item !== "object" || item === null)
    throw new InvalidInput("an item of a batch is not an object; write { payload, options }");
  checkKeys("an item of a batch", item, itemKeys);
  if (item.options && "tx" in item.options)
    throw new InvalidInput("an item of a batch has no transaction of its own; give tx to the batch", { path: "tx" });
}

/** Adds what could be prepared; an error keeps its place. */
async function addMany(
  to: Target,
  runs: readonly (NewRun | Error)[],
  tx: Tx | undefined,
): Promise<readonly (Added | Error)[]> {
  const good = runs.filter((run): run is NewRun => !(run instanceof Error));
  const added =
    good.length === 0 ? [] : await to.add(good, tx).catch((error: unknown) => good.map(() => asError(error)));
  let next = 0;
  return runs.map((run) => (run instanceof Error ? run : added[next++]!));
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error), { cause: error });
}

/** Adds one run. @throws what the store answers for it. */
export async function addOne(to: Target, run: NewRun, tx?: Tx): Promise<Added> {
  const [added] = await to.add([run], tx);
  if (added instanceof Error) throw added;
  return added!;
}

/** What a run takes from its job. */
type Base = Pick<JobSpec, "id" | "queue" | "priority" | "tags" | "ttlMs">;

const itemKeys = new Set(["payload", "options"]);
const optionKeys: ReadonlySet<string> = new Set<keyof TriggerOptions>([
  ...(["delay", "runAt", "idempotencyKey", "priority", "queue", "tags", "ttl", "retry", "timeout", "tx"] as const),
]);

/** A run as stores take it.
 *  @throws {InvalidInput} naming the option that can't be right. */
export function newRun(job: Base, input: Wire, options?: TriggerOptions): NewRun {
  const { id, queue, priority, tags, ttlMs } = job;
  const run: NewRun = {
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
  if (options === undefined) return run;
  if (typeof options !== "object" || options === null) throw new InvalidInput("trigger's options are not an object");
  checkKeys("trigger", options, optionKeys);
  checkTx(options.tx);
  return {
    ...run,
    ...instant(options),
    ...(options.queue !== undefined && { queue: checkName("queue", options.queue) }),
    ...(options.priority !== undefined && { priority: checkPriority(options.priority) }),
    ...(options.tags !== undefined && { tags: checkTags([...tags, ...checkTags(options.tags)]) }),
    ...(options.ttl !== undefined && { ttlMs: checkSpan("ttl", options.ttl) }),
    key: options.idempotencyKey === undefined ? null : newKey(options.idempotencyKey, input),
    options: runOptions(options),
  };
}

function checkTx(tx: unknown): void {
  if (tx === undefined || (typeof tx === "object" && tx !== null) || typeof tx === "function") return; // postgres.js has functions
  throw new InvalidInput(
    "tx is not a transaction; pass the pg client that runs your BEGIN, or your library's transaction",
    {
      path: "tx",
    },
  );
}

/** When a run shall start, as stores take it.
 *  @throws {InvalidInput} for both, a negative or absurd delay, or what is no Date. */
export function instant({ delay, runAt }: Pick<TriggerOptions, "delay" | "runAt">): Pick<NewRun, "dueAt" | "delayMs"> {
  if (delay !== undefined && runAt !== undefined)
    throw new InvalidInput("delay and runAt are both given; keep one of them", { path: "runAt" });
  if (runAt !== undefined) return { dueAt: checkInstant("runAt", runAt), delayMs: 0 };
  return { dueAt: null, delayMs: delay === undefined ? 0 : checkDelay(delay) };
}

function newKey(given: string | KeyOptions, input: Wire): NewKey {
  const { key, keep = "24h", onConflict = "return" } = typeof given === "string" ? { key: given } : (given ?? {});
  if (onConflict !== "return" && onConflict !== "replace" && onConflict !== "error")
    throw new InvalidInput(`onConflict "${String(onConflict)}" is none of "return", "replace" and "error"`, {
      path: "idempotencyKey.onConflict",
    });
  const keepMs = checkSpan("keep", keep);
  if (String(key).startsWith(tickMark))
    throw new InvalidInput(`idempotencyKey "${key}" begins with "${tickMark}", which is reserved; choose another key`, {
      path: "idempotencyKey",
    });
  return { key: checkText("idempotencyKey", key, 256), keepMs, onConflict, hash: hash(input) };
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

function base({ id, queue, priority, tags, ttlMs }: JobRecord): Base {
  return { id, queue, priority, tags, ttlMs };
}

/** Checks and encodes a payload by what nodes published of the job, lifting plain JSON.
 *  @throws {InvalidPayload} {NotStorable} */
export async function encodePublished(job: JobRecord, payload: unknown): Promise<Wire> {
  if (job.schema === null) return encode(payload, "payload");
  const lifted = lift(JSON.parse(job.schema) as JsonSchema, payload);
  const wire = encode(lifted, "payload"); // first: what follows reads JSON alone
  const issues = await checkJson(job.schema, lifted);
  if (issues.length > 0) throw new InvalidPayload(job.id, issues);
  return wire;
}

interface Published {
  readonly atMs: number;
  readonly jobs: ReadonlyMap<string, JobRecord>;
}
const cache = new WeakMap<Target, Published>();
const freshMs = 30_000;

/** What nodes published of a job; remembered for 30 s, and asked again for an id that is not there.
 *  @throws {JobNotFound} with ids that look like it. */
export async function published(to: Target, id: string): Promise<JobRecord> {
  const known = cache.get(to);
  const found = known && performance.now() - known.atMs < freshMs ? known.jobs.get(id) : undefined;
  if (found) return found;
  const jobs = new Map((await to.find.jobs()).map((job) => [job.id, job]));
  cache.set(to, { atMs: performance.now(), jobs });
  const job = jobs.get(id);
  if (job) return job;
  throw new JobNotFound(String(id).slice(0, 128), [...jobs.keys()], near(String(id), [...jobs.keys()]));
}
