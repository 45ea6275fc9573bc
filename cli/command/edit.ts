import { runsOf, type Change } from "../../sdk/client/runs.ts";
import type { DurationText } from "../../sdk/port/duration.ts";
import { formatId, parseId } from "../../sdk/port/id.ts";
import type { Command } from "../command.ts";
import type { Given } from "../given.ts";
import { parsed } from "../config.ts";
import { withStore } from "../database.ts";
import { BadUsage } from "../error.ts";
import { priorityOf, whole } from "../filter.ts";
import { atOf, payloadOf } from "../payload.ts";
import { present } from "../../sdk/port/option.ts";

/** `tasker edit`: changes a pending run. */
export const edit: Command = {
  usage: "edit <id> [payload]",
  about: "Change a pending run: its instant, payload, attempts or priority",
  flags: [
    { flag: "--now", about: "Start it now" },
    { flag: "--delay <duration>", about: 'Start it this much later than now, like "5m"' },
    { flag: "--at <time>", about: "Start it at this ISO time" },
    { flag: "--attempts <n>", about: "All tries, 1 to 1000" },
    { flag: "--priority <n>", about: "0 to 9, higher first" },
    { flag: "--file <path>", about: "Read the payload from a file" },
  ],
  examples: ["tasker edit run_2n9c --now", `tasker edit run_2n9c '{"name":"Ada"}' --priority 9`],
  run: async ({ args: [ref, text], given, out, settings }) => {
    const id = formatId(parsed("run id", () => parseId(ref!)));
    const change = changeOf(text, given);
    await withStore(await settings(), (store) => runsOf(async () => store).edit(id, change));
    out.answer({ id, changed: true }, () => `${out.colors.cyan(id)}  changed; look at it with: tasker run ${id}`);
  },
};

function changeOf(text: string | undefined, given: Given): Change {
  const delay = given.on("now") ? "0s" : given.text("delay");
  const isGiven = text !== undefined || given.on("file");
  const change: Change = {
    ...present({ delay: delay as DurationText | null, runAt: atOf(given) }), // checked by edit
    ...present({ attempts: whole("--attempts", given.text("attempts"), 1, 1000), priority: priorityOf(given) }),
    ...(isGiven && { payload: payloadOf(text, given) }),
  };
  if (Object.keys(change).length === 0)
    throw new BadUsage("nothing to change; give a payload, --now, --delay, --at, --attempts or --priority");
  return change;
}
