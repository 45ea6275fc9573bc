/** Schedules that are made or changed at run time: from what was given to what stores keep. */
import { InvalidInput, InvalidPayload, invalid } from "../port/error.ts";
import { scheduleId } from "../port/id.ts";
import type { AnyJob, InputOf } from "./job.ts";
import { checkKeys } from "../port/option.ts";
import { ruleKeys, type TickPolicy, type When } from "../define/rule.ts";
import { checkKey, newSchedule, type RunsOf, type ScheduleOptions } from "../define/schedule.ts";
import { check } from "../define/schema.ts";
import type { JobRecord, NewSchedule, ScheduleRecord, Target } from "../port/target.ts";
import { encodePublished, published, sendGood } from "./trigger.ts";
import { asError } from "../port/text.ts";

/** A schedule to be made or changed. With a job's id instead of the job, the payload is checked against what nodes published. */
export type Upsert<J extends AnyJob = AnyJob> = {
  readonly job: J | J["id"];
  /** Yours: 1–128 characters, such as `user:7`. Job and key name the schedule. */
  readonly key: string;
} & ScheduleOptions<InputOf<J>>;

const chunk = 500;

/** Makes or changes schedules, any number; a record or an error per item, in order. A part that the store refuses fails alone. */
export async function upsertAll(to: Target, list: readonly unknown[]): Promise<readonly (ScheduleRecord | Error)[]> {
  const prepared = await prepareAll(to, list);
  const answers: (ScheduleRecord | Error)[] = [];
  for (let from = 0; from < prepared.length; from += chunk)
    answers.push(...(await sendGood(prepared.slice(from, from + chunk), (good) => to.schedules.put(good))));
  return answers;
}

/** Schedules as stores take them; an error keeps its place. */
async function prepareAll(to: Target, list: readonly unknown[]): Promise<readonly (NewSchedule | Error)[]> {
  const jobs = new Map<string, Promise<JobRecord>>(); // asked for once, however many schedules it has
  const jobOf = (id: string): Promise<JobRecord> => {
    if (!jobs.has(id)) jobs.set(id, published(to, id));
    return jobs.get(id)!;
  };
  const seen = new Set<string>();
  const prepared: (NewSchedule | Error)[] = [];
  for (const given of list) {
    const one = await prepare(given as Upsert, jobOf).catch(asError);
    const id = one instanceof Error ? null : scheduleId(one);
    const twice = (): Error => new InvalidInput(`schedule "${id}" is in the list twice; leave one out`);
    prepared.push(id !== null && seen.has(id) ? twice() : one);
    if (id !== null) seen.add(id);
  }
  return prepared;
}

const upsertKeys = new Set<string>([...ruleKeys, "job", "key", "payload", "queue", "priority", "tags", "retry"]);

async function prepare(given: Upsert, jobOf: (id: string) => Promise<JobRecord>): Promise<NewSchedule> {
  if (typeof given !== "object" || given === null)
    throw new InvalidInput('a schedule is not an object; write { key: "user:7", job: remind, cron: "0 9 * * *" }');
  checkKeys("a schedule", given, upsertKeys);
  const { job, payload, ...options } = given as { readonly job: AnyJob | string; readonly payload?: unknown } & When &
    TickPolicy &
    RunsOf & { readonly key: string };
  const { id } = typeof job === "object" && job !== null ? job : { id: job };
  if (typeof id !== "string") throw invalid("job", "job is neither a job nor the id of one; write job: remind");
  const name = { job: id, key: checkKey(options.key) };
  const made = newSchedule(name, { ...options, payload }, process.env["TASKER_TIMEZONE"] || "UTC");
  if (typeof job === "string") return { ...made, input: await encodePublished(await jobOf(id), payload) };
  const { issues } = await check(job.schema, payload);
  if (issues) throw new InvalidPayload(id, issues);
  return made;
}
