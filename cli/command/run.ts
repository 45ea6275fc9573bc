import { RunNotFound } from "../../sdk/port/error.ts";
import { formatId, parseId } from "../../sdk/port/id.ts";
import { runDocument } from "../../sdk/client/document.ts";
import { all } from "../../sdk/client/page.ts";
import { runsOf } from "../../sdk/client/runs.ts";
import type { Entry } from "../../sdk/port/flow.ts";
import type { Find } from "../../sdk/port/target.ts";
import { notesOf } from "../../sdk/port/note.ts";
import type { Command } from "../command.ts";
import { parsed } from "../config.ts";
import { withStore } from "../database.ts";
import { timelineOf, type Children } from "../view/timeline.ts";
import { runText } from "../view/show.ts";

/** `tasker run <id>`: all that is known of one run. */
export const run: Command = {
  usage: "run <id>",
  about: "Show one run: payload, result, error, steps, attempts and log",
  examples: ["tasker run run_2n9c", "tasker run run_2n9c --json"],
  run: async ({ args, out, settings }) => {
    const id = parsed("run id", () => parseId(args[0]!));
    const { record, timeline, attempts, logs } = await withStore(await settings(), async (store) => {
      const record = await store.find.get(id);
      if (!record) throw new RunNotFound(formatId(id));
      const verbs = runsOf(async () => store);
      const entries = await store.flow.read(id);
      return {
        record,
        timeline: timelineOf(record, entries, await childrenOf(store.find, entries)),
        attempts: (await verbs.attempts(formatId(id), { limit: 200 })).items,
        logs: (await all((paging) => verbs.logs(formatId(id), paging))).items,
      };
    });
    const document = { ...runDocument(record), timeline, attempts, logs };
    out.answer(document, () => runText(record, { timeline, attempts, logs, colors: out.colors }));
  },
};

/** The runs that a workflow made and that may not have ended yet, 200 at most. */
async function childrenOf(find: Find, entries: readonly Entry[]): Promise<Children> {
  const ended = new Set(entries.map((entry) => notesOf(entry).run));
  const ids = entries.flatMap(({ runs }) => runs ?? []).filter((id) => !ended.has(id));
  if (ids.length === 0) return new Map();
  const { items } = await find.list({ ids: ids.slice(0, 200), hooks: true }, { limit: 200 });
  return new Map(items.map((each) => [each.id, each]));
}
