/** Acts on runs, by their numbers, and what became of each. */
import { setTimeout as pause } from "node:timers/promises";
import { InvalidInput, RunNotFound, WrongState } from "../port/error.ts";
import { formatId } from "../port/id.ts";
import { isFinal, type Status } from "../port/status.ts";
import type { Act, Added, Edit, NewRun, RunFilter, Target, Tx } from "../port/target.ts";
import { each } from "./page.ts";
import { slot } from "./scope.ts";

/** What became of an act on one run; `made` is the new run, where the act makes one, and `why` what else than its state was against it. */
export type Acted = Act & { readonly made?: number; readonly why?: string };

const acts = {
  /** Canceling twice has the effect of canceling once. */
  cancel: async (to, ids) =>
    (await to.desk.cancel(ids)).map((act) =>
      act.done === "refused" && act.status === "canceled" ? { ...act, done: "done" } : act,
    ),
  resume: (to, ids) => to.desk.revive(ids, "canceled"),
  retry: (to, ids) => to.desk.revive(ids, "failed"),
} satisfies Record<string, (to: Target, ids: readonly number[]) => Promise<readonly Acted[]>>;

/** The statuses that an act takes: those of a filter that names none. */
export const taken = {
  cancel: ["pending", "leased", "running", "waiting"],
  resume: ["canceled"],
  retry: ["failed"],
  replay: ["completed", "failed", "canceled"],
  fix: ["waiting"],
} as const satisfies Record<Exclude<How, "edit">, readonly Status[]>;

/** How many runs a filter may find for an act. */
export const mostMatching = 100_000;

/** The ids of all runs that match, the newest first.
 *  @throws {InvalidInput} if there are more than an act takes */
export async function matching(to: Target, filter: RunFilter): Promise<readonly number[]> {
  const ids: number[] = [];
  for await (const run of each((paging) => to.find.list(filter, paging))) {
    if (ids.push(run.id) > mostMatching)
      throw new InvalidInput(
        `more than ${mostMatching} runs match; narrow the filter, by when they were created for example`,
      );
  }
  return ids;
}

/** How many runs an act takes at once. */
export const chunk = 500;

/** Acts on runs, any number; what became of each, in order. */
export async function act(to: Target, how: keyof typeof acts, ids: readonly number[]): Promise<readonly Acted[]> {
  const all: Acted[] = [];
  for (let from = 0; from < ids.length; from += chunk)
    all.push(...(await acts[how](to, ids.slice(from, from + chunk))));
  return how === "cancel" ? canceled(to, all) : all;
}

/** How long an act waits for what nodes answer: no run is leased further ahead, and a node that nobody can tell of acts looks for them
 *  more often while it has such runs; ms. */
const patienceMs = 3000;

/** Looks, at growing distances, until there is nothing left to wait for; a node that does not answer is given up. */
async function outwait(isOver: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs;
  for (let betweenMs = 5; performance.now() < deadline; betweenMs = Math.min(50, betweenMs * 2)) {
    await pause(betweenMs);
    if (await isOver()) return;
  }
}

/** What became of cancels once the nodes that were asked have answered: `done` where the run had not started. */
async function canceled(to: Target, all: readonly Acted[]): Promise<readonly Acted[]> {
  const answers = new Map<number, Acted>();
  const left = new Set(all.filter(({ done, status }) => done === "asked" && status === "leased").map(({ id }) => id));
  const look = async (): Promise<boolean> => {
    const { items } = await to.find.list({ ids: [...left].slice(0, page), hooks: true }, { limit: page });
    for (const { id, status, startedAt } of items) {
      if (!isFinal(status) && status !== "running") continue;
      left.delete(id);
      const done = status === "running" || (status === "canceled" && startedAt) ? "asked" : "done";
      answers.set(id, { id, status, done: status === "completed" || status === "failed" ? "refused" : done });
    }
    return left.size === 0 || (items.length === page && look());
  };
  if (left.size > 0) await outwait(look);
  return all.map((acted) => answers.get(acted.id) ?? acted);
}
const page = 200;

/** Changes a pending run, or a leased one once its node has given it back. */
export async function edit(to: Target, id: number, change: Edit): Promise<Act> {
  let acted = await to.desk.edit(id, change);
  const isOver = (): boolean => acted.done !== "asked" && !(acted.done === "refused" && acted.status === "pending");
  if (!isOver())
    await outwait(async () => {
      acted = await to.desk.edit(id, change);
      return isOver();
    });
  return acted;
}

/** Pauses a queue. What nodes have leased of it and not started is given back by then; a claim may be under way, so it looks twice. */
export async function pauseQueue(to: Target, queue: string): Promise<void> {
  await to.desk.pause(queue, true);
  await outwait(async () => !(await to.desk.pause(queue, true)));
}

/** Adds runs. One that replaces a leased run does so once its node has given it back; if that has started, it stays. */
export function add(to: Target, runs: readonly NewRun[], tx?: Tx): Promise<readonly (Added | Error)[]> {
  const { tracer, counting } = slot();
  const added = tracer ? tracer.send(runs, (traced) => addAll(to, traced, tx)) : addAll(to, runs, tx);
  return counting.size === 0 ? added : added.then((answers) => counted(runs, answers));
}

function counted<T extends readonly (Added | Error)[]>(runs: readonly NewRun[], answers: T): T {
  for (const count of slot().counting) count(runs, answers);
  return answers;
}

async function addAll(to: Target, runs: readonly NewRun[], tx?: Tx): Promise<readonly (Added | Error)[]> {
  const answers = [...(await to.add(runs, tx))];
  const isAsked = (at: number): boolean => !(answers[at] instanceof Error) && answers[at]!.asked === true;
  let left = [...answers.keys()].filter(isAsked);
  if (tx || left.length === 0) return answers;
  await outwait(async () => {
    const again = await to.add(left.map((at) => runs[at]!));
    for (const [i, at] of left.entries()) answers[at] = again[i]!;
    left = left.filter(isAsked);
    return left.length === 0;
  });
  return answers;
}

/** What became of an act on one run: done at once, or asked of the node that holds it.
 *  @throws {RunNotFound} if there is no such run. @throws {WrongState} if the act does not fit its state. */
export function outcome(id: number, acted: Acted | undefined, how: How): "done" | "asked" {
  if (acted === undefined || acted.done === "missing") throw new RunNotFound(formatId(id));
  if (acted.done === "done" || (acted.done === "asked" && how !== "edit")) return acted.done;
  throw new WrongState(formatId(id), acted.status ?? "in another state", past[how], nextOf(acted, how));
}

/** Which runs an act takes, and what to do with one that it refused. */
export function nextOf({ id, status, why }: Acted, how: How): string {
  if (why !== undefined) return why;
  if (how === "edit" && status === "running") return "it has started: cancel it, or replay it";
  if (status === fits[how]) return "its idempotency key is another run's now: replay it, without the key";
  return how === "cancel" ? `${hints.cancel}; see how it ended with: tasker run ${formatId(id)}` : hints[how];
}

export type How = keyof typeof acts | "replay" | "edit" | "fix";

const past = {
  cancel: "canceled",
  resume: "resumed",
  retry: "retried",
  replay: "replayed",
  edit: "changed",
  fix: "mended",
} satisfies Record<How, string>;
const hints = {
  cancel: "only a run that has not ended can be",
  resume: 'only a canceled run can be; make a new one with "replay"',
  retry: 'only a failed run can be; make a new one with "replay"',
  replay: "only a run that is stored can be",
  edit: "only a pending run can be: cancel it, or replay it",
  fix: "only a run that waits can be",
} satisfies Record<How, string>;

/** The state that an act takes, where there is but one: refused in that, the run has lost its key. */
const fits: Partial<Record<How, string>> = { resume: "canceled", retry: "failed" };
