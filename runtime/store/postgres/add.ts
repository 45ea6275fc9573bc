import { InvalidInput, KeyConflict } from "../../../sdk/port/error.ts";
import { formatId } from "../../../sdk/port/id.ts";
import type { Added, NewKey, NewRun, Tx } from "../../../sdk/port/target.ts";
import type { Lease, LeasedFor, Runs, Taken } from "../port.ts";
import { attacher } from "./attach.ts";
import { batch } from "./batch.ts";
import { idBlocks, type Ids } from "./id.ts";
import type { Lanes } from "./lane.ts";
import { gateOf, isAway, isBusy, isData, numbers, type Pool, type Row, texts, unavailable } from "./pool.ts";
import type { Statements } from "./sql.ts";
import { type Send, sender } from "./transaction.ts";

interface Numbered {
  readonly id: number;
  readonly lane: number;
  readonly run: NewRun;
}
type Keyed = Numbered & { readonly run: NewRun & { readonly key: NewKey } };
type ForNode = Numbered & { readonly claim: LeasedFor };

/** How long an add is repeated while the server is away, before its caller hears of it. */
const patienceMs = 10_000;
/** What one statement takes at most; less than a block of ids, which are consecutive within a call. */
const chunk = 1000;
/** …and in bytes of input, so that large payloads are neither held in memory many times over nor one huge message. */
const chunkBytes = 4 * 1024 * 1024;
/** A notification names so many lanes at most. */
const mostNamed = 16;
const weighed = { bytes: chunkBytes, weigh: ({ run }: Numbered): number => run.input.json.length };

/** Adds runs. Unkeyed ones that are in flight together share a statement; so do keyed ones, apart from them. */
export function adder(pool: Pool, sql: Statements, lanes: Lanes): Runs["add"] {
  const ids = idBlocks(pool, sql);
  const send: Send = (name, statement, values) => pool.rows(name, statement, values);
  /** What to send adds of these on: a repeat may add what was written by the earlier try, and is over by now. */
  const sends = (items: readonly Numbered[], again: boolean): Send => {
    if (!again) return send;
    const ids = numbers(items.map(({ id }) => id));
    return (_name, statement, values) => pool.rowsThen([statement, values], [sql.undouble, [ids]]);
  };
  const plain = batch(
    (items: readonly Numbered[]) => isolated(items, (some, again) => addPlain(sends(some, again), sql, some, again)),
    { size: chunk, ...weighed },
  );
  const turns = gateOf(1); // however many wait for claimed keys, they hold one connection among them
  const claim = (items: readonly Keyed[], again: boolean) => addKeyed(sends(items, again), sql, items, true);
  const claimInTurn: typeof claim = async (items, again) => {
    await turns.enter();
    return claim(items, again).finally(() => turns.leave());
  };
  const keyed = batch((items: readonly Keyed[]) => isolated(items, claim, isAwayOnly), {
    size: 500,
    width: 2,
    ...weighed,
  });
  const few = batch((items: readonly Keyed[]) => isolated(items, (some) => claimInTurn(some, true), isAwayOnly), {
    size: 25,
    ...weighed,
  });

  async function claimKeys(items: readonly Keyed[]): Promise<readonly (Added | Error)[]> {
    const answers = await keyed(items);
    return Promise.all(answers.map(async (answer, i) => (isBusy(answer) ? claimApart(items[i]!) : answer)));
  }

  /** Of items that met a key which another open transaction claims, few at a time are written again, so that only those that
   *  want that very key wait for its end, by themselves. */
  async function claimApart(item: Keyed): Promise<Added | Error> {
    const [answer] = await few([item]);
    if (!isBusy(answer)) return answer!;
    const { job, key } = item.run;
    const what = `idempotency key "${key.key}" of job "${job}" is claimed by another open transaction; repeat the call once that has ended`;
    return outwait(() => claimInTurn([item], true), patienceMs, what).then(
      ([added]) => added!,
      (error: Error) => error,
    );
  }

  async function addChunks(runs: readonly NewRun[], tx?: Tx): Promise<readonly (Added | Error)[]> {
    const answers: (Added | Error)[] = [];
    for (const part of parts(runs)) answers.push(...(await add(part, tx)));
    return answers;
  }

  /** A name that can't be a lane was refused: each item by itself, so that only the bad one fails. */
  async function apart(runs: readonly NewRun[], error: Error, tx?: Tx): Promise<readonly (Added | Error)[]> {
    if (isAway(error)) throw error;
    if (runs.length === 1) return [error];
    const answers: (Added | Error)[] = [];
    for (const run of runs) answers.push(...(await add([run], tx)));
    return answers;
  }

  /** The common case, a single plain run whose lane is known, without a detour. */
  function addOne(run: NewRun): Promise<readonly (Added | Error)[]> | null {
    const lane = run.key === null ? lanes.numberOf(run) : undefined;
    const id = lane === undefined ? null : ids.next();
    return id === null ? null : plain([{ id, lane: lane!, run }]);
  }

  async function add(runs: readonly NewRun[], tx?: Tx): Promise<readonly (Added | Error)[]> {
    if (runs.length === 0) return [];
    if (runs.length > 1 && parts(runs).length > 1) return addChunks(runs, tx);
    const numbered = await patiently(() => number(runs, ids, lanes)).catch((error: Error) => error);
    if (numbered instanceof Error) return apart(runs, numbered, tx);
    const answers = new Array<Added | Error>(runs.length);
    const own = tx ? sender(tx) : null;
    const place = async (
      list: readonly Numbered[],
      go: (items: readonly Numbered[]) => Promise<readonly (Added | Error)[]>,
    ): Promise<void> => {
      if (list.length === 0) return;
      const added = await go(list);
      list.forEach((item, i) => (answers[item.id - numbered[0]!.id] = added[i]!));
    };
    const free = numbered.filter((item) => item.run.key === null);
    const bound = numbered.filter(isKeyed);
    if (own) {
      await place(free, (items) => addPlain(own, sql, items, false, true));
      await place(bound.filter(isReplacing), (items) => Promise.resolve(items.map(replacesInside)));
      await place(
        bound.filter((item) => !isReplacing(item)),
        (items) => addKeyed(own, sql, items as readonly Keyed[], false),
      );
    } else {
      await Promise.all([place(free, plain), place(bound, (items) => claimKeys(items as readonly Keyed[]))]);
    }
    return answers;
  }

  const leased = batch(
    (items: readonly ForNode[]) => isolated(items, (some, again) => addLeased(sends(some, again), sql, some, again)),
    { size: chunk, ...weighed },
  );
  async function addForNode(runs: readonly NewRun[], claim: LeasedFor): Promise<readonly (Taken | Error)[]> {
    const numbered = await patiently(() => number(runs, ids, lanes)).catch((error: Error) => error);
    if (numbered instanceof Error)
      return (await apart(runs, numbered)).map((one) => (one instanceof Error ? one : anybodys(one)));
    return leased(numbered.map((item) => ({ ...item, claim })));
  }

  const attach = attacher(pool, sql);
  return (runs, { tx, lease } = {}) => {
    if (tx) return add(runs, tx);
    const adding = lease ? addForNode(runs, lease) : ((runs.length === 1 ? addOne(runs[0]!) : null) ?? add(runs));
    if (!runs.some((run) => run.attach)) return adding;
    return adding.then(async (answers) => {
      await attach(runs, answers);
      return answers;
    });
  };
}

/** The runs in parts that one statement may take. */
function parts(runs: readonly NewRun[]): readonly (readonly NewRun[])[] {
  const cuts = [0];
  let bytes = 0;
  for (const [i, { input }] of runs.entries()) {
    bytes += input.json.length;
    if (i === cuts.at(-1) || (i - cuts.at(-1)! < chunk && bytes <= chunkBytes)) continue;
    cuts.push(i);
    bytes = input.json.length;
  }
  return cuts.map((from, i) => runs.slice(from, cuts[i + 1]));
}

function isKeyed(item: Numbered): item is Keyed {
  return item.run.key !== null;
}

function isReplacing({ run }: Numbered): boolean {
  return run.key?.onConflict === "replace";
}

function replacesInside(): Error {
  return new InvalidInput(
    'onConflict "replace" would lock the waiting run until the transaction ends; leave out tx, or use "return"',
  );
}

async function number(runs: readonly NewRun[], ids: Ids, lanes: Lanes): Promise<readonly Numbered[]> {
  const numbersOfLanes = await lanes.ensure(runs);
  const first = await ids.take(runs.length);
  return runs.map((run, i) => ({ id: first + i, lane: numbersOfLanes[i]!, run }));
}

/** Repeats while the server is away, or what else is `isPassing`; `again` tells the call that an earlier try may have been written. */
async function patiently<T>(call: (again: boolean) => Promise<T>, isPassing = isAway): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (let tries = 0; ; tries++) {
    try {
      return await call(tries > 0);
    } catch (error) {
      if (!isPassing(error) || performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, Math.min(1000, 25 * 2 ** tries) * (0.75 + Math.random() / 2)));
    }
  }
}

/** Repeats a write that fails with 55P03 while another open transaction holds what it needs, with no connection held in between.
 *  @throws {StoreUnavailable} saying `what`, once it has failed so for `forMs` */
export async function outwait<T>(write: () => Promise<T>, forMs: number, what: string): Promise<T> {
  const deadline = performance.now() + forMs;
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (performance.now() > deadline) throw unavailable(what, (error as Error).cause ?? error);
    }
    await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 20));
  }
}

/** A key that others claim is outwaited apart from the rest. */
function isAwayOnly(error: unknown): boolean {
  return isAway(error) && !isBusy(error);
}

/** Writes a batch; if the server refuses it, writes each alone, so that a bad row fails by itself. */
async function isolated<T extends Numbered, A>(
  items: readonly T[],
  write: (items: readonly T[], again: boolean) => Promise<readonly (A | Error)[]>,
  isPassing = isAway,
): Promise<readonly (A | Error)[]> {
  try {
    return await patiently((again) => write(items, again), isPassing);
  } catch (error) {
    const refused = error as Error;
    if (items.length === 1 || !isData(error)) return items.map(() => refused);
    return (await Promise.all(items.map((item) => isolated([item], write, isPassing)))).flat();
  }
}

async function addPlain(
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
    const values = [
      numbers(items.map((i) => i.id)),
      numbers(items.map((i) => i.lane)),
      numbers(items.map((i) => i.run.delayMs)),
      texts(items.map((i) => i.run.input.json)),
    ];
    await send("tasker_add_plain", inside ? sql.addPlainInside : sql.addPlain, [...values, wake]);
  } else {
    await send("tasker_add", inside ? sql.addInside : sql.add, [...columns(items), wake]);
  }
  return items.map((item) => ({ id: item.id, created: true, conflict: false }));
}

/** Adds runs under a lease. A repeat takes back the leases that an earlier try may have written, for its answer was lost, and adds what is
 *  missing as anybody's. */
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
  const [ids, of, , , input, meta, tags, options, ttl] = columns(items);
  const values = [ids, of, input, meta, tags, options, ttl, node, ttlMs];
  const rows = await send("tasker_add_leased", sql.addLeased, values);
  const [nowMs, dueMs] = [Number(rows[0]![0]), Number(rows[0]![1])];
  const unleased = new Set(rows.map((row) => Number(row[2]))); // 0 where all are
  return items.map((item) => {
    const lease = unleased.has(item.id) ? null : leaseOf(item, dueMs);
    return { id: item.id, created: true, conflict: false, nowMs, lease };
  });
}

function anybodys(added: Added): Taken {
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

/** Payload of the notification: the lanes to look at, all if they are many. What is due much later than any node looks ahead is told to
 *  nodes that sleep. Inside a caller's transaction it names no lanes, because its runs may turn up below their low-water marks
 *  (mark.ts). */
function wakes(items: readonly Numbered[], inside = false): string {
  const soon = items.filter(({ run }) => run.delayMs < 60_000);
  const lanes = new Set((soon.length > 0 ? soon : items).map(({ lane }) => lane));
  return `${soon.length > 0 ? "d" : "l"}${inside || lanes.size > mostNamed ? "" : [...lanes].join(",")}`;
}

/** Epoch ms of the instant asked for; Postgres has no use for those long past. */
export function at(dueAt: Date | null): number | null {
  return dueAt && Math.max(0, dueAt.getTime());
}

function columns(items: readonly Numbered[]): readonly string[] {
  const runs = items.map((item) => item.run);
  return [
    numbers(items.map((item) => item.id)),
    numbers(items.map((item) => item.lane)),
    numbers(runs.map((run) => run.delayMs)),
    numbers(runs.map((run) => at(run.dueAt))),
    texts(runs.map((run) => run.input.json)),
    texts(runs.map((run) => run.input.meta)),
    texts(runs.map((run) => (run.tags.length > 0 ? JSON.stringify(run.tags) : null))),
    texts(runs.map((run) => (run.options ? JSON.stringify(run.options) : null))),
    numbers(runs.map((run) => run.ttlMs)),
    numbers(runs.map((run) => run.replayOf)),
  ];
}

async function addKeyed(
  send: Send,
  sql: Statements,
  items: readonly Keyed[],
  own: boolean,
): Promise<readonly (Added | Error)[]> {
  const [name, statement] = own ? ["tasker_add_keyed_soon", sql.addKeyedSoon] : ["", sql.addKeyed];
  const rows = await send(name, statement, keyedColumns(items, !own));
  const won = new Set(rows.map((row) => Number(row[0])));
  const losers = items.filter((item) => !won.has(item.id));
  const lost = losers.length > 0 ? await resolveKeys(send, sql, losers, own) : new Map<number, Added | Error>();
  return items.map((item) => lost.get(item.id) ?? { id: item.id, created: true, conflict: false });
}

function keyedColumns(items: readonly Keyed[], inside: boolean): readonly unknown[] {
  const keys = items.map((item) => item.run.key);
  const names = [
    texts(items.map((item) => item.run.job)),
    texts(keys.map((key) => key.key)),
    texts(keys.map((key) => key.hash)),
  ];
  return [...columns(items), wakes(items, inside), ...names, numbers(keys.map((key) => key.keepMs))];
}

/** Answers those whose key is held, and takes over keys that their run has let go of. */
async function resolveKeys(
  send: Send,
  sql: Statements,
  losers: readonly Keyed[],
  own: boolean,
): Promise<Map<number, Added | Error>> {
  const answers = new Map<number, Added | Error>();
  const rows = await send("tasker_holders", sql.holders, [
    texts(losers.map((l) => l.run.job)),
    texts(losers.map((l) => l.run.key.key)),
  ]);
  const holders = new Map(rows.map((row) => [Number(row[0]), row]));
  for (const [i, item] of losers.entries()) {
    const row = holders.get(i + 1);
    if (row && (row[3] === "true" || row[5] === "true" || Number(row[1]) === item.id))
      answers.set(item.id, await held(send, sql, item, row));
    else answers.set(item.id, await takeOver(send, sql, item, row ?? null, own));
  }
  return answers;
}

/** The key has a run: return it, replace its input, or refuse. */
async function held(send: Send, sql: Statements, item: Keyed, row: Row): Promise<Added | Error> {
  const { run, lane } = item;
  const id = Number(row[1]);
  if (id === item.id) return { id, created: true, conflict: false }; // the repeat of an add that had been written
  const conflict = row[2] !== "" && row[2] !== run.key.hash; // "": not known
  if (run.key.onConflict === "error") return new KeyConflict(run.job, run.key.key, formatId(id));
  if (run.key.onConflict === "replace" && row[4] === "true") {
    const values = [id, lane, run.delayMs, at(run.dueAt), run.input.json, run.input.meta, run.key.hash, ...extras(run)];
    const changed = await send("tasker_replace", sql.replace, values);
    if (changed.length > 0) return { id, created: false, conflict: false };
  }
  return { id, created: false, conflict };
}

function extras(run: NewRun): readonly unknown[] {
  return [
    run.tags.length > 0 ? JSON.stringify(run.tags) : null,
    run.options ? JSON.stringify(run.options) : null,
    run.ttlMs,
  ];
}

/** The key's run has let go of it, or was purged with it: claim the key for this run, or find out who was faster. */
async function takeOver(
  send: Send,
  sql: Statements,
  item: Keyed,
  row: Row | null,
  own: boolean,
): Promise<Added | Error> {
  if (row) {
    const [name, statement] = own ? ["tasker_take_key_soon", sql.takeKeySoon] : ["", sql.takeKey];
    const taken = await send(name, statement, [...keyedColumns([item], !own), Number(row[6])]);
    if (taken.length > 0) return { id: item.id, created: true, conflict: false };
  }
  return (await addKeyed(send, sql, [item], own))[0]!;
}
