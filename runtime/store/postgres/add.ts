import type { Added, NewRun, Tx } from "../../../sdk/port/target.ts";
import { sifted } from "../guard.ts";
import type { LeasedFor, Runs, Taken } from "../port.ts";
import { attacher } from "./attach.ts";
import type { Numbered } from "./column.ts";
import type { Ids } from "./id.ts";
import { isKeyed, type KeyedAdds, keyedAdds, replacesInside } from "./key.ts";
import type { Lanes } from "./lane.ts";
import { anybodys, type PlainAdds, plainAdds } from "./plain.ts";
import { isAway, type Pool } from "./pool.ts";
import { patiently } from "./retry.ts";
import type { Statements } from "./sql.ts";
import { sender } from "./transaction.ts";

/** Limits of a statement: runs, fewer than a block of ids… */
const chunk = 1000;
/** …and bytes of input, because large payloads are copied several times. */
const chunkBytes = 4 * 1024 * 1024;
const weighed = { bytes: chunkBytes, weigh: ({ run }: Numbered): number => run.input.json.length };

type Answers = readonly (Added | Error)[];
interface Numbering {
  readonly ids: Ids;
  readonly lanes: Lanes;
}
interface Parts extends Numbering {
  readonly plain: PlainAdds;
  readonly keyed: KeyedAdds;
}

/** Adds runs. Unkeyed adds in flight share a statement, and so do keyed ones. */
export function adder(pool: Pool, sql: Statements, lanes: Lanes, ids: Ids): Runs["add"] {
  const keyed = keyedAdds(pool, sql, weighed);
  const parts = { lanes, ids, plain: plainAdds(pool, sql, { size: chunk, ...weighed }), keyed };
  const attach = attacher(pool, sql);
  return (runs, { tx, lease } = {}) => {
    if (tx) return sifted(runs, replacesInside, (some) => add(parts, some, tx));
    const one = runs.length === 1 && !lease ? addOne(parts, runs[0]!) : null;
    const adding = lease ? addForNode(parts, runs, lease) : (one ?? add(parts, runs));
    if (!runs.some((run) => run.attach)) return adding;
    return adding.then(async (answers) => {
      await attach(runs, answers);
      return answers;
    });
  };
}

/** The fast path of a single unkeyed run whose lane is known. */
function addOne({ lanes, ids, plain }: Parts, run: NewRun): Promise<Answers> | null {
  const lane = run.key === null ? lanes.numberOf(run) : undefined;
  const id = lane === undefined ? null : ids.next();
  return id === null ? null : plain.add([{ id, lane: lane!, run }]);
}

async function add(parts: Parts, runs: readonly NewRun[], tx?: Tx): Promise<Answers> {
  if (runs.length === 0) return [];
  const chunks = runs.length > 1 ? chunksOf(runs) : [runs];
  if (chunks.length > 1) return inOrder(chunks, (some) => add(parts, some, tx));
  const numbered = await number(parts, runs);
  if (numbered instanceof Error) return apart(parts, runs, numbered, tx);
  const answers = new Array<Added | Error>(runs.length);
  const place = async <T extends Numbered>(list: readonly T[], go: (items: readonly T[]) => Promise<Answers>) => {
    if (list.length === 0) return;
    const added = await go(list);
    list.forEach((item, i) => (answers[item.id - numbered[0]!.id] = added[i]!));
  };
  const { plain, keyed } = parts;
  const free = numbered.filter((item) => item.run.key === null);
  const bound = numbered.filter(isKeyed);
  if (tx) {
    const own = sender(tx);
    await place(free, (items) => plain.inside(own, items));
    await place(bound, (items) => keyed.inside(own, items));
  } else await Promise.all([place(free, plain.add), place(bound, keyed.add)]);
  return answers;
}

/** Retries each run alone, so that only the refused one fails. */
async function apart(parts: Parts, runs: readonly NewRun[], error: Error, tx?: Tx): Promise<Answers> {
  if (isAway(error)) throw error;
  if (runs.length === 1) return [error];
  return inOrder(
    runs.map((run) => [run]),
    (some) => add(parts, some, tx),
  );
}

async function inOrder(
  lists: readonly (readonly NewRun[])[],
  go: (runs: readonly NewRun[]) => Promise<Answers>,
): Promise<Answers> {
  const answers: (Added | Error)[] = [];
  for (const list of lists) answers.push(...(await go(list)));
  return answers;
}

async function addForNode(
  parts: Parts,
  runs: readonly NewRun[],
  claim: LeasedFor,
): Promise<readonly (Taken | Error)[]> {
  const numbered = await number(parts, runs);
  if (numbered instanceof Error)
    return (await apart(parts, runs, numbered)).map((one) => (one instanceof Error ? one : anybodys(one)));
  return parts.plain.lease(numbered.map((item) => ({ ...item, claim })));
}

/** Returns runs with lanes and ids, in chunks, or the error. */
export async function numberAll(of: Numbering, runs: readonly NewRun[]) {
  const chunks: (readonly Numbered[])[] = [];
  for (const some of chunksOf(runs)) {
    const numbered = await number(of, some);
    if (numbered instanceof Error) return numbered;
    chunks.push(numbered);
  }
  return chunks;
}

/** Returns runs with lanes and consecutive ids, or the error. */
async function number({ ids, lanes }: Numbering, runs: readonly NewRun[]): Promise<readonly Numbered[] | Error> {
  try {
    return await patiently(async () => {
      const of = await lanes.ensure(runs);
      const first = await ids.take(runs.length);
      return runs.map((run, i) => ({ id: first + i, lane: of[i]!, run }));
    });
  } catch (error) {
    return error as Error;
  }
}

/** Runs in parts that fit into one statement. */
function chunksOf(runs: readonly NewRun[]): readonly (readonly NewRun[])[] {
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
