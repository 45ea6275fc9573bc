import { scheduleDocument } from "../../../sdk/client/document.ts";
import type { DurationText } from "../../../sdk/port/duration.ts";
import { JobNotFound } from "../../../sdk/port/error.ts";
import { parseScheduleId } from "../../../sdk/port/id.ts";
import type { TickPolicy } from "../../../sdk/define/rule.ts";
import type { Target } from "../../../sdk/port/target.ts";
import { schedulesOf, type Schedule, type Upsert } from "../../../sdk/client/schedules.ts";
import { oneLine } from "../../view/color.ts";
import type { Command } from "../../command.ts";
import type { Given } from "../../given.ts";
import { withStore } from "../../database.ts";
import { BadUsage } from "../../error.ts";
import { priorityOf, whole } from "../../filter.ts";
import { hint } from "../../../sdk/port/near.ts";
import { atOf, payloadOf } from "../../payload.ts";
import { when } from "../../view/show.ts";
import { idsOf, quoted } from "./name.ts";
import { stateOf } from "../../view/schedule.ts";
import { ownZone, wallText } from "../../view/wall.ts";
import { inFlags, localTime, whenFlags, whenOf } from "./when.ts";
import { present } from "../../../sdk/port/option.ts";

/** `tasker schedules upsert`: makes a schedule of a job that some process has published, or changes it. */
export const upsert: Command = {
  usage: "schedules upsert <id>",
  about: "Make a schedule, or replace it as a whole; its id is <job>@<key>, with a key of yours",
  flags: [
    { flag: "--cron <text>", about: 'When, by the clock, in quotes: 5 or 6 fields, seconds first, or "@daily"' },
    { flag: "--at <time>", about: `Once, at this ISO time; one in the past means now; ${localTime}` },
    ...whenFlags,
    { flag: "--payload <json>", about: "What its runs get: JSON, or - to read it from stdin" },
    { flag: "--file <path>", about: "Read the payload from a file" },
    { flag: "--overlap <policy>", about: "A tick while a run is live: allow (default), skip or cancel" },
    {
      flag: "--catch-up <policy>",
      about: 'Missed ticks: none, last (default), or the latest 10 of 6 hours as "10/6h"',
    },
    { flag: "--spread <duration>", about: "Start up to this long after the tick, always as long for one schedule" },
    { flag: "--starts <time>", about: `No ticks before this ISO time; ${localTime}` },
    { flag: "--ends <time>", about: `No ticks after this ISO time; ${localTime}` },
    { flag: "--limit <n>", about: "Runs that it makes in all" },
    { flag: "--priority <n>", about: "0 to 9, higher first (default: the job's)" },
    { flag: "--queue <name>", about: "Queue (default: the job's)" },
    { flag: "--tag <tag>", about: "Add a tag; may be given more than once" },
  ],
  examples: [
    `tasker schedules upsert remind@user:7 --cron "0 9 * * *" --timezone Europe/Paris --payload '{"user":7}'`,
    "tasker schedules upsert poll@shop --every 90s --overlap skip --catch-up none",
    "tasker schedules upsert greet@launch --at 2030-01-01T00:00:00Z --file payload.json",
  ],
  run: async ({ args, given, out, settings }) => {
    const [id] = idsOf(args) as [string];
    const name = parseScheduleId(id);
    if (name.key === "")
      throw new BadUsage(
        `"${id}" has no key, as only schedules in code may; write it like ${quoted(`${name.job}@daily`)}`,
      );
    const read = await settings();
    const wanted = {
      ...name,
      ...whenOf(given, given.text("cron"), read.timezone),
      ...policyOf(given),
      ...runsOf(given),
    } as Upsert; // upsert checks it
    const made = await withStore(read, (store) => inFlags(given, () => upserted(wanted, store)), true);
    out.answer(scheduleDocument(made), () => `${out.colors.cyan(oneLine(id))}  ${oneLine(said(made))}`);
  },
};

async function upserted(wanted: Upsert, store: Target): Promise<Schedule> {
  try {
    return await schedulesOf(async () => store).upsert(wanted);
  } catch (error) {
    if (!(error instanceof JobNotFound)) throw error;
    const job = String(wanted.job);
    const known = (await store.find.jobs()).map(({ id }) => id);
    const next = hint(job, known) || "; start a process that has it, or see those that there are with: tasker jobs";
    error.message = `no node has published job "${job}"${next}`;
    throw error;
  }
}

function said(schedule: Schedule): string {
  const { nextAt, rule, paused, count, last } = schedule;
  if (nextAt)
    return `stored; its next run is due ${when(nextAt, new Date())}, ${wallText(nextAt, rule.timezone ?? ownZone())}`;
  if (paused || count === 0) return `stored; it is ${stateOf(schedule)}, so it makes no run now`;
  const look = last ? `; look at it with: tasker run ${last.run}` : "";
  return `stored; its ${rule.atMs === undefined ? "last run" : "run"} was made${look}`;
}

function policyOf(given: Given): TickPolicy {
  const catchUp = given.text("catch-up");
  return present({
    overlap: given.text("overlap") as TickPolicy["overlap"], // these three are checked by upsert
    spread: given.text("spread") as DurationText | null,
    catchUp: catchUp === null ? null : catchUpOf(catchUp),
    startsAt: atOf(given, "starts"),
    endsAt: atOf(given, "ends"),
    limit: whole("--limit", given.text("limit"), 1, 999_999_999),
  });
}

function catchUpOf(text: string): TickPolicy["catchUp"] {
  if (text === "none" || text === "last") return text;
  const [, max, within] = /^(\d{1,9})\/(.+)$/.exec(text) ?? [];
  if (max !== undefined) return { max: Number(max), within: within as DurationText };
  throw new BadUsage(`--catch-up: "${text}" is none of none, last and a number with an age, like "10/6h"`);
}

function runsOf(given: Given): Pick<Upsert, "payload" | "queue" | "priority" | "tags"> {
  const tags = given.each("tag");
  const more = { queue: given.text("queue"), priority: priorityOf(given), tags: tags.length > 0 ? tags : null };
  return { payload: payloadOf(given.text("payload") ?? undefined, given), ...present(more) };
}
