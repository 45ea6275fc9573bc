import { hookQueue } from "../../../sdk/port/option.ts";
import type { Fence, Line, Note, Outcome, Runs, Settled, Settlement } from "../port.ts";
import { batch } from "./batch.ts";
import { claims, type Parts } from "./claim.ts";
import type { Listener } from "./listen.ts";
import { numbers, type Pool, type Row, texts } from "./pool.ts";
import { fence, found, over } from "./sql/end.ts";
import { bitsOf, statusNumber } from "./sql/status.ts";
import type { Statements } from "./sql.ts";
import { sweeper } from "./sweep.ts";

/** The runs of the Postgres store. */
export function runs(parts: Parts, listener: Listener): Omit<Runs, "add"> {
  const { pool, sql } = parts;
  const settle = batch((items: readonly Settlement[]) => settleAll(parts, items), {
    ...{ size: 1000, bytes: 4 * 1024 * 1024 },
    weigh: ({ outcome }) => (outcome.to === "completed" ? (outcome.result?.json.length ?? 0) : 0),
  });
  const note = batch((items: readonly Note[]) => noteAll(parts, items), { size: 1000 });
  return {
    ...claims(parts, listener),
    settle,
    async hold(node, started) {
      if (started.length === 0) return [];
      const values = [node, ...fencesOf(started), numbers(started.map((run) => run.startedMs))];
      const ours = fence.all(await pool.rows("tasker_hold", sql.hold, values));
      const kept = new Set(ours.map(({ id, token }) => `${id} ${token}`));
      return started.filter(({ id, token }) => !kept.has(`${id} ${token}`));
    },
    sweep: sweeper(pool, sql),
    async note(notes) {
      if (notes.length === 0) return [];
      const kept = await note(notes);
      return notes.filter((_, i) => !kept[i]).map(({ id, token }) => ({ id, token }));
    },
  };
}

function fencesOf(list: readonly Fence[]): readonly [string, string] {
  return [numbers(list.map((run) => run.id)), numbers(list.map((run) => run.token))];
}

function jsonOf(value: object | null): string | null {
  return value && JSON.stringify(value);
}

/** The outcome after a cancel came first; it keeps the error. */
function canceledBy(outcome: Settlement["outcome"]): Outcome {
  return { to: "canceled", reason: "user", error: "error" in outcome ? outcome.error : null };
}

/** Returns whether each note was stored. */
async function noteAll({ pool, sql }: Parts, notes: readonly Note[]): Promise<readonly boolean[]> {
  const progress = notes.map(({ progress }) => (progress ? JSON.stringify(progress) : null));
  const lines = notes.map(({ lines }) => (lines && lines.length > 0 ? JSON.stringify(lines.map(lineOf)) : null));
  const rows = await pool.rows("tasker_note", sql.note, [...fencesOf(notes), texts(progress), texts(lines)]);
  const kept = new Set(rows.map((row) => Number(row[0])));
  return notes.map((_, i) => kept.has(i + 1));
}

function lineOf({ attempt, at, level, message, data }: Line): object {
  return { attempt, at: at.getTime(), level, message, data };
}

/** Settlements by the statement that they take: completed ones without a hook for that the short one, other finals the long one. */
function sorted(items: readonly Settlement[]) {
  const parts = { short: [], long: [], back: [], free: [] } as Record<"short" | "long" | "back" | "free", Settlement[]>;
  for (const item of items) parts[statementOf(item)].push(item);
  return parts;
}

function statementOf({ outcome, hooks }: Settlement): "short" | "long" | "back" | "free" {
  if (outcome.to === "pending") return "back";
  if (outcome.to === "released") return "free";
  return outcome.to === "completed" && outcome.reason === null && !hooks.includes("success") ? "short" : "long";
}

/** Settles leases. It has no loop of its own: V8 would optimize it whole, with all that it calls, which takes tens of ms each time. */
async function settleAll(parts: Parts, items: readonly Settlement[]): Promise<readonly Settled[]> {
  const { pool, sql } = parts;
  const { short, long, back, free } = sorted(items);
  const done: Done = new Map();
  if (short.length > 0) await ended(parts, done, await pool.rows("tasker_complete", sql.complete, endColumns(short)));
  if (long.length > 0) await finish(parts, done, long);
  const freed = [
    ...(back.length > 0 ? await pool.rows("tasker_retry", sql.retry, retryColumns(back)) : []),
    ...(free.length > 0 ? await pool.rows("tasker_release", sql.release, fencesOf(free)) : []),
  ];
  freed.forEach((row) => done.set(Number(row[0]), "settled"));
  const missed = items.filter((item) => !done.has(item.id));
  if (missed.length > 0) await explainMissed(parts, done, missed);
  return items.map((item) => done.get(item.id) ?? "lost");
}

type Done = Map<number, Settled>;

async function finish(parts: Parts, done: Done, items: readonly Settlement[]): Promise<void> {
  const { pool, sql, lanes } = parts;
  const hooked = items.filter((item) => item.hooks.length > 0);
  if (hooked.length > 0) await lanes.ensure(hooked.map((item) => ({ queue: hookQueue, job: item.job, priority: 5 })));
  const values = [...endColumns(items), ...finishColumns(items)];
  await ended(parts, done, await pool.rows("tasker_finish", sql.finish, values));
}

/** Notes what was written, and notifies those who wait for these runs. */
async function ended({ pool, sql }: Parts, done: Done, rows: readonly Row[]): Promise<void> {
  const runs = over.all(rows);
  runs.forEach(({ id, canceled }) => done.set(id, canceled ? "canceled" : "settled"));
  const watched = runs.filter((run) => run.watched).map(({ id }) => id);
  await tell(pool, sql, "w", watched).catch(() => undefined); // waiters also poll
}

/** Notifies those who wait for these runs (`w`), or nodes that have commands (`c`). */
export async function tell(pool: Pool, sql: Statements, kind: "w" | "c", ids: readonly number[]): Promise<void> {
  if (ids.length > 0) await pool.rows("tasker_tell", sql.tell, [`${kind}${ids.slice(0, 400).join(",")}`]);
}

function endColumns(items: readonly Settlement[]): readonly string[] {
  const result = (outcome: Settlement["outcome"]) => (outcome.to === "completed" ? outcome.result : null);
  return [
    ...fencesOf(items),
    numbers(items.map((item) => item.startedMs)),
    texts(items.map((item) => result(item.outcome)?.json ?? null)),
    texts(items.map((item) => result(item.outcome)?.meta ?? null)),
  ];
}

function finishColumns(items: readonly Settlement[]): readonly string[] {
  const outcomes = items.map((item) => item.outcome as Exclude<Outcome, { to: "pending" }>);
  return [
    numbers(outcomes.map((outcome) => statusNumber[outcome.to])),
    texts(outcomes.map((outcome) => outcome.reason)),
    texts(outcomes.map((outcome) => ("error" in outcome ? jsonOf(outcome.error) : null))),
    texts(outcomes.map((outcome) => ("note" in outcome ? outcome.note : null))),
    numbers(items.map((item) => bitsOf(item.hooks))),
  ];
}

function retryColumns(items: readonly Settlement[]): readonly string[] {
  const outcomes = items.map((item) => item.outcome as Extract<Outcome, { to: "pending" }>);
  return [
    ...fencesOf(items),
    numbers(items.map((item) => item.startedMs)),
    numbers(outcomes.map((outcome) => outcome.delayMs)),
    numbers(outcomes.map((outcome) => (outcome.spent ? 1 : 0))),
    texts(outcomes.map((outcome) => outcome.outcome)),
    texts(outcomes.map((outcome) => jsonOf(outcome.error))),
  ];
}

/** Explains settlements that wrote nothing: repeated ones, those that a cancel overtook, and those that lost their lease. */
async function explainMissed(parts: Parts, done: Done, missed: readonly Settlement[]): Promise<void> {
  const rows = await parts.pool.rows("tasker_settled", parts.sql.settled, fencesOf(missed));
  const byId = new Map(found.all(rows).map((run) => [run.id, run]));
  const overtaken: Settlement[] = [];
  for (const item of missed) {
    const { to } = item.outcome;
    const run = byId.get(item.id);
    if (run?.settled) done.set(item.id, run.canceled && to !== "canceled" ? "canceled" : "settled");
    else if (run?.asked) overtaken.push({ ...item, outcome: canceledBy(item.outcome) });
    else if (run?.pending && to === "released") done.set(item.id, "settled");
  }
  if (overtaken.length === 0) return;
  await finish(parts, done, overtaken);
  for (const item of overtaken) if (done.has(item.id)) done.set(item.id, "canceled");
}
