import { hookQueue } from "../../../sdk/port/option.ts";
import type { Fence, Outcome, Runs, Settled, Settlement } from "../port.ts";
import type { Parts } from "./claim.ts";
import { flat } from "./column.ts";
import { numbers, type Row, texts } from "./pool.ts";
import { type Post, tell } from "./post.ts";
import { found, over } from "./sql/end.ts";
import { flow } from "./sql/flow.ts";
import { posted } from "./sql/journal.ts";
import { bitsOf, statusNumber, waitNumber } from "./sql/status.ts";

interface By extends Parts {
  readonly post: Post;
  readonly wait: string;
}

export function settler(parts: Parts, post: Post): Runs["settle"] {
  const by = { ...parts, post, wait: flow(parts.sql).wait };
  return (items) => settleAll(by, items);
}

export function fencesOf(list: readonly Fence[]): readonly [string, string] {
  return [numbers(list.map((run) => run.id)), numbers(list.map((run) => run.token))];
}

function jsonOf(value: object | null): string | null {
  return value && JSON.stringify(value);
}

/** The outcome after a cancel came first; it keeps the error. */
function canceledBy(outcome: Settlement["outcome"]): Outcome {
  return { to: "canceled", reason: "user", error: "error" in outcome ? outcome.error : null };
}

/** Settlements by the statement that they take. */
function sorted(items: readonly Settlement[]) {
  const parts: Record<"short" | "long" | "waits" | "back" | "free", Settlement[]> = {
    ...{ short: [], long: [], waits: [], back: [], free: [] },
  };
  for (const item of items) parts[statementOf(item)].push(item);
  return parts;
}

/** Completed runs without a hook for that, a journal or a parent take the short one, other finals the long one. */
function statementOf({ outcome, hooks, flow }: Settlement): "short" | "long" | "waits" | "back" | "free" {
  if (outcome.to === "pending") return "back";
  if (outcome.to === "released") return "free";
  if (outcome.to === "waiting") return "waits";
  const isShort = outcome.to === "completed" && outcome.reason === null && !hooks.includes("success") && !flow;
  return isShort ? "short" : "long";
}

/** Settles leases. It has no loop of its own: V8 would optimize it whole, with all that it calls, which takes tens of ms each time. */
async function settleAll(by: By, items: readonly Settlement[]): Promise<readonly Settled[]> {
  const { pool, sql } = by;
  const { short, long, waits, back, free } = sorted(items);
  const done: Done = new Map();
  if (short.length > 0) await ended(by, done, await pool.rows("tasker_complete", sql.complete, endColumns(short)));
  if (long.length > 0) await finish(by, done, long);
  const freed = [
    ...(waits.length > 0 ? await pool.rows("tasker_wait", by.wait, waitColumns(waits.sort(byId))) : []),
    ...(back.length > 0 ? await pool.rows("tasker_retry", sql.retry, retryColumns(back)) : []),
    ...(free.length > 0 ? await pool.rows("tasker_release", sql.release, fencesOf(free)) : []),
  ];
  freed.forEach((row) => done.set(Number(row[0]), "settled"));
  const missed = items.filter((item) => !done.has(item.id));
  if (missed.length > 0) await explainMissed(by, done, missed);
  return items.map((item) => done.get(item.id) ?? "lost");
}

type Done = Map<number, Settled>;

/** The order in which runs that others send to are locked, so that statements do not deadlock. */
function byId(a: Fence, b: Fence): number {
  return a.id - b.id;
}

async function finish(by: By, done: Done, items: readonly Settlement[]): Promise<void> {
  const { pool, sql, lanes } = by;
  const hooked = items.filter((item) => item.hooks.length > 0);
  if (hooked.length > 0) await lanes.ensure(hooked.map((item) => ({ queue: hookQueue, job: item.job, priority: 5 })));
  const plain = items.filter((item) => !item.flow);
  if (plain.length > 0) await ended(by, done, await pool.rows("tasker_finish", sql.finish, finalColumns(plain)));
  const flows = items.filter((item) => item.flow).sort(byId);
  if (flows.length > 0) await finishFlows(by, done, flows);
}

/** Also notifies parents, and cancels the children of canceled runs. */
async function finishFlows(by: By, done: Done, items: readonly Settlement[]): Promise<void> {
  const { pool, sql, post } = by;
  const rows = await pool.rows("tasker_finish_flow", sql.finishFlow, finalColumns(items));
  await ended(by, done, rows);
  const canceled = items.filter(
    ({ id, outcome }) => done.has(id) && (outcome.to === "canceled" || done.get(id) === "canceled"),
  );
  await post.cancelBelow(canceled.map(({ id }) => id));
  if (rows.some((row) => posted.read(row, over.width).count > 0)) await post.deliver();
}

/** Notes what was written, and notifies those who wait for these runs. */
async function ended({ pool, sql }: By, done: Done, rows: readonly Row[]): Promise<void> {
  const runs = over.all(rows);
  runs.forEach(({ id, canceled }) => done.set(id, canceled ? "canceled" : "settled"));
  const watched = runs.filter((run) => run.watched).map(({ id }) => id);
  await tell(pool, sql, "w", watched).catch(() => undefined); // waiters also poll
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

function finalColumns(items: readonly Settlement[]): readonly string[] {
  const outcomes = items.map((item) => item.outcome as Exclude<Outcome, { to: "pending" | "waiting" }>);
  return [
    ...endColumns(items),
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

function waitColumns(items: readonly Settlement[]): readonly string[] {
  const outcomes = items.map((item) => item.outcome as Extract<Outcome, { to: "waiting" }>);
  const entries = items.map(({ entries = [] }) => (entries.length > 0 ? JSON.stringify(entries.map(flat)) : null));
  return [
    ...fencesOf(items),
    numbers(items.map((item) => item.startedMs)),
    numbers(outcomes.map((outcome) => waitNumber(outcome.reason))),
    numbers(outcomes.map((outcome) => outcome.untilMs)),
    numbers(outcomes.map((outcome) => outcome.seen)),
    numbers(outcomes.map((outcome) => outcome.wants)),
    texts(outcomes.map((outcome) => jsonOf(outcome.error))),
    texts(entries),
  ];
}

/** Explains settlements that wrote nothing: repeated ones, those that a cancel overtook, and those that lost their lease. */
async function explainMissed(by: By, done: Done, missed: readonly Settlement[]): Promise<void> {
  const rows = await by.pool.rows("tasker_settled", by.sql.settled, fencesOf(missed));
  const runs = new Map(found.all(rows).map((run) => [run.id, run]));
  const overtaken: Settlement[] = [];
  for (const item of missed) {
    const { to } = item.outcome;
    const run = runs.get(item.id);
    if (run?.settled) done.set(item.id, run.canceled && to !== "canceled" ? "canceled" : "settled");
    else if (run?.asked) overtaken.push({ ...item, outcome: canceledBy(item.outcome) });
    else if (run?.pending && (to === "released" || to === "waiting")) done.set(item.id, "settled");
  }
  if (overtaken.length === 0) return;
  await finish(by, done, overtaken);
  for (const item of overtaken) if (done.has(item.id)) done.set(item.id, "canceled");
}
