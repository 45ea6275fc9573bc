import { InvalidInput, KeyConflict } from "../../../sdk/port/error.ts";
import { formatId } from "../../../sdk/port/id.ts";
import type { Added, NewRun } from "../../../sdk/port/target.ts";
import { batch } from "./batch.ts";
import { at, type Keyed, keyedColumns, type Numbered, optionsOf, tagsOf } from "./column.ts";
import { numbers, gateOf, isBusy, type Pool, texts } from "./pool.ts";
import { isAwayOnly, isolated, outwait, patienceMs, senderFor } from "./retry.ts";
import { holder, winner } from "./sql/add.ts";
import type { Statements } from "./sql.ts";
import type { Send } from "./transaction.ts";

type Holder = ReturnType<typeof holder.read>;
type Answers = Promise<readonly (Added | Error)[]>;

export type KeyedAdds = ReturnType<typeof keyedAdds>;

/** Adds of runs with a key. Calls in flight share a statement. */
export function keyedAdds(
  pool: Pool,
  sql: Statements,
  bounds: { readonly bytes: number; readonly weigh: (item: Keyed) => number },
) {
  const turns = gateOf(1); // waits for claimed keys take one connection in all
  const claim = (items: readonly Keyed[], again: boolean): Answers =>
    addKeyed({ send: senderFor(pool, sql, items, again), sql, own: true }, items);
  const claimInTurn = async (items: readonly Keyed[]): Answers => {
    await turns.enter();
    return claim(items, true).finally(() => turns.leave());
  };
  const many = batch((items: readonly Keyed[]) => isolated(items, claim, isAwayOnly), {
    size: 500,
    width: 2,
    ...bounds,
  });
  const few = batch((items: readonly Keyed[]) => isolated(items, claimInTurn, isAwayOnly), { size: 25, ...bounds });

  /** Retries an item whose batch met a claimed key, in small batches, then alone, so that only runs with that key wait. */
  async function claimApart(item: Keyed): Promise<Added | Error> {
    const [answer] = await few([item]);
    if (!isBusy(answer)) return answer!;
    const { job, key } = item.run;
    const what = `idempotency key "${key.key}" of job "${job}" is claimed by another open transaction; repeat the call once that has ended`;
    return outwait(() => claimInTurn([item]), patienceMs, what).then(
      ([added]) => added!,
      (error: Error) => error,
    );
  }

  return {
    async add(items: readonly Keyed[]): Answers {
      const answers = await many(items);
      return Promise.all(answers.map(async (answer, i) => (isBusy(answer) ? claimApart(items[i]!) : answer)));
    },
    /** In a caller's transaction. */
    inside: (send: Send, items: readonly Keyed[]): Answers => addKeyed({ send, sql, own: false }, items),
  };
}

export function isKeyed(item: Numbered): item is Keyed {
  return item.run.key !== null;
}

/** Refuses `onConflict: "replace"` in a caller's transaction. */
export function replacesInside({ key }: NewRun): InvalidInput | null {
  if (key?.onConflict !== "replace") return null;
  return new InvalidInput(
    'onConflict "replace" would lock the waiting run until the transaction ends; leave out tx, or use "return"',
  );
}

/** `own`: not in a caller's transaction. */
interface Via {
  readonly send: Send;
  readonly sql: Statements;
  readonly own: boolean;
}

async function addKeyed(via: Via, items: readonly Keyed[]): Answers {
  const { send, sql, own } = via;
  const [name, statement] = own ? ["tasker_add_keyed_soon", sql.addKeyedSoon] : ["", sql.addKeyed];
  const rows = await send(name, statement, keyedColumns(items, !own));
  const won = new Set(winner.all(rows).map(({ run }) => run));
  const losers = items.filter((item) => !won.has(item.id));
  const lost = losers.length > 0 ? await resolveKeys(via, losers) : new Map<number, Added | Error>();
  return items.map((item) => lost.get(item.id) ?? { id: item.id, created: true, conflict: false });
}

/** Answers items whose key is held, and takes over keys that are not held any more. */
async function resolveKeys(via: Via, losers: readonly Keyed[]): Promise<Map<number, Added | Error>> {
  const answers = new Map<number, Added | Error>();
  const names = [texts(losers.map(({ run }) => run.job)), texts(losers.map(({ run }) => run.key.key))];
  const rows = await via.send("tasker_holders", via.sql.holders, names);
  const holders = new Map(holder.all(rows).map((held) => [held.place, held]));
  for (const [i, item] of losers.entries()) {
    const by = holders.get(i + 1);
    const isHeld = by && (by.live || by.kept || by.run === item.id);
    answers.set(item.id, await (isHeld ? held(via, item, by) : takeOver(via, item, by)));
  }
  return answers;
}

/** The key is held: returns its run, replaces it, or refuses. */
async function held({ send, sql }: Via, { id: own, run, lane }: Keyed, by: Holder): Promise<Added | Error> {
  const id = by.run;
  if (id === own) return { id, created: true, conflict: false }; // a repeated add that had been written
  const { key, input, delayMs, dueAt, ttlMs } = run;
  const conflict = by.hash !== "" && by.hash !== key.hash; // "": unknown
  if (key.onConflict === "error") return new KeyConflict(run.job, key.key, formatId(id));
  if (key.onConflict === "replace" && by.unstarted) {
    const values = [id, lane, delayMs, at(dueAt), input.json, input.meta, key.hash, tagsOf(run), optionsOf(run), ttlMs];
    const changed = await send("tasker_replace", sql.replace, values);
    if (changed.length > 0) return { id, created: false, conflict: false };
    const asked = await send("tasker_back", sql.back, [numbers([id])]);
    if (asked.length > 0) return { id, created: false, conflict, asked: true };
  }
  return { id, created: false, conflict };
}

/** The key is not held any more: claims it, or returns who was faster. */
async function takeOver(via: Via, item: Keyed, by: Holder | undefined): Promise<Added | Error> {
  const { send, sql, own } = via;
  if (by) {
    const [name, statement] = own ? ["tasker_take_key_soon", sql.takeKeySoon] : ["", sql.takeKey];
    const taken = await send(name, statement, [...keyedColumns([item], !own), by.rev]);
    if (taken.length > 0) return { id: item.id, created: true, conflict: false };
  }
  return (await addKeyed(via, [item]))[0]!;
}
