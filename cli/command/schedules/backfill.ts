import { schedulesOf } from "../../../sdk/client/schedules.ts";
import type { Command } from "../../command.ts";
import { withStore } from "../../database.ts";
import { BadUsage, exit } from "../../error.ts";
import { instant } from "../../filter.ts";
import { hinted, idsOf } from "./name.ts";
import { inFlags, localTime } from "./when.ts";

/** `tasker schedules backfill`: runs for ticks of a range that have none. */
export const backfill: Command = {
  usage: "schedules backfill <id>",
  about: "Add a run for each tick of a past range that has none; they start now, 1000 ticks at most",
  flags: [
    { flag: "--from <time>", about: `First instant: an ISO time, or an age like "6h"; ${localTime}` },
    {
      flag: "--to <time>",
      about: `Last instant: an ISO time, or an age like "1h" (default: the database's now); ${localTime}`,
    },
  ],
  examples: [
    "tasker schedules backfill report --from 2026-10-01T00:00:00Z --to 2026-10-08T00:00:00Z",
    "tasker schedules backfill report --from 6h",
  ],
  run: async ({ args, given, out, settings }) => {
    const [id] = idsOf(args) as [string];
    const now = new Date();
    const from = instant("--from", given.text("from"), now);
    if (!from) throw new BadUsage("--from is missing; say where the range begins, like --from 2026-10-01T00:00:00Z");
    const to = instant("--to", given.text("to"), now);
    const { ticks, runs } = await withStore(await settings(), (store) => {
      const schedules = schedulesOf(async () => store);
      return inFlags(given, () => hinted(id, schedules, () => schedules.backfill(id, { from, ...(to && { to }) })));
    });
    out.answer({ id, ticks, runs }, () =>
      ticks === 0 ? "the range has no tick, so no run was added" : added(ticks, runs),
    );
    return ticks === 0 ? exit.failed : exit.ok;
  },
};

function added(ticks: number, runs: readonly string[]): string {
  const of = `${ticks} ${ticks === 1 ? "tick" : "ticks"}`;
  if (runs.length === 0) return `${of}, each of which had its run already; none was added`;
  return [`${of}; ${runs.length} ${runs.length === 1 ? "run was" : "runs were"} added:`, ...runs].join("\n");
}
