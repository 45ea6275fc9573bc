/** Names and attributes of spans, by OpenTelemetry's conventions for messaging. */
import type { Attributes } from "@opentelemetry/api";
import type { NewRun } from "../port/target.ts";
import { formatId, scheduleId } from "../port/id.ts";
import type { Attempted } from "../port/trace.ts";

/** What a job is sent, and processed, by. Its id is the destination: who runs jobs asks for jobs, and a queue is a lane among them. */
export function operation(name: "send" | "process", job: string | null): Attributes {
  return {
    "messaging.system": "tasker",
    "messaging.operation.name": name,
    "messaging.operation.type": name,
    ...(job !== null && { "messaging.destination.name": job }),
  };
}

export function spanName(name: "send" | "process", job: string | null): string {
  return job === null ? name : `${name} ${job}`;
}

/** Of runs that are added together: the job that all are of, or null; and, of one, where it goes, of several, how many there are. */
export function sending(runs: readonly NewRun[]): { readonly job: string | null; readonly attributes: Attributes } {
  const [first] = runs;
  const job = first && runs.every((run) => run.job === first.job) ? first.job : null;
  if (runs.length !== 1)
    return { job, attributes: { ...operation("send", job), "messaging.batch.message_count": runs.length } };
  const { queue, priority, tags } = first!;
  return { job, attributes: { ...operation("send", job), ...lane({ queue, priority, tags }) } };
}

export function processing(run: Attempted): Attributes {
  const tick = run.options?.schedule;
  return {
    ...operation("process", run.job),
    ...lane(run),
    "messaging.message.id": formatId(run.id),
    "tasker.attempt": run.attempt,
    ...(tick && { "tasker.schedule.id": scheduleId({ job: run.job, key: tick.key }) }),
    ...(run.options?.hook && { "tasker.hook": run.options.hook.kind }),
  };
}

function lane({ queue, priority, tags }: Pick<NewRun, "queue" | "priority" | "tags">): Attributes {
  return {
    "tasker.queue": queue,
    "tasker.priority": priority,
    ...(tags.length > 0 && { "tasker.tags": [...tags] }),
  };
}
