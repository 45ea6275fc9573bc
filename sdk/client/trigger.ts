import { encode, type Wire } from "../port/codec.ts";
import { add } from "./act.ts";
import { target, type Open } from "./config.ts";
import { InvalidInput, InvalidPayload, JobNotFound, invalid, type Issue } from "../port/error.ts";
import { toHandle, type RunHandle } from "./handle.ts";
import { checkTx, newRun, type TriggerOptions } from "./option.ts";
import type { AnyJob, BatchItem, InputOf, ResultOf, TriggerArgs } from "./job.ts";
import type { JobId, KnownJob, Triggerable } from "./jobs.ts";
import { lift, type JsonSchema } from "../define/lift.ts";
import { near } from "../port/near.ts";
import { checkKeys, isList, isRecord, shown } from "../port/option.ts";
import { check, checkJson, type Checked } from "../define/schema.ts";
import type { JobSpec } from "../define/spec.ts";
import type { Added, JobRecord, NewRun, Target, Tx } from "../port/target.ts";
import { asError } from "../port/text.ts";

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
  return triggerOf(target)<AnyJob>(...(args as ById<AnyJob>));
}

/** `trigger`, bound to a given target. */
export function triggerOf(open: Open): typeof trigger {
  return async (...args: readonly unknown[]): Promise<RunHandle<never>> => {
    const [id, payload, options] = args as readonly [id: string, payload?: unknown, options?: TriggerOptions];
    const to = await open();
    return toHandle(to, await addOne(to, await named(to, { job: id, payload, options }), options?.tx));
  };
}

/** One run of a batch of several jobs, each named by its id. */
export interface NamedItem {
  readonly job: string;
  readonly payload?: unknown;
  readonly options?: Omit<TriggerOptions, "tx"> | undefined;
}

/** Many runs of one job or several, as `trigger` by id would add them: a handle or an error per item, in order. Any number; the store takes
 *  1000 at a time. */
export async function triggerAll(to: Target, items: readonly NamedItem[]): Promise<readonly (RunHandle | Error)[]> {
  const handles: (RunHandle | Error)[] = [];
  for (let from = 0; from < items.length; from += chunk) {
    const runs = await Promise.all(items.slice(from, from + chunk).map((item) => named(to, item).catch(asError)));
    const added = await sendGood(runs, (good) => add(to, good));
    handles.push(...added.map((one) => (one instanceof Error ? one : toHandle(to, one))));
  }
  return handles;
}

async function named(to: Target, { job: id, payload, options }: NamedItem): Promise<NewRun> {
  const job = await published(to, id);
  return newRun(job, await encodePublished(job, payload), options);
}

/** `job.trigger`: checks, encodes, adds. */
export async function triggerJob<Result>(
  job: JobSpec,
  payload: unknown,
  options?: TriggerOptions,
): Promise<RunHandle<Result>> {
  const made = make(job, payload, options);
  const run = made instanceof Promise ? await made : made;
  const to = await target();
  return toHandle(to, await addOne(to, run, options?.tx));
}

/** A run, checked and encoded; a promise only where the schema's check is one, for a batch is long. */
function make(job: JobSpec, payload: unknown, options: TriggerOptions | undefined): NewRun | Promise<NewRun> {
  const run = ({ issues }: Checked<unknown>): NewRun => {
    if (issues) throw new InvalidPayload(job.id, issues);
    return newRun(job, encode(payload, "payload"), options);
  };
  const checked = checkPayload(job, payload);
  return checked instanceof Promise ? checked.then(run) : run(checked);
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
  options: { readonly tx?: Tx | undefined } = {},
): Promise<readonly (RunHandle<Result> | Error)[]> {
  if (!isList(items)) throw invalid("items", "a batch is not a list; write [{ payload, options }]");
  checkKeys("batchTrigger", options, batchKeys); // what is meant for each run would else be lost without a word
  const { tx } = options;
  checkTx(tx);
  const to = await target();
  const answers: Promise<readonly (Added | Error)[]>[] = [];
  for (let from = 0; from < items.length; from += chunk) {
    const runs = await settled(Array.from(items.slice(from, from + chunk), (item) => prepared(job, item)));
    await answers.at(-1);
    answers.push(sendGood(runs, (good) => add(to, good, tx)));
  }
  const all = (await Promise.all(answers)).flat();
  return all.map((added) => (added instanceof Error ? added : toHandle<Result>(to, added)));
}

/** A run or an error. */
export function prepared(job: JobSpec, item: BatchItem<unknown>): NewRun | Error | Promise<NewRun | Error> {
  try {
    checkItem(item);
    const made = make(job, item.payload, item.options);
    return made instanceof Promise ? made.catch(asError) : made;
  } catch (error) {
    return asError(error);
  }
}

/** Waits only if something is to be waited for. */
export async function settled<T>(values: readonly (T | Promise<T>)[]): Promise<readonly T[]> {
  const done: T[] = [];
  for (const value of values) done.push(value instanceof Promise ? await value : value);
  return done;
}

function checkItem(item: BatchItem<unknown>): void {
  if (typeof item !== "object" || item === null)
    throw new InvalidInput("an item of a batch is not an object; write { payload, options }");
  checkKeys("an item of a batch", item, itemKeys);
  if (isRecord(item.options) && "tx" in item.options)
    throw invalid("tx", "an item of a batch has no transaction of its own; give tx to the batch");
}

/** Sends what could be prepared; an error keeps its place, and what is refused as a whole is an error each. */
export async function sendGood<T extends object, R>(
  items: readonly (T | Error)[],
  send: (good: readonly T[]) => Promise<readonly (R | Error)[]>,
): Promise<readonly (R | Error)[]> {
  const good = items.filter((item) => !(item instanceof Error)) as readonly T[];
  const answers = good.length === 0 ? [] : await send(good).catch((error: unknown) => good.map(() => asError(error)));
  let next = 0;
  return items.map((item) => (item instanceof Error ? item : answers[next++]!));
}

const batchKeys = new Set(["tx"]);
const itemKeys = new Set(["payload", "options"]);

/** Adds one run. @throws what the store answers for it. */
export async function addOne(to: Target, run: NewRun, tx?: Tx): Promise<Added> {
  const [added] = await add(to, [run], tx);
  if (added instanceof Error) throw added;
  return added!;
}

/** Checks and encodes a payload by what nodes published of the job, lifting plain JSON.
 *  @throws {InvalidPayload} {NotStorable} */
export async function encodePublished({ id, schema }: JobRecord, payload: unknown): Promise<Wire> {
  if (schema === null) return encode(payload, "payload");
  return encodeLifted(id, schema, payload, (lifted) => checkJson(schema, lifted));
}

/** As `encodePublished`, of a job that this process has: by its own schema.
 *  @throws what a refinement of the schema throws */
export async function encodeNatural({ id, schema, jsonSchema }: JobSpec, payload: unknown): Promise<Wire> {
  return encodeLifted(id, jsonSchema, payload, async (lifted) => (await check(schema, lifted)).issues ?? []);
}

async function encodeLifted(
  id: string,
  schema: string | null,
  payload: unknown,
  complaints: (lifted: unknown) => Promise<readonly Issue[]>,
): Promise<Wire> {
  const lifted = schema === null ? payload : lift(JSON.parse(schema) as JsonSchema, payload);
  const wire = encode(lifted, "payload"); // first: what follows may read JSON alone
  const issues = await complaints(lifted);
  if (issues.length > 0) throw new InvalidPayload(id, issues);
  return wire;
}

/** A payload for a run that is there. A job that no node has published yet can't check it here; the attempt will.
 *  @throws {InvalidPayload} {NotStorable} */
export async function inputFor(to: Target, job: string, payload: unknown): Promise<Wire> {
  try {
    return await encodePublished(await published(to, job), payload);
  } catch (error) {
    if (error instanceof JobNotFound) return encode(payload, "payload");
    throw error;
  }
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
  throw new JobNotFound(shown(id), [...jobs.keys()], near(shown(id), [...jobs.keys()]));
}
