import { RunNotFound } from "../../sdk/port/error.ts";
import { formatId, parseId } from "../../sdk/port/id.ts";
import type { LogRecord, Target } from "../../sdk/port/target.ts";
import type { Command } from "../command.ts";
import { parsed } from "../config.ts";
import { withStore } from "../database.ts";
import { exit } from "../error.ts";
import { runDocument, runText } from "../view/show.ts";

/** `tasker run <id>`: all that is known of one run. */
export const run: Command = {
  usage: "run <id>",
  about: "Show one run: payload, result, error, attempts and log",
  takes: "database",
  flags: [],
  examples: ["tasker run run_2n9c", "tasker run run_2n9c --json"],
  run: async ({ args, out, settings }) => {
    const id = parsed("run id", () => parseId(args[0]!));
    const found = await withStore(await settings(), async (store) => {
      const record = await store.find.get(id);
      if (!record) throw new RunNotFound(formatId(id));
      return {
        record,
        attempts: (await store.find.attempts({ run: id }, { limit: 200 })).items,
        logs: await logsOf(store, id),
      };
    });
    const { record, attempts, logs } = found;
    const document = {
      ...runDocument(record),
      attempts: attempts.map((attempt) => ({ ...attempt, run: formatId(attempt.run) })),
      logs: logs.map((line) => ({
        ...line,
        run: formatId(line.run),
        data: line.data === null ? null : (JSON.parse(line.data) as unknown),
      })),
    };
    out.answer(document, () => runText(record, { attempts, logs, colors: out.colors }));
    return exit.ok;
  },
};

async function logsOf(target: Target, id: number): Promise<readonly LogRecord[]> {
  const lines: LogRecord[] = [];
  let cursor: string | null | undefined;
  while (cursor !== null) {
    const page: Awaited<ReturnType<Target["find"]["logs"]>> = await target.find.logs(id, { limit: 200, cursor });
    lines.push(...page.items);
    cursor = page.next;
  }
  return lines;
}
