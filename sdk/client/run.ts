import { decode } from "../port/codec.ts";
import { formatId, scheduleId } from "../port/id.ts";
import type { Priority } from "../port/option.ts";
import type { HookKind, RunRecord } from "../port/target.ts";

/** Of a run what only stores use, or see otherwise. */
type Stored = "id" | "priority" | "token" | "input" | "result" | "options" | "replayOf";

/** A run as it was when it was read. Instants are the store's. */
export interface Run<Result = unknown> extends Omit<RunRecord, Stored> {
  /** `run_…` */
  readonly id: string;
  /** 0–9, higher first. */
  readonly priority: Priority;
  /** What was triggered, before the schema: decoded when it is read. */
  readonly payload: unknown;
  /** Undefined unless completed: decoded when it is read. */
  readonly result: Result | undefined;
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
