import { setTimeout as pause } from "node:timers/promises";
import { humanMs, type DurationText } from "../port/duration.ts";
import { RunFailed, RunNotFound, WaitTimeout } from "../port/error.ts";
import { formatId } from "../port/id.ts";
import { checkDuration } from "../port/option.ts";
import { act, outcome } from "./act.ts";
import { resultOf, toRun, type Run } from "./run.ts";
import { whyOf, type Why } from "./why.ts";
import type { Added, RunRecord, Target } from "../port/target.ts";
import { revive } from "../port/text.ts";

/** A run that was triggered. It stays bound to the store that took it. */
export interface RunHandle<Result = unknown> {
  /** `run_…` */
  readonly id: string;
  /** False: the idempotency key already had a run, and this is that one. */
  readonly created: boolean;
  /** True: that run has another payload. */
  readonly conflict: boolean;
  /** Waits for the end, without a limit unless `timeout` is given. A skipped run resolves with undefined.
   *  @throws {RunFailed} if it failed or was canceled; `cause` is the handler's error. @throws {WaitTimeout} after
   *  `timeout`: the run goes on.
   *  @throws {RunNotFound} if it was purged, or its transaction rolled back. */
  result(options?: { readonly timeout?: DurationText | undefined }): Promise<Result>;
  /** `done`: it will not start. `asked`: the node that runs it was told. Canceling twice has the effect of canceling once.
   *  @throws {WrongState} if it has completed or failed. @throws {RunNotFound} */
  cancel(): Promise<"done" | "asked">;
  /** The run as it is now; null once it is purged. */
  get(): Promise<Run<Result> | null>;
  /** Why it has not started, has not gone on, or ended as it did. @throws {RunNotFound} {NotSupported} */
  why(): Promise<Why>;
}

/** A handle on what `add` answered. */
export function toHandle<Result>(target: Target, added: Added): RunHandle<Result> {
  const { id } = added;
  return {
    id: formatId(id),
    created: added.created,
    conflict: added.conflict,
    result: async (options) => ended<Result>(await wait(target, id, options?.timeout)),
    cancel: async () => outcome(id, (await act(target, "cancel", [id]))[0], "cancel"),
    get: async () => {
      const record = await target.find.get(id);
      return record && toRun<Result>(record);
    },
    async why() {
      const answer = await whyOf(target, id);
      if (!answer) throw new RunNotFound(formatId(id));
      return answer;
    },
  };
}

function ended<Result>(record: RunRecord): Result {
  // a void result was stored as undefined
  if (record.status === "completed") return resultOf<Result>(record.result) as Result;
  const status = record.status === "canceled" ? "canceled" : "failed";
  throw new RunFailed(formatId(record.id), status, record.reason, record.error ? revive(record.error) : undefined);
}

const longestWaitMs = 30_000;

async function wait(target: Target, id: number, timeout: DurationText | undefined): Promise<RunRecord> {
  const limitMs = timeout === undefined ? Infinity : checkDuration("timeout", timeout);
  const startMs = performance.now();
  for (let round = 0; ; round++) {
    const leftMs = limitMs - (performance.now() - startMs);
    const askedMs = performance.now();
    const record = await target.find.awaited(id, Math.max(0, Math.min(leftMs, longestWaitMs)));
    if (record) return record;
    if ((await target.find.get(id)) === null) throw new RunNotFound(formatId(id));
    if (limitMs - (performance.now() - startMs) <= 0)
      throw new WaitTimeout(`the result of run "${formatId(id)}"`, humanMs(limitMs));
    // a store that answers at once instead of waiting is asked less and less often
    if (performance.now() - askedMs < 20)
      await pause(Math.min(20 * 2 ** Math.min(round, 6), 1000, Math.max(0, leftMs)));
  }
}
