import type { JobRecord } from "../../sdk/port/target.ts";
import type { Command } from "../command.ts";
import { withStore } from "../database.ts";
import { when } from "../view/show.ts";
import { table, type Column } from "../view/table.ts";

/** `tasker jobs`: what processes published of their jobs. */
export const jobs: Command = {
  usage: "jobs",
  about: "List the jobs that processes on this database have",
  examples: ["tasker jobs", "tasker jobs --json"],
  run: async ({ out, settings }) => {
    const list = await withStore(await settings(), (store) => store.find.jobs());
    const items = list.map(({ schema, ...rest }) => ({
      ...rest,
      schema: schema === null ? null : (JSON.parse(schema) as unknown),
    }));
    const now = new Date();
    const columns: Column<JobRecord>[] = [
      { title: "JOB", cell: (job) => job.id, paint: () => out.colors.bold },
      { title: "QUEUE", cell: (job) => job.queue },
      { title: "PRIORITY", cell: (job) => job.priority, align: "right" },
      { title: "SEEN", cell: (job) => when(job.seenAt, now) },
      { title: "DESCRIPTION", cell: (job) => job.description ?? "" },
    ];
    const empty = 'no jobs are known yet; start a process that has some with "tasker dev" or "tasker start"';
    out.answer({ items, next: null }, () => (list.length > 0 ? table(list, columns, out.colors.dim) : empty));
  },
};
