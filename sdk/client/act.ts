/** Acts on runs, by their numbers, and what became of each. */
import { RunNotFound, WrongState } from "../port/error.ts";
import { formatId } from "../port/id.ts";
import type { Act, NewRun, RunRecord, Target } from "../port/target.ts";
import { each } from "./page.ts";
import { plainRun } from "./option.ts";

/** What became of an act on one run; `made` is the new run, where the act makes one. */
export type Acted = Act & { readonly made?: number };

const acts = {
  /** Canceling twice has the effect of canceling once. */
  cancel: async (to, ids) =>
    (await to.desk.cancel(ids)).map((act) =>
      act.done === "refused" && act.status === "canceled" ? { ...act, done: "done" } : act,
    ),
  resume: (to, ids) => to.desk.revive(ids, "canceled"),
  retry: (to, ids) => to.desk.revive(ids, "failed"),
  replay: replayAll,
} satisfies Record<string, (to: Target, ids: readonly number[]) => Promise<readonly Acted[]>>;

const chunk = 500;

/** Acts on runs, any number; what became of each, in order. */
export async function act(to: Target, how: keyof typeof acts, ids: readonly number[]): Promise<readonly Acted[]> {
  const all: Acted[] = [];
  for (let from = 0; from < ids.length; from += chunk)
    all.push(...(await acts[how](to, ids.slice(from, from + chunk))));
  return all;
}

async function replayAll(to: Target, ids: readonly number[]): Promise<readonly Acted[]> {
  const records: RunRecord[] = [];
  for await (const record of each((paging) => to.find.list({ ids, hooks: true }, paging))) records.push(record);
  const added = await to.add(records.map(again));
  const made = new Map(records.map((record, at) => [record.id, added[at]!] as const));
  return ids.map((id) => {
    const answer = made.get(id);
    if (answer instanceof Error) throw answer;
    return answer ? { id, done: "done", status: "pending", made: answer.id } : { id, done: "missing", status: null };
  });
}

/** The run that a replay makes: due now, without the key, which is still the old run's, and without its ttl. */
export function again({ id, job, input, options, ...same }: RunRecord): NewRun {
  return { ...plainRun({ ...same, id: job, ttlMs: null }, input), options, replayOf: id };
}

/** What became of an act on one run: done at once, or asked of the node that holds it.
 *  @throws {RunNotFound} if there is no such run. @throws {WrongState} if the act does not fit its state. */
export function outcome(id: number, acted: Act | undefined, how: How): "done" | "asked" {
  if (acted === undefined || acted.done === "missing") throw new RunNotFound(formatId(id));
  if (acted.done !== "refused") return acted.done;
  throw new WrongState(formatId(id), acted.status ?? "in another state", past[how], nextOf(acted, how));
}

/** Which runs an act takes, and what to do with one that it refused. */
export function nextOf({ id, status }: Act, how: How): string {
  if (status === fits[how]) return "its idempotency key is another run's now: replay it, without the key";
  return how === "cancel" ? `${hints.cancel}; see how it ended with: tasker run ${formatId(id)}` : hints[how];
}

export type How = keyof typeof acts | "edit";

const past = {
  cancel: "canceled",
  resume: "resumed",
  retry: "retried",
  replay: "replayed",
  edit: "changed",
} satisfies Record<How, string>;
const hints = {
  cancel: "only a run that has not ended can be",
  resume: 'only a canceled run can be; make a new one with "replay"',
  retry: 'only a failed run can be; make a new one with "replay"',
  replay: "only a run that is stored can be",
  edit: "only a pending run can be: cancel it, or replay it",
} satisfies Record<How, string>;

/** The state that an act takes, where there is but one: refused in that, the run has lost its key. */
const fits: Partial<Record<How, string>> = { resume: "canceled", retry: "failed" };
