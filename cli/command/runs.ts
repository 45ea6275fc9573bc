import { runDocument } from "../../sdk/client/document.ts";
import { all } from "../../sdk/client/page.ts";
import type { RunFilter } from "../../sdk/port/target.ts";
import type { Command } from "../command.ts";
import { withStore } from "../database.ts";
import { exit } from "../error.ts";
import { filter, filterFlags, whole } from "../filter.ts";
import { runTable } from "../view/show.ts";

/** `tasker runs`: lists and searches runs, the newest first. */
export const runs: Command = {
  usage: "runs",
  about: "List and search runs, the newest first",
  flags: [
    ...filterFlags,
    { flag: "--limit <n>", about: "Runs to show, 1 to 200 (default: 50)" },
    { flag: "--cursor <cursor>", about: "Go on where a list ended" },
    { flag: "--all", about: "Show all pages" },
    { flag: "--hooks", about: "Include the runs that execute hooks" },
  ],
  examples: [
    "tasker runs --status failed --since 1h",
    "tasker runs --job remind --payload user.id=42",
    "tasker runs --error timeout --json",
  ],
  run: async ({ given, out, settings }) => {
    const wanted: RunFilter = { ...filter(given), ...(given.on("hooks") && { hooks: true }) };
    const paging = { limit: whole("--limit", given.text("limit"), 1, 200), cursor: given.text("cursor") ?? undefined };
    const { items, next, complete } = await withStore(await settings(), ({ find }) =>
      given.on("all") ? all((page) => find.list(wanted, page), paging.cursor) : find.list(wanted, paging),
    );
    out.answer({ items: items.map(runDocument), next, complete }, () =>
      items.length > 0 ? runTable(items, out.colors) : nothing(wanted),
    );
    if (next !== null) out.note(`more: add --cursor ${next}, or --all`);
    if (!complete) out.note("the search stopped at its bound; narrow it with --since, --job or --status");
    return items.length > 0 || Object.keys(wanted).length === 0 ? exit.ok : exit.failed;
  },
};

function nothing(wanted: RunFilter): string {
  if (Object.keys(wanted).length > 0) return "no runs match; leave out a filter, or see all with: tasker runs";
  return "no runs yet; add one with: tasker trigger <job> [payload]";
}
