import { decode } from "../port/codec.ts";
import { formatId, scheduleId } from "../port/id.ts";
import type { Priority } from "../port/option.ts";
import type { Reason, Status } from "../port/status.ts";
import type { HookKind, Progress, RunRecord } from "../port/target.ts";
import type { ErrorRecord } from "../port/text.ts";

/** A run as it was when it was read. Instants are the store's. */
export interface Run<Result = unknown> {
  /** `run_…` */
  readonly id: string;
  /** The job's id. */
  readonly job: string;
  readonly queue: string;
  /** 0–9, higher first. */
  readonly priority: Priority;
  readonly status: Status;
  /** Why it has its status, such as `timeout` of a failed one; null where the status says it all. */
  readonly reason: Reason | null;
  /** True while a cancel waits for the node that runs it. */
  readonly canceling: boolean;
  /** When it is to start, or was. */
  readonly dueAt: Date;
  readonly createdAt: Date;
  /** When it fails as `expired` unless it has started; null: never. */
  readonly expiresAt: Date | null;
  /** Start and end of the latest attempt, where known. */
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
  /** The name of the node that has it, or had it last; null before. */
  readonly node: string | null;
  /** Attempts begun and ended; the running one counts once it has ended. */
  readonly attempt: number;
  /** How often a node died while it held the run. */
  readonly crashes: number;
  /** The job's own and those of the trigger. */
  readonly tags: readonly string[];
  /** The idempotency key that it was triggered with. */
  readonly key: string | null;
  /** What was triggered, before the schema: decoded when it is read. */
  readonly payload: unknown;
  /** Undefined unless completed: decoded when it is read. */
  readonly result: Result | undefined;
  /** The error that it ended with; null while it is live. Those of earlier attempts are records of their own. */
  readonly error: ErrorRecord | null;
  /** The latest that the handler reported. */
  readonly progress: Progress | null;
  /** What `ctx.skip` was given. */
  readonly note: string | null;
  /** Version of the code that its latest attempt ran on: `defineConfig({ version })`; under `tasker dev` that of the save. */
  readonly version: string | null;
  /** The run whose input this one repeats. */
  readonly replayOf: string | null;
  /** Set on a run that executes a hook of the run `of`. */
  readonly hook: { readonly kind: HookKind; readonly of: string } | null;
  /** Set on a run that a schedule made: `job@key`, and the tick that it stands for. */
  readonly schedule: { readonly id: string; readonly tick: Date } | null;
}

/** A stored run as people see it, but for payload and result. */
export function viewOf(record: RunRecord): Omit<Run, "payload" | "result"> {
  const { id, token: _token, input: _input, result: _result, options, replayOf, ...same } = record;
  const { hook, schedule } = options ?? {};
  return {
    id: formatId(id),
    ...same,
    priority: same.priority as Priority, // it was checked when it was added
    replayOf: replayOf === null ? null : formatId(replayOf),
    hook: hook ? { kind: hook.kind, of: formatId(hook.of) } : null,
    schedule: schedule ? { id: scheduleId({ job: same.job, key: schedule.key }), tick: new Date(schedule.tick) } : null,
  };
}

/** The public view of a stored run. */
export function toRun<Result = unknown>(record: RunRecord): Run<Result> {
  const { input, result } = record;
  return {
    ...viewOf(record),
    get payload() {
      return decode(input);
    },
    get result() {
      return resultOf<Result>(result);
    },
  };
}

/** A stored result, decoded; undefined where none was stored. */
export function resultOf<Result>(result: RunRecord["result"]): Result | undefined {
  return result === null ? undefined : (decode(result) as Result); // the handler's type: it was encoded from that value
}
