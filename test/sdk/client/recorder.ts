/** A target that remembers what was added and answers from what it was given. */
import type { Wire } from "../../../sdk/port/codec.ts";
import type {
  Act,
  Added,
  Find,
  JobRecord,
  NewRun,
  Page,
  RunRecord,
  Schedules,
  Stats,
  Target,
  Tx,
} from "../../../sdk/port/target.ts";

export interface Recorder extends Target {
  /** Each call of `add`. */
  readonly adds: { readonly batch: readonly NewRun[]; readonly tx: Tx | undefined }[];
  /** Each act, as [name, ...arguments]. */
  readonly acts: unknown[][];
  opened: number;
  closed: number;
  open(): Promise<void>;
}

/** What the recorder answers; by default it takes all runs (ids count from 1) and knows none. */
export interface Answers {
  readonly add?: (run: NewRun, id: number) => Added | Error;
  readonly find?: Partial<Find>;
  readonly schedules?: Partial<Schedules>;
  readonly act?: Act;
  readonly purged?: readonly number[];
  readonly open?: () => Promise<void>;
}

export function recorder(answers: Answers = {}): Recorder {
  const adds: Recorder["adds"] = [];
  const acts: unknown[][] = [];
  const purged = [...(answers.purged ?? [])];
  let last = 0;
  const take = answers.add ?? ((_run: NewRun, id: number) => ({ id, created: true, conflict: false }));
  const act = async (...call: unknown[]): Promise<Act> => {
    acts.push(call);
    return answers.act ?? { id: 1, done: "done", status: "pending" };
  };
  const target: Recorder = {
    adds,
    acts,
    opened: 0,
    closed: 0,
    add: async (batch, tx) => {
      adds.push({ batch, tx });
      return batch.map((run) => take(run, ++last));
    },
    find: { ...emptyFind, ...answers.find },
    schedules: { ...emptySchedules, ...answers.schedules },
    desk: {
      cancel: async (ids) => [await act("cancel", ids)],
      revive: async (ids, from) => [await act("revive", ids, from)],
      edit: (id, edit) => act("edit", id, edit),
      pause: async (queue, paused) => (await act("pause", queue, paused), 0),
      purge: async (filter, limit) => {
        acts.push(["purge", filter, limit]);
        return purged.shift() ?? 0;
      },
    },
    flow: {
      send: async (batch) => batch.map(() => ({ id: 1, done: "sent" })),
      read: async () => [],
      mend: (run, entries, last, pin) => act("mend", run, entries, last, pin),
    },
    feed: {
      watch: async () => ({ cursor: "0", nowMs: Date.now(), dead: [] }),
      read: async (cursor) => ({ lines: [], cursor }),
    },
    open: async () => {
      target.opened++;
      await answers.open?.();
    },
    close: async () => void target.closed++,
  };
  return target;
}

const none: Page<never> = { items: [], next: null, complete: true };
export const noStats: Stats = {
  ...{ at: new Date(0), queues: [], lanes: [], rates: [], windowMs: 60_000, nodes: [] },
};
const emptyFind: Find = {
  get: async () => null,
  list: async () => none,
  attempts: async () => none,
  logs: async () => none,
  stats: async () => noStats,
  jobs: async () => [],
  series: async () => [],
  facts: async () => null,
  awaited: async () => null,
};
const emptySchedules: Schedules = {
  put: async (batch) => batch.map(() => new Error("the recorder keeps no schedules")),
  list: async () => ({ ...none, at: new Date() }),
  pause: async () => null,
  remove: async () => false,
};

/** A pending run, number 1, of job `job`. */
export function aRecord(overrides: Partial<RunRecord> = {}): RunRecord {
  return {
    id: 1,
    job: "job",
    queue: "default",
    priority: 0,
    status: "pending",
    reason: null,
    canceling: false,
    dueAt: new Date(0),
    createdAt: new Date(0),
    expiresAt: null,
    startedAt: null,
    finishedAt: null,
    node: null,
    attempt: 0,
    crashes: 0,
    token: 0,
    tags: [],
    key: null,
    input: wire("null"),
    result: null,
    error: null,
    note: null,
    version: null,
    progress: null,
    options: null,
    replayOf: null,
    ...overrides,
  };
}

/** What a node publishes of a job that has no JSON Schema. */
export function aJobRecord(overrides: Partial<JobRecord> = {}): JobRecord {
  const plain = { description: null, queue: "default", priority: 0, schema: null, tags: [], ttlMs: null, hooks: [] };
  return { id: "job", ...plain, attempts: null, seenAt: new Date(0), ...overrides };
}

function wire(json: string): Wire {
  return { json, meta: null };
}
