/** Where a run stands. `running` is derived: the store writes it only for attempts that outlast a renewal. */
export const moves = {
  pending: ["leased", "canceled", "failed"], // failed: expired before it could start
  leased: ["running", "canceled", "failed", "pending"], // pending: released, or the lease expired; failed: crashed too often
  running: ["completed", "failed", "canceled", "waiting", "pending"], // pending: another attempt will follow
  waiting: ["pending", "canceled", "failed"], // pending: the sleep is over, or what it waited for came
  completed: [],
  failed: ["pending"], // only by a person's act: retry
  canceled: ["pending"], // only by a person's act: resume
} as const;

export type Status = keyof typeof moves;
/** What a run in status `S` may become. */
export type After<S extends Status> = (typeof moves)[S][number];
/** The statuses in which a run is over. */
export type Final = "completed" | "failed" | "canceled";

export const statuses = Object.keys(moves) as readonly Status[];
export const finals = ["completed", "failed", "canceled"] as const satisfies readonly Final[];

/** Why a run has its status, beside the status itself; null where the status says it all. */
export type Reason =
  | (
      | "error"
      | "timeout"
      | "crashed"
      | "expired" // failed
    )
  | (
      | "user"
      | "superseded"
      | "parent" // canceled
    )
  | "skipped" // completed
  | ("sleep" | "signal" | "child" | "parked"); // waiting
export const reasons = [
  ...(["error", "timeout", "crashed", "expired", "user", "superseded", "parent"] as const),
  ...(["skipped", "sleep", "signal", "child", "parked"] as const),
] as const satisfies readonly Reason[];

export function isFinal(status: Status): status is Final {
  return status === "completed" || status === "failed" || status === "canceled";
}
