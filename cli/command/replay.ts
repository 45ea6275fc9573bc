import type { NewRun, RunRecord, Target } from "../../sdk/port/target.ts";
import { deed, type Acted } from "./act.ts";

/** `tasker replay`: makes new runs from old ones' input. */
export const replay = deed({
  verb: "replay",
  past: "replayed",
  about: "Make new runs from the input of old ones, by id or by filter",
  of: ["completed", "failed", "canceled"],
  examples: ["tasker replay run_2n9c", "tasker replay --job remind --status failed --since 1h --yes"],
  act: replayAll,
});

async function replayAll(target: Target, ids: readonly number[]): Promise<readonly Acted[]> {
  const records = await recordsOf(target, ids);
  const added = await target.add(records.map(again));
  const made = new Map(records.map((record, at) => [record.id, added[at]!] as const));
  return ids.map((id) => {
    const answer = made.get(id);
    if (answer instanceof Error) throw answer;
    return answer ? { id, done: "done", status: "pending", made: answer.id } : { id, done: "missing", status: null };
  });
}

async function recordsOf(target: Target, ids: readonly number[]): Promise<readonly RunRecord[]> {
  const records: RunRecord[] = [];
  for (let at = 0; at < ids.length; at += 200) {
    const page = await target.find.list({ ids: ids.slice(at, at + 200), hooks: true }, { limit: 200 });
    records.push(...page.items);
  }
  return records;
}

/** Without its key, which is still the old run's, and due now. */
function again({ id, job, queue, priority, input, tags, options }: RunRecord): NewRun {
  return { job, queue, priority, input, tags, options, dueAt: null, delayMs: 0, key: null, ttlMs: null, replayOf: id };
}
