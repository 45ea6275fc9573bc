/** The journal of a workflow as people and programs read it: what it did and waits for, in the order in which that began. */
import { natural } from "../port/codec.ts";
import { keyOf, type Entry, type EntryKind } from "../port/flow.ts";
import { formatId } from "../port/id.ts";
import { notesOf, type Notes } from "../port/note.ts";
import { isFinal, type Reason, type Status } from "../port/status.ts";
import type { AttemptRecord, Find, RunRecord } from "../port/target.ts";
import type { ErrorRecord } from "../port/text.ts";

/** Runs that a workflow made, by number, as far as they were looked at. */
export type Children = ReadonlyMap<number, Pick<RunRecord, "status" | "reason">>;

/** A step, a sleep, a wait, a call of other jobs, or a signal that came. */
export interface Stage {
  readonly kind: "step" | "sleep" | "wait" | "child" | "signal";
  /** With its number, where the name was used before: `charge#2`. */
  readonly name: string;
  /** `abandoned`: the run ended before it did. `passed by`: the schema of a wait refused the signal. */
  readonly status:
    ("completed" | "failed" | "retrying" | "waiting" | "timed out" | "abandoned") | ("received" | "passed by");
  /** Of a step. */
  readonly tries: number | null;
  readonly at: Date;
  /** Of a step: its last try. */
  readonly tookMs: number | null;
  /** Until when it waits, at most. */
  readonly until: Date | null;
  /** What a step came to, or what was sent: natural JSON. */
  readonly value: unknown;
  readonly error: ErrorRecord | null;
  /** Where the code asked for it. */
  readonly place: string | null;
  /** Who sent it. */
  readonly by: string | null;
  /** What it made; `status` is null where it was not looked at. */
  readonly runs: readonly { readonly id: string; readonly status: Status | null; readonly reason: Reason | null }[];
}

/** What a stage is made from, beside its own entries. */
interface Known {
  /** When the run ended; null: it is live. */
  readonly endMs: number | null;
  readonly nowMs: number;
  readonly runs: Children;
  /** When each wait got what it waited for. */
  readonly taken: ReadonlyMap<Entry, number>;
  /** When the last run of each call ended. */
  readonly ends: ReadonlyMap<string, number>;
}

/** The stages of a journal. Which signal a wait took is told by their order, for a `match` is not known here. */
export function timelineOf(
  { status, finishedAt }: Pick<RunRecord, "status" | "finishedAt">,
  entries: readonly Entry[],
  live: Children = new Map(),
  now: Date = new Date(),
): readonly Stage[] {
  const calls = new Map<string, Entry[]>();
  const runs = new Map(live);
  const ends = new Map<string, number>();
  const counts = new Map<string, number>();
  for (const entry of entries) {
    const { run, status, reason = null } = notesOf(entry);
    const { kind, key } = entry;
    if (run !== undefined) {
      runs.set(run, { status: status ?? "failed", reason });
      ends.set(key, entry.atMs);
      continue;
    }
    const count = (counts.get(key) ?? 0) + 1;
    if (kind === "mail") counts.set(key, count);
    const name = kind === "mail" ? keyOf(key, count) : key;
    const call = `${groupOf[kind]} ${name}`;
    calls.set(call, [...(calls.get(call) ?? []), entry]);
  }
  const endMs = isFinal(status) ? (finishedAt ?? now).getTime() : null;
  const passed = new Set([...calls.values()].flatMap((each) => (each.at(-1)!.kind === "passed" ? each : [])));
  const taken = takenBy(entries.filter((entry) => !passed.has(entry)));
  const known = { endMs, nowMs: now.getTime(), runs, taken, ends };
  return [...calls.values()].map((each) => stageOf(each, known)).sort((a, b) => a.at.getTime() - b.at.getTime());
}

/** When a workflow started first, as far as that is known; null for a run without stages. The record tells the start of its latest attempt alone. */
export function beganAt(
  { startedAt, createdAt }: Pick<RunRecord, "startedAt" | "createdAt">,
  stages: readonly Stage[],
  attempts: readonly Pick<AttemptRecord, "startedAt">[],
): Date | null {
  if (stages.length === 0) return null;
  const own = stages.find(({ at }) => at.getTime() >= createdAt.getTime() - 1); // earlier ones are of the run that it replays
  const starts = [startedAt, own?.at ?? null, ...attempts.map((attempt) => attempt.startedAt)];
  return starts.reduce((first, at) => (at && (!first || at < first) ? at : first), null);
}

/** What entries of a kind are of. */
const groupOf: Readonly<Record<EntryKind, string>> = {
  ...{ step: "step", failed: "step", retry: "step" },
  ...{ sleep: "sleep", wait: "wait", child: "child", mail: "mail", passed: "mail" },
};

/** Gives each signal to the first wait of its name that is open when it comes, or that begins later. */
function takenBy(entries: readonly Entry[]): ReadonlyMap<Entry, number> {
  const taken = new Map<Entry, number>();
  let waits: readonly Entry[] = [];
  let mails: readonly Entry[] = [];
  for (const entry of entries) {
    const { run, for: name = entry.key } = notesOf(entry);
    if (run !== undefined || (entry.kind !== "wait" && entry.kind !== "mail")) continue;
    const isWait = entry.kind === "wait";
    const other = isWait
      ? mails.find(({ key }) => key === name)
      : waits.find((wait) => nameOf(wait) === entry.key && (notesOf(wait).until ?? Infinity) > entry.atMs);
    if (other) taken.set(isWait ? entry : other, entry.atMs);
    waits = isWait && !other ? [...waits, entry] : waits.filter((wait) => wait !== other);
    mails = isWait || other ? mails.filter((mail) => mail !== other) : [...mails, entry];
  }
  return taken;
}

function nameOf(wait: Entry): string {
  return notesOf(wait).for ?? wait.key;
}

function stageOf(entries: readonly Entry[], known: Known): Stage {
  const [first, last] = [entries[0]!, entries.at(-1)!];
  const notes = notesOf(last);
  const base = {
    ...{ name: first.key, at: new Date(first.atMs), tries: null, tookMs: null, value: null, error: null, runs: [] },
    ...{ until: notes.until ? new Date(notes.until) : null, place: notes.at ?? null, by: notes.by ?? null },
  };
  switch (last.kind) {
    case "step":
    case "failed":
    case "retry":
      return { ...base, kind: "step", ...stepped(first, last, notes, known) };
    case "sleep":
      return { ...base, kind: "sleep", ...waited(last, notes, null, known) };
    case "wait":
      return { ...base, kind: "wait", ...waited(last, notes, known.taken.get(last) ?? null, known) };
    case "child":
      return { ...base, kind: "child", ...adopted(entries, known) };
    case "mail":
    case "passed": {
      const { by = null } = notesOf(first);
      const status = last.kind === "mail" ? "received" : "passed by";
      return {
        ...base,
        kind: "signal",
        status,
        by,
        value: first.value && natural(first.value),
        error: notes.error ?? null,
      };
    }
    default:
      return last.kind satisfies never;
  }
}

function stepped(
  first: Entry,
  { kind, value, atMs }: Entry,
  notes: Notes,
  { endMs }: Known,
): Partial<Stage> & Pick<Stage, "status"> {
  const { tries = 0, took = null, error = null } = notes;
  const failing = kind === "failed" ? "failed" : endMs === null ? "retrying" : "abandoned";
  return {
    status: kind === "step" ? "completed" : failing,
    tries: kind === "step" ? tries + 1 : tries, // its notes count the tries that failed
    at: new Date(notesOf(first).began ?? atMs),
    tookMs: took,
    value: kind === "step" && value ? natural(value) : null,
    error,
  };
}

function waited(
  { kind, atMs }: Entry,
  { until }: Notes,
  takenMs: number | null,
  known: Known,
): Pick<Stage, "status" | "tookMs"> {
  const { endMs, nowMs } = known;
  if (takenMs !== null) return { status: "completed", tookMs: takenMs - atMs };
  if (until && until <= (endMs ?? nowMs))
    return { status: kind === "sleep" ? "completed" : "timed out", tookMs: Math.max(0, until - atMs) };
  return endMs === null ? { status: "waiting", tookMs: null } : { status: "abandoned", tookMs: endMs - atMs };
}

function adopted(entries: readonly Entry[], { runs, ends, endMs }: Known): Pick<Stage, "status" | "tookMs" | "runs"> {
  const made = entries.flatMap((entry) => entry.runs ?? []);
  const children = made.map((id) => {
    const { status = null, reason = null } = runs.get(id) ?? {};
    return { id: formatId(id), status, reason };
  });
  const isOver = children.every(({ status }) => status !== null && isFinal(status));
  const isGood = children.every(({ status }) => status === "completed");
  const lastMs = ends.get(entries[0]!.key) ?? null;
  return {
    status: isOver ? (isGood ? "completed" : "failed") : endMs === null ? "waiting" : "abandoned",
    tookMs: isOver && lastMs !== null ? lastMs - entries[0]!.atMs : null,
    runs: children,
  };
}

/** The runs that a workflow made and that may not have ended yet, 200 at most. */
export async function childrenOf(find: Find, entries: readonly Entry[]): Promise<Children> {
  const ended = new Set(entries.map((entry) => notesOf(entry).run));
  const ids = entries.flatMap(({ runs }) => runs ?? []).filter((id) => !ended.has(id));
  if (ids.length === 0) return new Map();
  const { items } = await find.list({ ids: ids.slice(0, 200), hooks: true }, { limit: 200 });
  return new Map(items.map((each) => [each.id, each]));
}
