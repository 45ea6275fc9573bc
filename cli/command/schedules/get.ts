import { scheduleDocument } from "../../../sdk/client/document.ts";
import { ScheduleNotFound } from "../../../sdk/port/error.ts";
import { schedulesOf } from "../../../sdk/client/schedules.ts";
import type { Command } from "../../command.ts";
import { withStore } from "../../database.ts";
import { hinted, idsOf } from "./name.ts";
import { scheduleText } from "../../view/schedule.ts";
import { tickDocuments } from "../../view/tick.ts";
import { ownZone } from "../../view/wall.ts";

/** `tasker schedules get`: all that is known of one schedule, and its next 3 ticks. */
export const get: Command = {
  usage: "schedules get <id>",
  about: "Show one schedule: rule, payload, last run and coming ticks",
  examples: ["tasker schedules get remind@user:7", "tasker schedules get report --json"],
  run: async ({ args, out, settings }) => {
    const [id] = idsOf(args) as [string];
    const { schedule, ticks } = await withStore(await settings(), async (store) => {
      const schedules = schedulesOf(async () => store);
      const found = await schedules.get(id);
      if (!found) return hinted(id, schedules, () => Promise.reject(new ScheduleNotFound(id)));
      return { schedule: found, ticks: await schedules.preview(id, { count: 3 }) };
    });
    const viewer = { zone: ownZone(), now: new Date() };
    out.answer(
      { ...scheduleDocument(schedule), ticks: tickDocuments(ticks, schedule.rule.timezone ?? viewer.zone) },
      () => scheduleText(schedule, { ticks, colors: out.colors, ...viewer }),
    );
  },
};
