import { RunNotFound } from "../../sdk/port/error.ts";
import { formatId, parseId } from "../../sdk/port/id.ts";
import { runDocument } from "../../sdk/client/document.ts";
import { all } from "../../sdk/client/page.ts";
import { runsOf } from "../../sdk/client/runs.ts";
import { beganAt, childrenOf, timelineOf } from "../../sdk/client/timeline.ts";
import { whyOf } from "../../sdk/client/why.ts";
import { isFinal } from "../../sdk/port/status.ts";
import type { Command } from "../command.ts";
import { parsed } from "../config.ts";
import { withStore } from "../database.ts";
import { runText } from "../view/show.ts";

/** `tasker run <id>`: all that is known of one run. */
export const run: Command = {
  usage: "run <id>",
  about: "Show one run: where it stands, payload, result, error, steps, attempts and log",
  examples: ["tasker run run_2n9c", "tasker run run_2n9c --json"],
  run: async ({ args, out, settings }) => {
    const id = parsed("run id", () => parseId(args[0]!));
    const { record, ...more } = await withStore(await settings(), async (store) => {
      const record = await store.find.get(id);
      if (!record) throw new RunNotFound(formatId(id));
      const verbs = runsOf(async () => store);
      const entries = await store.flow.read(id);
      return {
        record,
        why: isFinal(record.status) ? null : await whyOf(store, id),
        timeline: timelineOf(record, entries, await childrenOf(store.find, entries)),
        attempts: (await verbs.attempts(formatId(id), { limit: 200 })).items,
        logs: (await all((paging) => verbs.logs(formatId(id), paging))).items,
      };
    });
    const document = { ...runDocument(record), beganAt: beganAt(record, more.timeline, more.attempts), ...more };
    out.answer(document, () => runText(record, { ...more, colors: out.colors }));
  },
};
