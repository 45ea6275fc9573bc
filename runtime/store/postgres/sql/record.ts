/** What lists of records select, and how their rows are read. */
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

/** What live and finished runs r in lanes l have in common. */
function columnsOf({ schema: s, epoch }: Part) {
  const node = (column: string) => `(select n.${column} from ${s}.names n where n.id = r.node)`;
  return {
    ...{
      id: "r.id",
      job: "l.job",
      queue: "l.queue",
      priority: "l.priority",
      key: "r.key",
      input: ["r.input", "r.meta"] as const,
    },
    ...{ dueAt: epoch("r.due_at"), createdAt: epoch("r.created_at"), startedAt: epoch("r.started_at") },
    ...{ attempt: "r.attempt", crashes: "r.crashes", token: "r.token", tags: "to_json(r.tags)::text" },
    ...{
      progress: "r.progress",
      options: "r.options",
      replayOf: "r.replay_of",
      node: node("name"),
      version: node("version"),
    },
  };
}

/** The columns of a live run r in lane l. */
export function liveColumns(part: Part): string {
  return run.select({
    ...columnsOf(part),
    ...{ status: liveStatus(part, "r"), reason: "null", canceling: "r.ask is not null" },
    ...{
      expiresAt: part.epoch("r.expires_at"),
      finishedAt: "null",
      result: ["null", "null"],
      error: "null",
      note: "null",
    },
  });
}

/** The same of a finished run. */
export function pastColumns(part: Part): string {
  return run.select({
    ...columnsOf(part),
    ...{ status: finalStatus("r.status"), reason: "r.reason", canceling: "false" },
    ...{ expiresAt: "null::float8", finishedAt: part.epoch("r.finished_at"), error: "r.error", note: "r.note" },
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
export function attemptColumns({ schema: s, epoch }: Part): string {
  return attempt.select({
    ...{ id: "a.id", run: "a.run", token: "a.token", n: "a.n", job: "l.job", outcome: "a.outcome", error: "a.error" },
    ...{ startedAt: epoch("a.started_at"), endedAt: epoch("a.ended_at"), retryAt: epoch("a.retry_at") },
    node: `(select n.name from ${s}.names n where n.id = a.node)`,
  });
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

export function logColumns({ epoch }: Part): string {
  const same = { id: "id", run: "run", attempt: "attempt", level: "level", message: "message", data: "data" };
  return log.select({ ...same, at: epoch("at") });
}

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
