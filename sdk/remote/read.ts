/** Documents of the HTTP API, as the records that they were made of. */
import type { Wire } from "../port/codec.ts";
import type { Entry } from "../port/flow.ts";
import { parseId } from "../port/id.ts";
import { isFinal } from "../port/status.ts";
import type {
  Act,
  AttemptRecord,
  Facts,
  JobRecord,
  LogRecord,
  NodeFact,
  NodeStat,
  RunRecord,
  ScheduleRecord,
  Stats,
} from "../port/target.ts";

/** A record in JSON: instants are texts. */
export type Sent<T> = {
  readonly [K in keyof T]: T[K] extends Date
    ? string
    : T[K] extends Date | null
      ? string | null
      : T[K] extends readonly (infer U)[]
        ? readonly Sent<U>[]
        : T[K];
};
/** With another type for some fields. */
type With<T, More> = Omit<Sent<T>, keyof More> & More;
type Valued<Name extends string> = { readonly [K in Name]?: unknown } & { readonly [K in `${Name}Meta`]?: unknown };

export type RunDoc = With<
  Omit<RunRecord, "input">,
  Valued<"payload" | "result"> & { readonly id: string; readonly replayOf: string | null }
>;
export type AttemptDoc = With<AttemptRecord, { readonly run: string }>;
export type LogDoc = With<LogRecord, { readonly run: string; readonly data: unknown }>;
export type JobDoc = With<JobRecord, { readonly schema: object | null }>;
export type StatsDoc = Sent<Stats>;
export type ActDoc = With<Act, { readonly id: string }>;
export type EntryDoc = With<
  Omit<Entry, "value" | "atMs">,
  Valued<"value"> & { readonly at: string; readonly data: object | null; readonly runs: readonly string[] | null }
>;
export type ScheduleDoc = With<
  Omit<ScheduleRecord, "input" | "fresh">,
  Valued<"payload"> & {
    readonly last: (Omit<NonNullable<ScheduleRecord["last"]>, "run"> & { readonly run: string }) | null;
  }
>;
export type FactsDoc = With<
  Facts,
  {
    readonly run: RunDoc;
    readonly seen: Sent<NonNullable<Facts["seen"]>> | null;
    readonly nodes: readonly With<NodeFact, { readonly runs: readonly string[] }>[];
  }
>;

const date = (text: string): Date => new Date(text);
const dateOr = (text: string | null): Date | null => (text === null ? null : new Date(text));

function wireOf(json: unknown, meta: unknown): Wire {
  return { json: JSON.stringify(json), meta: meta === undefined ? null : JSON.stringify(meta) };
}

/** A stored value as fields of what is sent. */
export function sentOf(field: string, { json, meta }: Wire): object {
  return {
    [field]: JSON.parse(json) as unknown,
    ...(meta !== null && { [`${field}Meta`]: JSON.parse(meta) as unknown }),
  };
}

export function runOf(doc: RunDoc): RunRecord {
  const {
    id,
    payload,
    payloadMeta,
    result,
    resultMeta,
    replayOf,
    hook: _hook,
    schedule: _schedule,
    ...same
  } = doc as RunDoc & { readonly hook?: unknown; readonly schedule?: unknown };
  const hasResult = isFinal(same.status) && (result !== null || resultMeta !== undefined);
  return {
    ...same,
    id: parseId(id),
    input: wireOf(payload, payloadMeta),
    result: hasResult ? wireOf(result, resultMeta) : null,
    replayOf: replayOf === null ? null : parseId(replayOf),
    ...{ dueAt: date(same.dueAt), createdAt: date(same.createdAt), expiresAt: dateOr(same.expiresAt) },
    ...{ startedAt: dateOr(same.startedAt), finishedAt: dateOr(same.finishedAt) },
  };
}

export function attemptOf({ run, ...same }: AttemptDoc): AttemptRecord {
  return {
    ...same,
    run: parseId(run),
    ...{ startedAt: dateOr(same.startedAt), endedAt: date(same.endedAt), retryAt: dateOr(same.retryAt) },
  };
}

export function logOf({ run, data, at, ...same }: LogDoc): LogRecord {
  return { ...same, run: parseId(run), at: date(at), data: data === null ? null : JSON.stringify(data) };
}

export function jobOf({ schema, seenAt, ...same }: JobDoc): JobRecord {
  return { ...same, schema: schema && JSON.stringify(schema), seenAt: date(seenAt) };
}

export function statsOf({ at, lanes, nodes, ...same }: StatsDoc): Stats {
  return {
    ...same,
    at: date(at),
    lanes: lanes.map((lane) => ({ ...lane, readyAt: dateOr(lane.readyAt) })),
    nodes: nodes.map((node): NodeStat => ({ ...node, startedAt: date(node.startedAt), seenAt: date(node.seenAt) })),
  };
}

export function factsOf({ at, run, leaseUntil, pausedAt, seen, nodes, ...same }: FactsDoc): Facts {
  return {
    ...same,
    ...{ at: date(at), run: runOf(run), leaseUntil: dateOr(leaseUntil), pausedAt: dateOr(pausedAt) },
    seen: seen && { ...seen, at: date(seen.at) },
    nodes: nodes.map((node) => ({
      ...node,
      ...{ seenAt: date(node.seenAt), leaseUntil: date(node.leaseUntil), runs: node.runs.map(parseId) },
    })),
  };
}

export function actOf({ id, done, status }: ActDoc): Act {
  return { id: parseId(id), done, status };
}

export function entryOf({ at, value, valueMeta, data, runs, ...same }: EntryDoc): Entry {
  const isEmpty = value === undefined && valueMeta === undefined;
  return {
    ...same,
    atMs: date(at).getTime(),
    value: isEmpty ? null : wireOf(value, valueMeta),
    data: data && JSON.stringify(data),
    runs: runs && runs.map(parseId),
  };
}

/** A schedule; its next tick was worked out by the server. */
export function scheduleOf(doc: ScheduleDoc): ScheduleRecord {
  const { id: _id, payload, payloadMeta, last, ...same } = doc as ScheduleDoc & { readonly id: string };
  return {
    ...same,
    input: wireOf(payload, payloadMeta),
    fresh: false,
    last: last && { ...last, run: parseId(last.run) },
    ...{ nextAt: dateOr(same.nextAt), lastTick: dateOr(same.lastTick) },
    ...{ createdAt: date(same.createdAt), updatedAt: date(same.updatedAt) },
  };
}
