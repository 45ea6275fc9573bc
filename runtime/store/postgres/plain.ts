import type { Added } from "../../../sdk/port/target.ts";
import type { Lease, LeasedFor, Taken } from "../port.ts";
import { batch } from "./batch.ts";
import { columns, columnsOf, journalText, type Numbered, wakes } from "./column.ts";
import { numbers, type Pool, texts } from "./pool.ts";
import { isolated, senderFor } from "./retry.ts";
import { leased } from "./sql/add.ts";
import type { Statements } from "./sql.ts";
import type { Send } from "./transaction.ts";

type ForNode = Numbered & { readonly claim: LeasedFor };
type Answers = Promise<readonly (Added | Error)[]>;

export type PlainAdds = ReturnType<typeof plainAdds>;

/** Adds of runs without a key. Calls in flight share a statement. */
export function plainAdds(
  pool: Pool,
  sql: Statements,
  bounds: { readonly size: number; readonly bytes: number; readonly weigh: (item: Numbered) => number },
) {
  /** Batches a write, and repeats it while the server is away. */
  const together = <T extends Numbered, A extends Added>(write: Write<T, A>) =>
    batch(
      (items: readonly T[]) =>
        isolated(items, (some, again) => write(senderFor(pool, sql, some, again), sql, some, again)),
      bounds,
    );
  return {
    add: together(addPlain),
    /** In a caller's transaction. */
    inside: (send: Send, items: readonly Numbered[]): Answers => addPlain(send, sql, items, false, true),
    /** Under a lease from the start. */
    lease: together(addLeased),
  };
}

type Write<T, A> = (
  send: Send,
  sql: Statements,
  items: readonly T[],
  again: boolean,
) => Promise<readonly (A | Error)[]>;

/** Adds runs without a key. `again`: an earlier try may have written them; `inside`: in a caller's transaction. */
export async function addPlain(
  send: Send,
  sql: Statements,
  items: readonly Numbered[],
  again: boolean,
  inside = false,
): Promise<readonly (Added | Error)[]> {
  const wake = wakes(items, inside);
  if (!again && !inside && items.length === 1 && isBare(items[0]!)) {
    const { id, lane, run } = items[0]!;
    await send("tasker_add_one", sql.addOne, [id, lane, run.delayMs, run.input.json, wake]);
  } else if (!again && items.every(isBare)) {
    const { id, lane, delay, input } = columnsOf(items);
    const values = [id(), lane(), delay(), input(), wake];
    await send("tasker_add_plain", inside ? sql.addPlainInside : sql.addPlain, values);
  } else if (items.some(({ run }) => run.journal)) {
    const journals = texts(items.map(({ run }) => (run.journal ? journalText(run.journal) : null)));
    await send("tasker_add_journal", sql.addJournal, [...columns(items), wake, journals]);
  } else {
    await send("tasker_add", inside ? sql.addInside : sql.add, [...columns(items), wake]);
  }
  return items.map((item) => ({ id: item.id, created: true, conflict: false }));
}

/** Adds runs under a lease. A repeat drops the leases that an earlier try may have written, and adds what is missing unleased. */
async function addLeased(
  send: Send,
  sql: Statements,
  items: readonly ForNode[],
  again: boolean,
): Promise<readonly (Taken | Error)[]> {
  const { node, ttlMs } = items[0]!.claim;
  if (again) {
    await send("tasker_unlease", sql.unlease, [numbers(items.map((i) => i.id)), node]);
    const answers = await addPlain(send, sql, items, true);
    return answers.map((added) => (added instanceof Error ? added : anybodys(added)));
  }
  const { id, lane, input, meta, tags, options, ttl } = columnsOf(items);
  const values = [id(), lane(), input(), meta(), tags(), options(), ttl(), node, ttlMs];
  const rows = leased.all(await send("tasker_add_leased", sql.addLeased, values));
  const { nowMs, dueMs } = rows[0]!;
  const free = new Set(rows.map((row) => row.unleased)); // null if all are leased
  return items.map((item) => {
    const lease = free.has(item.id) ? null : leaseOf(item, dueMs);
    return { id: item.id, created: true, conflict: false, nowMs, lease };
  });
}

export function anybodys(added: Added): Taken {
  return { ...added, nowMs: Number.NaN, lease: null };
}

function leaseOf({ id, run }: ForNode, dueMs: number): Lease {
  return {
    id,
    token: 1,
    job: run.job,
    queue: run.queue,
    priority: run.priority,
    dueMs,
    createdMs: dueMs,
    expiresMs: run.ttlMs === null ? null : dueMs + run.ttlMs,
    attempt: 0,
    spent: 0,
    crashes: 0,
    canceling: false,
    input: run.input,
    tags: run.tags,
    key: null,
    options: run.options,
  };
}

function isBare({ run }: Numbered): boolean {
  return (
    run.dueAt === null &&
    run.input.meta === null &&
    run.tags.length === 0 &&
    run.options === null &&
    run.ttlMs === null &&
    run.replayOf === null
  );
}
