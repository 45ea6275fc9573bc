import { scheduleId } from "../../sdk/port/id.ts";
import { spreadOf, ticking } from "../../sdk/define/rule.ts";
import type { DeclaredSchedule } from "../../sdk/define/spec.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import { fileName } from "../load.ts";
import { ruleText } from "../view/rule.ts";
import { complaint, type CheckedJob, type CheckedSchedule, type Complaint, type Report } from "./report.ts";
import { saidOf } from "../../sdk/port/text.ts";

/** What there is to say of one job. */
interface Examined extends Pick<Report, "errors" | "warnings" | "notes"> {
  readonly job: CheckedJob;
}

/** Examines a job that was defined: asks the functions of its schedules, and works out their next ticks. Never throws.
 *  `zone` is where schedules are read that name none. */
export async function examine(spec: JobSpec, zone: string, now = Date.now()): Promise<Examined> {
  const at = { job: spec.id, file: spec.file === null ? null : fileName(spec.file) };
  const errors: Complaint[] = [];
  const schedules: CheckedSchedule[] = [];
  for (const declared of spec.schedules) {
    try {
      schedules.push(await nextOf(spec.id, declared, zone, now));
    } catch (error) {
      const id = scheduleId({ job: spec.id, key: declared.key });
      errors.push(complaint(`schedule "${id}": ${saidOf(error)}`, at));
    }
  }
  const ended = schedules.filter(({ rule, next }) => next === null && rule !== "once");
  return {
    job: { id: spec.id, file: at.file, schedules },
    errors,
    warnings: ended.map(({ id }) =>
      complaint(`schedule "${id}" ticks no more: its endsAt has passed; take it out`, at),
    ),
    notes: spec.jsonSchema === null ? [complaint(withoutSchema(spec.id), at)] : [],
  };
}

async function nextOf(job: string, declared: DeclaredSchedule, zone: string, now: number): Promise<CheckedSchedule> {
  const { key, rule } = await declared.read(zone);
  const tick = ticking(rule).next(now);
  const next = tick === null ? null : new Date(tick + spreadOf({ job, key }, rule)).toISOString();
  return { id: scheduleId({ job, key }), rule: ruleText(rule), next };
}

function withoutSchema(id: string): string {
  return `job "${id}": its schema can't be told as JSON Schema, so triggers by id from other programs are checked only when the run starts`;
}
