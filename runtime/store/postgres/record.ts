/** Rows, as text, into records. Each function reads the columns in the order of its statement. */
import type {
  AttemptRecord,
  JobRecord,
  LogRecord,
  NodeStat,
  Progress,
  QueueStat,
  RateStat,
  RunOptions,
  RunRecord,
} from "../../../sdk/port/target.ts";
import type { ErrorRecord } from "../../../sdk/port/text.ts";
import type { Reason, Status } from "../../../sdk/port/status.ts";
import type { Row } from "./pool.ts";
import { hooksOf } from "./sql/status.ts";

function date(text: string | null | undefined): Date | null {
  return text === null || text === undefined ? null : new Date(Number(text));
}
function json<T>(text: string | null | undefined): T | null {
  return text ? (JSON.parse(text) as T) : null; // written by this store
}

export function runOf(row: Row): RunRecord {
  return {
    id: Number(row[0]),
    job: row[1]!,
    queue: row[2]!,
    priority: Number(row[3]),
    status: row[4] as Status,
    reason: row[5] as Reason | null,
    canceling: row[6] === "t",
    dueAt: date(row[7])!,
    createdAt: date(row[8])!,
    expiresAt: date(row[9]),
    startedAt: date(row[10]),
    finishedAt: date(row[11]),
    node: row[12]!,
    attempt: Number(row[13]),
    crashes: Number(row[14]),
    token: Number(row[15]),
    tags: json<string[]>(row[16]) ?? [],
    key: row[17]!,
    input: { json: row[18]!, meta: row[19]! },
    result: row[20] ? { json: row[20], meta: row[21]! } : null,
    error: json<ErrorRecord>(row[22]),
    progress: json<Progress>(row[23]),
    options: json<RunOptions>(row[24]),
    replayOf: row[25] ? Number(row[25]) : null,
    note: row[26] ?? null,
    version: row[27] || null,
  };
}

export function attemptOf(row: Row): AttemptRecord {
  return {
    run: Number(row[1]),
    token: Number(row[2]),
    n: Number(row[3]),
    job: row[4]!,
    node: row[5]!,
    startedAt: date(row[6]),
    endedAt: date(row[7])!,
    outcome: row[8] as AttemptRecord["outcome"],
    error: json<ErrorRecord>(row[9]),
    retryAt: date(row[10]),
  };
}

export function logOf(row: Row): LogRecord {
  return {
    run: Number(row[1]),
    attempt: Number(row[2]),
    at: date(row[3])!,
    level: row[4] as LogRecord["level"],
    message: row[5]!,
    data: row[6]!,
  };
}

export function laneStatOf(row: Row): QueueStat {
  return {
    queue: row[0]!,
    job: row[1]!,
    priority: Number(row[2]),
    ready: Number(row[3]),
    delayed: Number(row[4]),
    leased: Number(row[5]),
  };
}

export function rateOf(row: Row): RateStat {
  const [completed, failed, canceled, retried, waitMs, runMs] = row.slice(2).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return { queue: row[0]!, job: row[1]!, completed, failed, canceled, retried, waitMs, runMs };
}

export function nodeOf(row: Row): NodeStat {
  return {
    id: Number(row[0]),
    name: row[1]!,
    startedAt: date(row[2])!,
    seenAt: date(row[3])!,
    alive: row[4] === "t",
    draining: row[5] === "t",
    asleep: row[6] === "t",
    slots: Number(row[7]),
    busy: Number(row[8]),
    heap: Number(row[9]),
    jobs: json<string[]>(row[10]) ?? [],
  };
}

export function jobOf(row: Row): JobRecord {
  return {
    id: row[0]!,
    description: row[1]!,
    queue: row[2]!,
    priority: Number(row[3]),
    schema: row[4]!,
    tags: json<string[]>(row[5]) ?? [],
    ttlMs: row[6] === null ? null : Number(row[6]),
    hooks: hooksOf(Number(row[7])),
    seenAt: date(row[8])!,
  };
}
