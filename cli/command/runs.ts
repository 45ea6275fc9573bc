import type { Command } from "../command.ts";
import { withStore } from "../database.ts";
import { exit } from "../error.ts";
import { filter, filterFlags, whole } from "../filter.ts";
import { runDocument, runTable } from "../view/show.ts";
import type { Page, RunFilter, RunRecord, Target } from "../../sdk/port/target.ts";

/** `tasker runs`: lists and searches runs, the newest first. */
export const runs: Command = {
  usage: "runs",
  about: "List and search runs, the newest first",
  takes: "database",
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
    const page = await withStore(await settings(), (store) =>
      given.on("all") ? everything(store, wanted, paging.cursor) : store.find.list(wanted, paging),
    );
    const { items, next, complete } = page;
    out.answer({ items: items.map(runDocument), next, complete }, () =>
      items.length > 0 ? runTable(items, out.colors) : nothing(wanted),
    );
    if (next !== null) out.note(`more: add --cursor ${next}, or --all`);
    if (!complete) out.note("the search stopped at its bound; narrow it with --since, --job or --status");
    return items.length > 0 || Object.keys(wanted).length === 0 ? exit.ok : exit.failed;
  },
};

async function everything(target: Target, wanted: RunFilter, from: string | undefined): Promise<Page<RunRecord>> {
  const items: RunRecord[] = [];
  let complete = true;
  for (let cursor: string | null | undefined = from; cursor !== null;) {
    const page: Page<RunRecord> = await target.find.list(wanted, { limit: 200, cursor });
    items.push(...page.items);
    complete &&= page.complete;
    cursor = page.next;
  }
  return { items, next: null, complete };
}

function nothing(wanted: RunFilter): string {
  if (Object.keys(wanted).length > 0) return "no runs match; leave out a filter, or see all with: tasker runs";
  return "no runs yet; add one with: tasker trigger <job> [payload]";
}
