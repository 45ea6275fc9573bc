/** Runs that a workflow makes, and waits for without a slot. */
import { RunFailed, InvalidInput } from "../port/error.ts";
import { formatId } from "../port/id.ts";
import { checkKeys, checkOneOf, isList } from "../port/option.ts";
import { revive } from "../port/text.ts";
import type { NewRun } from "../port/target.ts";
import type { JobSpec } from "../define/spec.ts";
import type { BatchItem, ChildOptions, ChildResult } from "./job.ts";
import { resultOf } from "./run.ts";
import { slot, type Ends, type Failure, type Parent } from "./scope.ts";
import { prepared, settled } from "./trigger.ts";

/** `job.triggerAndWait`. */
export async function triggerAndWait<Result>(job: JobSpec, payload: unknown, options?: ChildOptions): Promise<Result> {
  const parent = parentOf(job);
  const run = prepared(job, { payload, options });
  const [end] = await adopt(parent, job, run instanceof Promise ? [await run] : [run], "throw");
  return resultOf<Result>(end!.result) as Result;
}

/** `job.batchTriggerAndWait`. */
export async function batchTriggerAndWait<Result>(
  job: JobSpec,
  items: readonly BatchItem<unknown>[],
  options: { readonly failure?: Failure | undefined } = {},
): Promise<readonly ChildResult<Result>[]> {
  const parent = parentOf(job);
  if (!isList(items)) throw new InvalidInput("a batch is not a list; write [{ payload, options }]", { path: "items" });
  checkKeys("batchTriggerAndWait", options, new Set(["failure"]));
  const failure = checkOneOf("failure", options.failure ?? "collect", ["collect", "throw", "cancel"]);
  if (items.length === 0) return [];
  const runs = await settled(items.map((item) => prepared(job, item)));
  return (await adopt(parent, job, runs, failure)).map((end) => childResult<Result>(end));
}

async function adopt(parent: Parent, job: JobSpec, runs: readonly (NewRun | Error)[], failure: Failure): Promise<Ends> {
  for (const run of runs) {
    if (run instanceof Error) throw run;
    if (run.key !== null)
      throw new InvalidInput(
        `a run of job "${job.id}" that a workflow waits for has an idempotencyKey; leave it out, for the workflow makes the run once`,
        { path: "idempotencyKey" },
      );
  }
  return parent.adopt(job.id, runs as readonly NewRun[], failure);
}

function parentOf(job: JobSpec): Parent {
  const parent = slot().parent.getStore();
  if (parent) return parent;
  throw new InvalidInput(
    `triggerAndWait of job "${job.id}" is called outside of a handler; call it in one, or use trigger() and then result()`,
  );
}

function childResult<Result>(end: Ends[number]): ChildResult<Result> {
  const run = formatId(end.id);
  if (end.status === "completed") return { ok: true, run, result: resultOf<Result>(end.result) as Result };
  return { ok: false, run, error: failureOf(end) };
}

const ofChildren = new WeakSet<object>();

/** Why a child did not complete. */
export function failureOf({ id, status, reason, error }: Ends[number]): RunFailed {
  const how = status === "canceled" ? "canceled" : "failed";
  const failure = new RunFailed(formatId(id), how, reason, error ? revive(error) : undefined);
  ofChildren.add(failure);
  return failure;
}

/** Whether an error tells of a child: how that ended is in the journal, so each replay would throw it again. */
export function isOfChild(error: unknown): boolean {
  return typeof error === "object" && error !== null && ofChildren.has(error);
}
