import type { Fence, Line, Note, Outcome, Runs, Settled, Settlement } from "../port.ts";
import { batch } from "./batch.ts";
import { claims, type Parts } from "./claim.ts";
import type { Lanes } from "./lane.ts";
import type { Listener } from "./listen.ts";
import { numbers, type Pool, type Row, texts } from "./pool.ts";
import { fence, found, over } from "./sql/end.ts";
import { bitsOf, statusNumber } from "./sql/status.ts";
import type { Statements } from "./sql.ts";
import { sweeper } from "./sweep.ts";

/** The way of a run, in Postgres. */
export function runs(parts: Parts, listener: Listener): Omit<Runs, "add"> {
  const { pool, sql, lanes } = parts;
  const settle = batch((items: readonly Settlement[]) => settleAll(pool, sql, lanes, items), {
    ...{ size: 1000, bytes: 4 * 1024 * 1024 },
    weigh: ({ outcome }) => (outcome.to === "completed" ? (outcome.result?.json.length ?? 0) : 0),
  });
  const note = batch((items: readonly Note[]) => noteAll(pool, sql, items), { size: 1000 });
  return {
    ...claims(parts, listener),
    settle,
    async hold(node, started) {
      if (started.length === 0) return [];
      const rows = await pool.rows("tasker_hold", sql.hold, [
        node,
        ...fencesOf(started),
        numbers(started.map((run) => run.startedMs)),
      ]);
      const ours = new Set(fence.all(rows).map(({ id, token }) => `${id} ${token}`));
      return started.filter(({ id, token }) => !ours.has(`${id} ${token}`));
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

/** What a cancel that came first makes of an outcome: its error stays. */
function canceledBy(outcome: Settlement["outcome"]): Outcome {
  return { to: "canceled", reason: "user", error: "error" in outcome ? outcome.error : null };
}

/** Answers of each whether it was kept. */
async function noteAll(pool: Pool, sql: Statements, notes: readonly Note[]): Promise<readonly boolean[]> {
  const progress = notes.map(({ progress }) => (progress ? JSON.stringify(progress) : null));
  const lines = notes.map(({ lines }) => (lines && lines.length > 0 ? JSON.stringify(lines.map(lineOf)) : null));
  const rows = await pool.rows("tasker_note", sql.note, [...fencesOf(notes), texts(progress), texts(lines)]);
  const kept = new Set(rows.map((row) => Number(row[0])));
  return notes.map((_, i) => kept.has(i + 1));
}

function lineOf({ attempt, at, level, message, data }: Line): object {
  return { attempt, at: at.getTime(), level, message, data };
}

/** Ends leases: completed ones without a hook for that by the short statement, other finals by the long one, retries and releases by theirs. */
async function settleAll(
  pool: Pool,
  sql: Statements,
  lanes: Lanes,
  items: readonly Settlement[],
): Promise<readonly Settled[]> {
  const short: Settlement[] = [];
  const long: Settlement[] = [];
  const back: Settlement[] = [];
  const free: Settlement[] = [];
  for (const item of items) {
    const { outcome, hooks } = item;
    if (outcome.to === "pending") back.push(item);
    else if (outcome.to === "released") free.push(item);
    else if (outcome.to === "completed" && outcome.reason === null && !hooks.includes("success")) short.push(item);
    else long.push(item);
  }
  const done = new Map<number, Settled>();
  if (short.length > 0)
    await ended(pool, sql, done, await pool.rows("tasker_complete", sql.complete, endColumns(short)));
  if (long.length > 0) await finish(pool, sql, lanes, done, long);
  if (back.length > 0) {
    const rows = await pool.rows("tasker_retry", sql.retry, retryColumns(back));
    for (const row of rows) done.set(Number(row[0]), "settled");
  }
  if (free.length > 0)
    for (const row of await pool.rows("tasker_release", sql.release, fencesOf(free)))
      done.set(Number(row[0]), "settled");
  const missed = items.filter((item) => !done.has(item.id));
  if (missed.length > 0) await explainMissed(pool, sql, lanes, done, missed);
  return items.map((item) => done.get(item.id) ?? "lost");
}

async function finish(
  pool: Pool,
  sql: Statements,
  lanes: Lanes,
  done: Map<number, Settled>,
  items: readonly Settlement[],
): Promise<void> {
  const hooked = items.filter((item) => item.hooks.length > 0);
  if (hooked.length > 0) await lanes.ensure(hooked.map((item) => ({ queue: "$hooks", job: item.job, priority: 5 })));
  await ended(
    pool,
    sql,
    done,
    await pool.rows("tasker_finish", sql.finish, [...endColumns(items), ...finishColumns(items)]),
  );
}

/** Notes what was written, and tells those who wait for one of these runs. */
async function ended(pool: Pool, sql: Statements, done: Map<number, Settled>, rows: readonly Row[]): Promise<void> {
  const watched: number[] = [];
  for (const { id, canceled, watched: isWatched } of over.all(rows)) {
    done.set(id, canceled ? "canceled" : "settled");
    if (isWatched) watched.push(id);
  }
  if (watched.length > 0)
    await pool.rows("tasker_tell", sql.tell, [`w${watched.slice(0, 400).join(",")}`]).catch(() => undefined); // waiters also poll
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

/** Settlements that found nothing to write: the repeat of one whose answer was lost, a retry or release that a cancel overtook, or too late. */
async function explainMissed(
  pool: Pool,
  sql: Statements,
  lanes: Lanes,
  done: Map<number, Settled>,
  missed: readonly Settlement[],
): Promise<void> {
  const rows = await pool.rows("tasker_settled", sql.settled, fencesOf(missed));
  const byId = new Map(found.all(rows).map((run) => [run.id, run]));
  const overtaken: Settlement[] = [];
  for (const item of missed) {
    const run = byId.get(item.id);
    if (run?.status != null)
      done.set(
        item.id,
        run.status === statusNumber.canceled && item.outcome.to !== "canceled" ? "canceled" : "settled",
      );
    else if (run?.asked) overtaken.push(item);
    else if (run?.pending && (item.outcome.to === "pending" || item.outcome.to === "released"))
      done.set(item.id, "settled");
  }
  if (overtaken.length === 0) return;
  await finish(
    pool,
    sql,
    lanes,
    done,
    overtaken.map((item) => ({ ...item, outcome: canceledBy(item.outcome) })),
  );
  for (const item of overtaken) if (done.has(item.id)) done.set(item.id, "canceled");
}
