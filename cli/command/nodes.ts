import type { NodeStat } from "../../sdk/port/target.ts";
import { humanMs } from "../../sdk/port/duration.ts";
import type { Colors } from "../view/color.ts";
import type { Command } from "../command.ts";
import { withStore } from "../database.ts";
import { when } from "../view/show.ts";
import { table } from "../view/table.ts";

/** `tasker nodes`: the processes that run jobs on this database. */
export const nodes: Command = {
  usage: "nodes",
  about: "List the processes that run jobs on this database",
  examples: ["tasker nodes", "tasker nodes --json"],
  run: async ({ out, settings }) => {
    const { nodes: list, at } = await withStore(await settings(), (store) => store.find.stats({ lanes: false }));
    const empty = 'no node is there; start one with "tasker start" or "tasker dev"';
    out.answer({ items: list, next: null }, () => (list.length > 0 ? nodeTable(list, out.colors, at) : empty));
  },
};

/** A table of nodes; `at` is now, by the store's clock. */
export function nodeTable(list: readonly NodeStat[], paint: Colors, at: Date): string {
  const state = ({ alive, draining, asleep }: NodeStat): string =>
    !alive ? "gone" : draining ? "draining" : asleep ? "asleep" : "alive";
  return table(
    list,
    [
      { title: "NODE", cell: (node) => node.name },
      { title: "STATE", cell: state, paint: (node) => (node.alive ? paint.green : paint.red) },
      { title: "BUSY", cell: (node) => `${node.busy}/${node.slots}`, align: "right" },
      { title: "HEAP", cell: (node) => node.heap, align: "right" },
      {
        title: "UPTIME",
        cell: ({ alive, startedAt, seenAt }) =>
          humanMs(Math.max(0, (alive ? at : seenAt).getTime() - startedAt.getTime())),
        align: "right",
      },
      { title: "SEEN", cell: (node) => when(node.seenAt, at) },
      { title: "JOBS", cell: (node) => node.jobs.join(", ") },
    ],
    paint.dim,
  );
}
