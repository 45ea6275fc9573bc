import { ScheduleNotFound } from "../../../sdk/port/error.ts";
import { ruleOf } from "../../../sdk/define/rule.ts";
import { schedules as free, schedulesOf, type PreviewTick } from "../../../sdk/client/schedules.ts";
import type { Rule } from "../../../sdk/port/target.ts";
import type { Command } from "../../command.ts";
import type { Given } from "../../given.ts";
import type { Settings } from "../../config.ts";
import { withStore } from "../../database.ts";
import { BadUsage } from "../../error.ts";
import { whole } from "../../filter.ts";
import { atOf } from "../../payload.ts";
import { hinted, idsOf } from "./name.ts";
import { oneLine } from "../../view/color.ts";
import { ruleText } from "../../view/rule.ts";
import { tickDocuments, tickLines } from "../../view/tick.ts";
import { inFlags, localTime, whenFlags, whenOf } from "./when.ts";

interface Preview {
  readonly rule: Rule;
  readonly ticks: readonly PreviewTick[];
}

/** `tasker schedules preview`: the coming ticks of a rule, or of a schedule. */
export const preview: Command = {
  usage: "schedules preview [rule]",
  about: "Show the coming ticks of a cron text in quotes, of --every, or of a schedule by its id",
  flags: [
    ...whenFlags,
    { flag: "--from <time>", about: `Ticks after this ISO time (default: now); ${localTime}` },
    { flag: "--count <n>", about: "Ticks to show, 1 to 1000 (default: 5)" },
  ],
  examples: [
    `tasker schedules preview "0 30 2 * * *" --timezone Europe/Paris --from 2026-10-24T00:00:00Z`,
    "tasker schedules preview --every 90s --count 3",
    "tasker schedules preview remind@user:7 --json",
  ],
  run: async ({ args: [text = null], given, out, settings }) => {
    const read = await settings();
    const span = { from: atOf(given, "from"), count: whole("--count", given.text("count"), 1, 1000) };
    const { rule, ticks } = await (text !== null && isId(text)
      ? ofSchedule(text, { given, settings: read, span })
      : ofRule(text, { given, settings: read, span }));
    const zone = rule.timezone ?? read.timezone;
    const shown = ruleText(rule);
    out.answer({ rule: shown, cron: rule.cron ?? null, timezone: zone, ticks: tickDocuments(ticks, zone) }, () => {
      const lines = ticks.length > 0 ? tickLines(ticks, { rule, zone, paint: out.colors }) : "no ticks are to come";
      return `${out.colors.bold(oneLine(rule.cron ?? shown))}  ${zone}\n\n${lines}`;
    });
  },
};

interface Asked {
  readonly given: Given;
  readonly settings: Settings;
  readonly span: { readonly from: Date | undefined; readonly count: number | undefined };
}

/** A cron text has several fields, or is a macro. */
function isId(text: string): boolean {
  return !/\s/.test(text.trim()) && !text.startsWith("@");
}

async function ofRule(text: string | null, { given, settings, span }: Asked): Promise<Preview> {
  if (text === null && !given.on("every"))
    throw new BadUsage(
      'which rule? give a cron text in quotes, like "0 9 * * MON-FRI", --every 90s, or the id of a schedule',
    );
  const when = whenOf(given, text, settings.timezone);
  return inFlags(given, async () => ({ rule: ruleOf(when), ticks: await free.preview(when, span) }));
}

async function ofSchedule(id: string, { given, settings, span }: Asked): Promise<Preview> {
  if (!/^[A-Za-z0-9_.:/-]+(?:@|$)/.test(id))
    throw new BadUsage(
      `"${id}" is neither a cron text nor the id of a schedule; write a cron text in quotes, like "0 9 * * *"`,
    );
  idsOf([id]);
  const own = ["every", "anchor", "sub-second", "timezone", "dst-gap", "dst-overlap"].find((flag) => given.on(flag));
  if (own) throw new BadUsage(`--${own} is for a rule, and schedule "${id}" has its own; leave out one of them`);
  return withStore(settings, async (store) => {
    const schedules = schedulesOf(async () => store);
    return hinted(id, schedules, async () => {
      const found = await schedules.get(id);
      if (!found) throw new ScheduleNotFound(id);
      return { rule: found.rule, ticks: await schedules.preview(id, span) };
    });
  });
}
