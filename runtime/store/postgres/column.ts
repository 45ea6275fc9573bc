import { finalStatus, liveStatus } from "./sql/status.ts";
import type { Statements } from "./sql.ts";

/** The columns of a live run `r` in lane `l`, in the order that `runOf` reads. */
export function liveColumns(sql: Statements): string {
  const { schema: s, epoch } = sql;
  return `r.id, l.job, l.queue, l.priority,
    ${liveStatus(sql, "r")},
    null, r.ask is not null, ${epoch("r.due_at")}, ${epoch("r.created_at")}, ${epoch("r.expires_at")}, ${epoch("r.started_at")}, null,
    (select n.name from ${s}.names n where n.id = r.node), r.attempt, r.crashes, r.token, to_json(r.tags)::text, r.key, r.input, r.meta, null, null, null, r.progress,
    r.options, r.replay_of, null, (select n.version from ${s}.names n where n.id = r.node)`;
}

/** The same of a finished run. */
export function pastColumns({ schema: s, epoch }: Statements): string {
  return `r.id, l.job, l.queue, l.priority, ${finalStatus("r.status")},
    r.reason, false, ${epoch("r.due_at")}, ${epoch("r.created_at")}, null::float8, ${epoch("r.started_at")}, ${epoch("r.finished_at")},
    (select n.name from ${s}.names n where n.id = r.node), r.attempt, r.crashes, r.token, to_json(r.tags)::text, r.key, r.input, r.meta, r.result, r.result_meta, r.error, r.progress,
    r.options, r.replay_of, r.note, (select n.version from ${s}.names n where n.id = r.node)`;
}
