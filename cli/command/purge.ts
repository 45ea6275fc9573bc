import { matching } from "../../sdk/client/act.ts";
import { filterOf, runsOf, type PurgeQuery } from "../../sdk/client/runs.ts";
import { formatId } from "../../sdk/port/id.ts";
import { finals } from "../../sdk/port/status.ts";
import type { Target } from "../../sdk/port/target.ts";
import type { Command } from "../command.ts";
import type { Given } from "../given.ts";
import { withStore } from "../database.ts";
import { ActFailed, BadUsage, exit } from "../error.ts";
import { instant, numbers, whole } from "../filter.ts";
import { present } from "../../sdk/port/option.ts";

/** `tasker purge`: deletes finished runs and all that belongs to them, or one attempt's record. */
export const purge: Command = {
  usage: "purge [...ids]",
  about: "Delete finished runs for good, by id or by filter",
  flags: [
    { flag: "--status <list>", about: `Any of ${finals.join(", ")}` },
    { flag: "--job <list>", about: "Of these jobs" },
    { flag: "--before <time>", about: 'Ended before: an ISO time, or an age like "7d"' },
    { flag: "--attempt <n>", about: "Delete only the record of this attempt of one run" },
    { flag: "--yes", about: "Delete, without showing how many first" },
  ],
  examples: [
    "tasker purge run_2n9c --yes",
    "tasker purge --status completed --before 7d --yes",
    "tasker purge run_2n9c --attempt 1 --yes",
  ],
  run: async ({ args, given, out, settings }) => {
    const wanted = chosen(args, given);
    const attempt = whole("--attempt", given.text("attempt"), 1, 1_000_000);
    if (attempt !== undefined && wanted.ids?.length !== 1) throw new BadUsage("--attempt needs the id of one run");
    const purged = await withStore(await settings(), async (store) => {
      if (!given.on("yes")) throw await unconfirmed(store, wanted);
      const runs = runsOf(async () => store);
      return attempt === undefined ? runs.purge(wanted) : forget(runs, wanted.ids![0]!, attempt);
    });
    const what = attempt === undefined ? "run" : "attempt record";
    out.answer(
      { purged },
      () =>
        `${purged} ${what}${purged === 1 ? "" : "s"} deleted${purged ? "" : "; only runs that are over can be purged"}`,
    );
    return purged > 0 ? exit.ok : exit.failed;
  },
};

function chosen(args: readonly string[], given: Given): PurgeQuery {
  const status = given.list("status").map((text) => {
    const found = finals.find((each) => each === text);
    if (!found)
      throw new BadUsage(
        `--status: "${text}" is not one of ${finals.join(", ")}; only runs that are over can be purged`,
      );
    return found;
  });
  const job = given.list("job");
  const wanted = present({
    ids: args.length > 0 ? numbers(args).map(formatId) : null,
    status: status.length > 0 ? status : null,
    job: job.length > 0 ? job : null,
    before: instant("--before", given.text("before")),
  });
  if (Object.keys(wanted).length === 0)
    throw new BadUsage("nothing to purge; give run ids, or a filter like --status completed --before 7d");
  return wanted;
}

async function unconfirmed(target: Target, { ids, before, ...same }: PurgeQuery): Promise<Error> {
  const like = filterOf({ status: finals, hooks: true, ...same, ids, finishedBefore: before });
  const count = (await matching(target, like)).length;
  if (count === 0)
    return new ActFailed("no finished run matches, so none was deleted; see what there is with: tasker runs");
  return new BadUsage(`${count} finished ${count === 1 ? "run matches" : "runs match"}; add --yes to delete for good`);
}

async function forget(runs: ReturnType<typeof runsOf>, run: string, attempt: number): Promise<number> {
  await runs.need(run);
  const { items } = await runs.attempts(run, { limit: 200 });
  const record = items.find(({ n }) => n === attempt);
  if (!record)
    throw new ActFailed(`run "${run}" has no record of attempt ${attempt}; see them with: tasker run ${run}`);
  return (await runs.forget(run, record.token)) ? 1 : 0;
}
