import { scheduleDocument } from "../../sdk/client/document.ts";
import { schedulesOf, type ScheduleQuery } from "../../sdk/client/schedules.ts";
import type { Command } from "../command.ts";
import type { Given } from "../given.ts";
import { withStore } from "../database.ts";
import { exit } from "../error.ts";
import { whole } from "../filter.ts";
import { quoted } from "./schedules/name.ts";
import { scheduleTable } from "../view/schedule.ts";
import { ownZone } from "../view/wall.ts";
import { present } from "../../sdk/port/option.ts";

/** `tasker schedules`: lists schedules, by job, then key. */
export const schedules: Command = {
  usage: "schedules",
  about: "List schedules: when each runs next, and what became of its last run",
  flags: [
    { flag: "--job <list>", about: "Of these jobs" },
    { flag: "--paused", about: "Only paused ones" },
    { flag: "--declared", about: "Only those that jobs declare in their code" },
    { flag: "--limit <n>", about: "Schedules to show, 1 to 200 (default: 50)" },
    { flag: "--cursor <cursor>", about: "Go on where a list ended" },
  ],
  examples: ["tasker schedules", "tasker schedules --job remind --paused", "tasker schedules --json"],
  run: async ({ given, out, settings }) => {
    const query = queryOf(given);
    const paging = { limit: whole("--limit", given.text("limit"), 1, 200), cursor: given.text("cursor") ?? undefined };
    const { items, next } = await withStore(await settings(), (store) =>
      schedulesOf(async () => store).list(query, paging),
    );
    const isFiltered = Object.keys(query).length > 0;
    out.answer({ items: items.map(scheduleDocument), next }, () =>
      items.length > 0
        ? scheduleTable(items, out.colors, { zone: ownZone(), now: new Date() })
        : isFiltered
          ? "no schedules match; leave out a filter, or see all with: tasker schedules"
          : 'no schedules yet; declare one on a job with schedule: { cron: "0 9 * * *" }, or make one with: tasker schedules upsert <job>@<key> --cron "0 9 * * *"',
    );
    if (next !== null) out.note(`more: add --cursor ${quoted(next)}`);
    return items.length > 0 || !isFiltered ? exit.ok : exit.failed;
  },
};

function queryOf(given: Given): ScheduleQuery {
  const job = given.list("job");
  const on = (flag: string): true | null => given.on(flag) || null;
  return present({ job: job.length > 0 ? job : null, paused: on("paused"), declared: on("declared") });
}
