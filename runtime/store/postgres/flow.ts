import type { Entry, Mail, Sent } from "../../../sdk/port/flow.ts";
import { pinned } from "../../../sdk/port/pin.ts";
import type { Tx } from "../../../sdk/port/target.ts";
import type { Flow, Journal, Loading, Recorded, Recording, NewEntry } from "../port.ts";
import { numberAll } from "./add.ts";
import { batch } from "./batch.ts";
import { journalText, type Numbered } from "./column.ts";
import type { Watching } from "./feed.ts";
import type { Ids } from "./id.ts";
import type { Lanes } from "./lane.ts";
import { addPlain } from "./plain.ts";
import { isData, numbers, type Pool, stateOf, texts } from "./pool.ts";
import { patiently } from "./retry.ts";
import { act, desk } from "./sql/desk.ts";
import { entry, flow as statements, loaded, reached, written } from "./sql/flow.ts";
import type { Statements } from "./sql.ts";
import { type Send, sender } from "./transaction.ts";

interface Parts {
  readonly lanes: Lanes;
  readonly ids: Ids;
  readonly watching: Watching;
}

/** The journals of the Postgres store, and their mail. */
export function flow(pool: Pool, sql: Statements, { lanes, ids, watching }: Parts): Flow {
  const text = statements(sql);
  const { status } = desk(sql);
  const weighed = { bytes: 4 * 1024 * 1024, weigh: weightOf };
  const by = { pool, sql, text, lanes, ids };
  const load = batch((items: readonly Loading[]) => loadAll(pool, text, items), {
    size: 100,
  });
  const record = batch((items: readonly Recording[]) => recordPlain(pool.rows, text, items), { size: 500, ...weighed });
  const recordAdds = batch((items: readonly Recording[]) => recordAdding(by, items), { size: 100, ...weighed });
  const send = batch((items: readonly Mail[]) => sendAll(pool, text, items), { size: 200 });
  return {
    load,
    async record(items, tx) {
      if (tx) return recordInside(by, items, tx);
      if (!items.some(isAdding)) return record(items);
      const answers = await Promise.all(items.map((item) => (isAdding(item) ? recordAdds : record)([item])));
      return answers.flat();
    },
    send: (items, tx) => (tx ? sendInside(sender(tx), text, items) : send(items)),
    async read(run) {
      return entry.all(await pool.guest.rows("tasker_journal", text.read, [run]));
    },
    async mend(run, entries, last, pin) {
      const lane = pin === undefined ? null : await pinLane(by, run, pin);
      const rows = watching.in(
        await pool.guest.rows("tasker_mend", text.mend, [run, journalText(entries), last, lane]),
      );
      const found = rows.length > 0 ? rows : await pool.guest.rows("tasker_status", status, [numbers([run])]);
      return act.all(found)[0] ?? { id: run, done: "missing", status: null };
    },
  };
}

/** The lane of a run once it is pinned to a version, or to none; null if the run is not live. */
async function pinLane({ pool, sql, lanes }: By, run: number, pin: string | null): Promise<number | null> {
  const [row] = await pool.guest.rows("tasker_lane_of", desk(sql).laneOf, [run]);
  if (!row) return null;
  const lane = await lanes.get(Number(row[0]));
  return (await lanes.ensure([{ ...lane, queue: pinned(lane.queue, pin) }]))[0]!;
}

type Texts = ReturnType<typeof statements>;
interface By {
  readonly pool: Pool;
  readonly sql: Statements;
  readonly text: Texts;
  readonly lanes: Lanes;
  readonly ids: Ids;
}

function weightOf({ entries }: Recording): number {
  return entries.reduce((sum, { value, data }) => sum + (value?.json.length ?? 0) + (data?.length ?? 0), 0);
}

async function loadAll(pool: Pool, text: Texts, items: readonly Loading[]): Promise<readonly (Journal | null)[]> {
  const values = [
    numbers(items.map(({ id }) => id)),
    numbers(items.map(({ token }) => token)),
    numbers(items.map(({ after }) => after)),
    numbers(items.map(({ floorMs = 0 }) => floorMs)),
  ];
  const journals = new Map<number, Journal & { readonly entries: Entry[] }>();
  for (const row of await pool.rows("tasker_load", text.load, values)) {
    const { place, ...about } = loaded.read(row);
    const journal = journals.get(place) ?? { entries: [], ...about };
    journals.set(place, journal);
    journal.entries.push(...entry.all([row], loaded.width));
  }
  return items.map((_, i) => journals.get(i + 1) ?? null);
}

/** The runs of entries, numbered: what is added with those that are written. */
type Births = ReadonlyMap<NewEntry, readonly (readonly Numbered[])[]>;
const none: Births = new Map();

function isAdding({ entries }: Recording): boolean {
  return entries.some(({ adds }) => adds && adds.length > 0);
}

/** Writes entries by one statement. */
async function recordPlain(
  send: Send,
  text: Texts,
  items: readonly Recording[],
  births = none,
  isInside = false,
): Promise<readonly (Recorded | null)[]> {
  if (new Set(items.map(({ id }) => id)).size < items.length)
    // answers are told apart by run
    return inTurn(items, (item) => recordPlain(send, text, [item], births, isInside));
  const [name, statement] = births === none ? ["tasker_record", text.record] : ["tasker_record_runs", text.recordRuns];
  const made = written.all(await send(isInside ? "" : name, statement, recordColumns(items, births)));
  const there = new Set(made.map(nameOf));
  const rest = items.flatMap(({ id, token, entries }) =>
    entries.filter(({ n }) => !there.has(nameOf({ run: id, n }))).map(({ n }) => ({ id, token, n })),
  );
  if (rest.length === 0) return answersOf(items, made);
  if (isInside) return [null]; // lost; or somebody else did this step, and what this transaction did must not count
  const values = [rest.map(({ id }) => id), rest.map(({ token }) => token), rest.map(({ n }) => n)];
  return answersOf(items, made, written.all(await send("tasker_written", text.written, values.map(numbers))));
}

type Written = ReturnType<typeof written.read>;

function nameOf({ run, n }: Pick<Written, "run" | "n">): string {
  return `${run} ${n}`;
}

/** What became of recordings: `made` has rows of leased runs alone, `known` may name entries of others. */
function answersOf(
  items: readonly Recording[],
  made: readonly Written[],
  known: readonly Written[] = [],
): readonly (Recorded | null)[] {
  const stands = new Set([...made, ...known.filter(({ n }) => n === null)].map(({ run }) => run));
  const rows = new Map([...made, ...known].map((row) => [nameOf(row), row]));
  return items.map(({ id, entries }) => {
    if (!stands.has(id)) return null;
    const stored = entries.map(({ n }) => rows.get(nameOf({ run: id, n }))!);
    const inbox = rows.get(nameOf({ run: id, n: null }))?.inbox ?? 0;
    return { entries: stored.map(({ n, at, runs }) => ({ n: n!, atMs: at, runs })), inbox };
  });
}

async function inTurn<T, A>(items: readonly T[], act: (item: T) => Promise<readonly A[]>): Promise<readonly A[]> {
  const answers: A[] = [];
  for (const item of items) answers.push(...(await act(item)));
  return answers;
}

function recordColumns(items: readonly Recording[], births: Births): readonly string[] {
  const rows = items.flatMap(({ id, token, floorMs, entries }) =>
    (entries.length > 0 ? entries : [null]).map((each) => ({ id, token, floorMs, each })),
  );
  const textOf = (of: (each: NewEntry) => string | null): string => texts(rows.map(({ each }) => each && of(each)));
  return [
    numbers(rows.map(({ id }) => id)),
    numbers(rows.map(({ token }) => token)),
    numbers(rows.map(({ floorMs }) => Math.ceil(floorMs))),
    numbers(rows.map(({ each }) => each && each.n)),
    textOf(({ kind }) => kind),
    textOf(({ key }) => key),
    textOf(({ value }) => value && value.json),
    textOf(({ value }) => value && value.meta),
    textOf(({ data }) => data),
    ...(births === none ? [] : [textOf((each) => runsOf(births.get(each)))]),
  ];
}

function runsOf(parts: readonly (readonly Numbered[])[] | undefined): string | null {
  return parts ? numbers(parts.flat().map(({ id }) => id)) : null;
}

/** Writes entries and adds their runs, in one transaction. A run that is refused takes its recording with it. */
async function recordAdding(by: By, items: readonly Recording[]): Promise<readonly (Recorded | Error | null)[]> {
  try {
    const births = await numberedOf(by, items);
    return await by.pool.within((send) => recordWithin(by, send, items, births, false));
  } catch (error) {
    if (!isData(error)) throw error;
    if (items.length === 1) return [error as Error];
    return inTurn(items, (item) => recordAdding(by, [item]));
  }
}

async function recordInside(
  by: By,
  items: readonly Recording[],
  tx: Tx,
): Promise<readonly (Recorded | Error | null)[]> {
  const births = items.some(isAdding) ? await numberedOf(by, items) : none;
  return recordWithin(by, sender(tx), items, births, true);
}

async function recordWithin(
  { sql, text }: By,
  send: Send,
  items: readonly Recording[],
  births: Births,
  isInside: boolean,
): Promise<readonly (Recorded | null)[]> {
  const answers = await recordPlain(send, text, items, births, isInside);
  const written = new Set(answers.flatMap((answer) => answer?.entries.flatMap(({ runs }) => runs ?? []) ?? []));
  for (const runs of [...births.values()].flat())
    if (written.has(runs[0]!.id)) await addPlain(send, sql, runs, false, isInside);
  return answers;
}

async function numberedOf(by: By, items: readonly Recording[]): Promise<Births> {
  const births = new Map<NewEntry, readonly (readonly Numbered[])[]>();
  for (const { entries } of items)
    for (const each of entries) {
      if (!each.adds || each.adds.length === 0) continue;
      const numbered = await numberAll(by, each.adds);
      if (numbered instanceof Error) throw numbered;
      births.set(each, numbered);
    }
  return births;
}

/** Sends, and wakes. A deadlock with what locks the same runs in another order left nothing behind. */
async function sendAll(pool: Pool, text: Texts, items: readonly Mail[]): Promise<readonly Sent[]> {
  const [ids, jobs, keys, ...what] = mailColumns(items);
  const write = () => pool.rows("tasker_send", text.send, [ids, jobs, keys, ...what]);
  const rows = (await patiently(write, (error) => stateOf(error) === "40P01")).map((row) => reached.read(row));
  const live = new Set(rows.filter(({ place }) => place === null).map(({ run }) => run));
  const runs = new Map(rows.map(({ place, run }) => [place, run]));
  const answers = items.map((_, i): Sent => ({
    id: runs.get(i + 1)!,
    done: live.has(runs.get(i + 1)!) ? "sent" : "missing",
  }));
  if (answers.every(({ done }) => done === "sent")) return answers;
  const ended = new Map(
    (await pool.rows("tasker_over", text.over, [ids, jobs, keys]))
      .map((row) => reached.read(row))
      .map(({ place, run }) => [place, run]),
  );
  return answers.map((answer, i) => {
    if (answer.done === "sent") return answer;
    const id = ended.get(i + 1) ?? null;
    return { id, done: id === null ? "missing" : "ended" };
  });
}

async function sendInside(send: Send, text: Texts, items: readonly Mail[]): Promise<readonly Sent[]> {
  const rows = (await send("", text.sendInside, mailColumns(items))).map((row) => reached.read(row));
  const runs = new Map(rows.map(({ place, run }) => [place, run]));
  return items.map((_, i) => ({ id: runs.get(i + 1) ?? null, done: runs.get(i + 1) == null ? "missing" : "sent" }));
}

function mailColumns(items: readonly Mail[]): readonly string[] {
  const key = (mail: Mail): { job: string; key: string } | null => (typeof mail.to === "number" ? null : mail.to);
  return [
    numbers(items.map(({ to }) => (typeof to === "number" ? to : null))),
    texts(items.map((mail) => key(mail)?.job ?? null)),
    texts(items.map((mail) => key(mail)?.key ?? null)),
    texts(items.map(({ name }) => name)),
    texts(items.map(({ value }) => value && value.json)),
    texts(items.map(({ value }) => value && value.meta)),
    texts(items.map(({ data }) => data)),
  ];
}
