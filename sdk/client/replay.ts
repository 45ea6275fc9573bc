/** New runs from old ones: with the payload, or another; from the top, or from a step on. */
import { InvalidInput, InvalidPayload } from "../port/error.ts";
import type { Entry } from "../port/flow.ts";
import { formatId } from "../port/id.ts";
import { notesOf } from "../port/note.ts";
import { homeOf } from "../port/pin.ts";
import { checkKeys } from "../port/option.ts";
import type { NewRun, RunRecord, Target } from "../port/target.ts";
import { add, type Acted } from "./act.ts";
import { childrenOf, stepAt } from "./mend.ts";
import { plainRun } from "./option.ts";
import { each } from "./page.ts";
import { inputFor } from "./trigger.ts";

export interface ReplayOptions {
  /** A step of a workflow, as the timeline of `tasker run` names it (`charge`, `charge#2`): it is done again, with all that came after it in
   *  the journal. What came before is kept as it is recorded. */
  readonly from?: string | undefined;
  /** Instead of that of the old run; checked as by `trigger(id, payload)`. */
  readonly payload?: unknown;
}

const optionKeys: ReadonlySet<string> = new Set<keyof ReplayOptions>(["from", "payload"]);

/** The run that a replay makes: due now, without the key, which is still the old run's, and without its ttl.
 *  @throws {InvalidInput} if it has no such step. @throws {InvalidPayload} */
export async function again(to: Target, record: RunRecord, options: ReplayOptions = {}): Promise<NewRun> {
  const run = await made(to, record, options);
  if (typeof run !== "string") return run;
  throw new InvalidInput(`run "${formatId(record.id)}" can't be replayed so: ${run}`, { path: "from" });
}

/** Runs whose journals are copied at once. */
const atOnce = 20;

/** Replays runs. One that can't be replayed so is refused alone. */
export async function replayAll(
  to: Target,
  ids: readonly number[],
  options: ReplayOptions = {},
): Promise<readonly Acted[]> {
  if (options.from !== undefined) stepAt("from", options.from);
  const records: RunRecord[] = [];
  for await (const record of each((paging) => to.find.list({ ids, hooks: true }, paging))) records.push(record);
  const acted = new Map<number, Acted>();
  const size = options.from === undefined ? most : atOnce;
  for (let at = 0; at < records.length; at += size)
    for (const one of await replaySome(to, records.slice(at, at + size), options)) acted.set(one.id, one);
  return ids.map((id) => acted.get(id) ?? { id, done: "missing", status: null });
}

const most = 500;

async function replaySome(
  to: Target,
  records: readonly RunRecord[],
  options: ReplayOptions,
): Promise<readonly Acted[]> {
  const runs = await Promise.all(records.map((record) => made(to, record, options).catch(whyNot)));
  const added = await add(
    to,
    runs.filter((run) => typeof run !== "string"),
  );
  let next = 0;
  return records.map(({ id, status }, i): Acted => {
    const run = runs[i]!;
    if (typeof run === "string") return { id, done: "refused", status, why: run };
    const answer = added[next++]!;
    if (answer instanceof Error) throw answer;
    return { id, done: "done", status: "pending", made: answer.id };
  });
}

function whyNot(error: unknown): string {
  if (error instanceof InvalidPayload) return error.message;
  throw error;
}

/** The new run, or why there is none. */
async function made(to: Target, record: RunRecord, options: ReplayOptions): Promise<NewRun | string> {
  checkKeys("replay", options, optionKeys);
  const { id, job, ...same } = record;
  const input = "payload" in options ? await inputFor(to, job, options.payload) : record.input;
  const run = {
    ...plainRun({ ...same, id: job, ttlMs: null, queue: homeOf(record.queue) }, input),
    options: optionsOf(record),
    replayOf: id,
  };
  if (options.from === undefined) return run;
  const journal = before(options.from, await to.flow.read(id));
  return typeof journal === "string" ? journal : { ...run, ...(journal.length > 0 && { journal }) };
}

/** The options of a run, but for what its trigger and its waits have left there. */
function optionsOf({ options }: RunRecord): NewRun["options"] {
  const { dueMs: _dueMs, trace: _trace, ...own } = options ?? {};
  return Object.keys(own).length > 0 ? own : null;
}

/** The part of a journal before a step, as a new run can go on from it; or why there is none. What had been answered by then stays; what waited
 *  begins anew, because what it waited for comes to the old run. */
function before(step: string, entries: readonly Entry[]): readonly Entry[] | string {
  const at = stepAt("from", step)(entries);
  if (typeof at === "string") return at;
  const past = entries.slice(0, at);
  const byMs = entries[at]!.atMs;
  const ended = new Set(past.flatMap((entry) => notesOf(entry).run ?? []));
  const over = new Set(past.filter(({ kind }) => kind === "step" || kind === "failed").map(({ key }) => key));
  const grown = new Set(
    past.filter((entry) => entry.kind === "child" && isGrown(entry, entries, past)).map(({ key }) => key),
  );
  const kept = past.filter(({ kind, key, ...entry }) => {
    const { until, run } = notesOf(entry);
    if (kind === "retry") return over.has(key);
    if (kind === "sleep" || kind === "wait") return (until ?? 0) <= byMs; // other waits are answered by mail alone
    return kind === "child" || run !== undefined ? grown.has(key) : true;
  });
  return kept.map((entry) => (entry.runs ? { ...entry, runs: entry.runs.filter((run) => ended.has(run)) } : entry));
}

/** Whether a call of other jobs had its answer: all ends, or, by its policy, one that is not good. */
function isGrown({ key }: Entry, entries: readonly Entry[], past: readonly Entry[]): boolean {
  const parts = entries.filter((entry) => entry.kind === "child" && entry.key === key);
  const ends = past.filter((entry) => entry.key === key && notesOf(entry).run !== undefined);
  const isCut = notesOf(parts[0]!).first === true && ends.some((end) => notesOf(end).status !== "completed");
  return isCut || childrenOf(parts).length === ends.length;
}
