/** Columns of records. */
import type { Reason, Status } from "../../../../sdk/port/status.ts";
import type { AttemptRecord, LogRecord, Progress, RunOptions } from "../../../../sdk/port/target.ts";
import type { ErrorRecord } from "../../../../sdk/port/text.ts";
import type { Part } from "./part.ts";
import { date, flag, json, list, maybe, maybeWire, number, raw, shape, wire, word } from "./shape.ts";
import { finalStatus, hooksOf, liveStatus } from "./status.ts";

export const run = shape({
  id: number,
  job: word(),
  queue: word(),
  priority: number,
  status: word<Status>(),
  reason: raw as (text: string | null) => Reason | null,
  canceling: flag,
  dueAt: date,
  createdAt: date,
  expiresAt: maybe(date),
  startedAt: maybe(date),
  finishedAt: maybe(date),
  node: raw,
  attempt: number,
  crashes: number,
  token: number,
  tags: list<string>(),
  key: raw,
  input: wire,
  result: maybeWire,
  error: maybe(json<ErrorRecord>()),
  progress: maybe(json<Progress>()),
  options: maybe(json<RunOptions>()),
  replayOf: maybe(number),
  note: raw,
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
    canceling: "r.ask is not null",
    result: ["null", "null"],
    ...{ reason: "null", finishedAt: "null", error: "null", note: "null" },
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
  id: number,
  run: number,
  token: number,
  n: number,
  job: word(),
  node: raw,
  startedAt: maybe(date),
  endedAt: date,
  outcome: word<AttemptRecord["outcome"]>(),
  error: maybe(json<ErrorRecord>()),
  retryAt: maybe(date),
});

/** The columns of an attempt a in lane l. */
export function attemptColumns({ schema: s }: Part): string {
  return attempt.from("a", { job: "l.job", node: `(select n.name from ${s}.names n where n.id = a.node)` });
}

export const log = shape({
  id: number,
  run: number,
  attempt: number,
  at: date,
  level: word<LogRecord["level"]>(),
  message: word(),
  data: raw,
});

export const lane = shape({
  queue: word(),
  job: word(),
  priority: number,
  ready: number,
  delayed: number,
  leased: number,
});

export const rate = shape({
  queue: word(),
  job: word(),
  completed: number,
  failed: number,
  canceled: number,
  retried: number,
  waitMs: number,
  runMs: number,
});

export const node = shape({
  id: number,
  name: word(),
  startedAt: date,
  seenAt: date,
  alive: flag,
  draining: flag,
  asleep: flag,
  slots: number,
  busy: number,
  heap: number,
  jobs: list<string>(),
});

export const job = shape({
  id: word(),
  description: raw,
  queue: word(),
  priority: number,
  schema: raw,
  tags: list<string>(),
  ttlMs: maybe(number),
  hooks: (text) => hooksOf(Number(text)),
  seenAt: date,
});
