/** Columns of records. */
import type { Reason, Status } from "../../../../sdk/port/status.ts";
import type { AttemptRecord, LogRecord, Progress, RunOptions } from "../../../../sdk/port/target.ts";
import type { ErrorRecord } from "../../../../sdk/port/text.ts";
import type { Part } from "./part.ts";
import { date, each, flag, json, list, maybe, maybeWire, number, raw, shape, wire, word } from "./shape.ts";
import { finalStatus, hooksOf, liveStatus, waiting, waitReason } from "./status.ts";

export const run = shape({
  ...each(number, "id", "priority", "attempt", "crashes", "token"),
  ...each(word(), "job", "queue"),
  ...each(raw, "node", "key", "note"),
  ...each(date, "dueAt", "createdAt"),
  ...each(maybe(date), "expiresAt", "startedAt", "finishedAt"),
  status: word<Status>(),
  reason: raw as (text: string | null) => Reason | null,
  canceling: flag,
  tags: list<string>(),
  input: wire,
  result: maybeWire,
  error: maybe(json<ErrorRecord>()),
  progress: maybe(json<Progress>()),
  options: maybe(json<RunOptions>()),
  replayOf: maybe(number),
  version: (text) => text || null,
});

/** Common columns of live and finished runs r in lanes l. */
function columnsOf({ schema: s }: Part) {
  const node = (column: string) => `(select n.${column} from ${s}.names n where n.id = r.node)`;
  const input = ["r.input", "r.meta"] as const;
  return {
    job: "l.job",
    queue: "l.queue",
    priority: "l.priority",
    input,
    node: node("name"),
    version: node("version"),
  };
}

/** The columns of a live run r in lane l. */
export function liveColumns(part: Part): string {
  return run.from("r", {
    ...columnsOf(part),
    status: liveStatus(part, "r"),
    reason: `case when ${waiting(part, "r")} then ${waitReason("r.waits")} end`,
    canceling: "r.ask is not null",
    result: ["null", "null"],
    ...{ finishedAt: "null", error: "null", note: "null" },
  });
}

/** The columns of a finished run r in lane l. */
export function pastColumns(part: Part): string {
  return run.from("r", {
    ...columnsOf(part),
    status: finalStatus("r.status"),
    canceling: "false",
    expiresAt: "null::float8",
    result: ["r.result", "r.result_meta"],
  });
}

export const attempt = shape({
  ...each(number, "id", "run", "token", "n"),
  ...each(maybe(date), "startedAt", "retryAt"),
  job: word(),
  node: raw,
  endedAt: date,
  outcome: word<AttemptRecord["outcome"]>(),
  error: maybe(json<ErrorRecord>()),
});

/** The columns of an attempt a in lane l. */
export function attemptColumns({ schema: s }: Part): string {
  return attempt.from("a", { job: "l.job", node: `(select n.name from ${s}.names n where n.id = a.node)` });
}

export const log = shape({
  ...each(number, "id", "run", "attempt"),
  at: date,
  level: word<LogRecord["level"]>(),
  message: word(),
  data: raw,
});

export const lane = shape({
  ...each(word(), "queue", "job"),
  ...each(number, "priority", "ready", "delayed", "leased"),
  readyAt: maybe(date),
});

export const rate = shape({
  ...each(word(), "queue", "job"),
  ...each(number, "completed", "failed", "canceled", "retried", "waitMs", "runMs"),
});

export const node = shape({
  ...each(number, "id", "slots", "busy", "heap"),
  name: word(),
  ...each(date, "startedAt", "seenAt"),
  ...each(flag, "alive", "draining", "asleep"),
  jobs: list<string>(),
});

export const job = shape({
  ...each(word(), "id", "queue"),
  ...each(raw, "description", "schema"),
  priority: number,
  tags: list<string>(),
  ttlMs: maybe(number),
  hooks: (text) => hooksOf(Number(text)),
  attempts: maybe(number),
  seenAt: date,
});
