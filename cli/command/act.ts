/** What cancel, resume, retry and replay have in common: runs by id or by filter, in batches, and what became of each. */
import { formatId } from "../../sdk/port/id.ts";
import type { Status } from "../../sdk/port/status.ts";
import type { Act, RunFilter, Target } from "../../sdk/port/target.ts";
import type { Command } from "../command.ts";
import type { Flag, Given } from "../given.ts";
import { withStore } from "../database.ts";
import { ActFailed, BadUsage, exit } from "../error.ts";
import { filter, filterFlags, matching, numbers } from "../filter.ts";
import type { Output } from "../view/output.ts";

/** An act on one run and what came of it; `made` is the new run, where the act makes one. */
export type Acted = Act & { readonly made?: number };

export interface Deed {
  /** `cancel`, and `canceled` for what became of a run. */
  readonly verb: string;
  readonly past: string;
  readonly about: string;
  /** The statuses that a filter stands for when it names none. */
  readonly of: readonly Status[];
  readonly flags?: readonly Flag[];
  readonly examples: readonly string[];
  act(target: Target, ids: readonly number[]): Promise<readonly Acted[]>;
}

const batch = 500;

/** The command of a deed: with ids at once, with a filter only after `--yes`. */
export function deed(parts: Deed): Command {
  return {
    usage: `${parts.verb} [...ids]`,
    about: parts.about,
    takes: "database",
    flags: [
      ...(parts.flags ?? []),
      ...filterFlags,
      { flag: "--yes", about: "Act on all runs that match, without showing how many first" },
    ],
    examples: parts.examples,
    run: async ({ args, given, out, settings }) => {
      const wanted = chosen(args, given, parts);
      return withStore(await settings(), async (store) => {
        if (Array.isArray(wanted))
          return report(await inBatches(store, wanted as readonly number[], parts), out, parts);
        const ids = await matching(store, wanted as RunFilter);
        if (ids.length === 0)
          throw new ActFailed(`no run matches, so none was ${parts.past}; see what there is with: tasker runs`);
        if (!given.on("yes"))
          throw new BadUsage(
            `${ids.length} ${ids.length === 1 ? "run matches" : "runs match"}; add --yes to ${parts.verb} ${ids.length === 1 ? "it" : "them"}`,
          );
        return summary(await inBatches(store, ids, parts), out, parts);
      });
    },
  };
}

function chosen(args: readonly string[], given: Given, { verb, of }: Deed): readonly number[] | RunFilter {
  const wanted = filter(given);
  const filtered = Object.keys(wanted).length > 0 || given.on("failed");
  if (args.length > 0 && filtered) throw new BadUsage("run ids and a filter were given; give one of them");
  if (args.length > 0) return numbers(args);
  if (filtered) return { ...wanted, status: wanted.status ?? of };
  throw new BadUsage(`nothing to ${verb}; give run ids, or a filter like --job or --status with --yes`);
}

async function inBatches(target: Target, ids: readonly number[], { act }: Deed): Promise<readonly Acted[]> {
  const results: Acted[] = [];
  for (let at = 0; at < ids.length; at += batch) results.push(...(await act(target, ids.slice(at, at + batch))));
  return results;
}

function report(acts: readonly Acted[], out: Output, parts: Deed): number {
  out.answer(documentOf(acts), () =>
    acts.map((act) => `${out.colors.cyan(formatId(act.id))}  ${said(act, parts)}`).join("\n"),
  );
  return acts.every(isDone) ? exit.ok : exit.failed;
}

function summary(acts: readonly Acted[], out: Output, { past }: Deed): number {
  const count = (done: Act["done"]): number => acts.filter((act) => act.done === done).length;
  const asked = count("asked") ? `, ${count("asked")} asked of the nodes that run them` : "";
  const refused = acts.some((act) => !isDone(act)) ? `, ${count("refused") + count("missing")} had moved on` : "";
  out.answer(documentOf(acts), () => `${count("done")} ${past}${asked}${refused}`);
  return acts.some(isDone) ? exit.ok : exit.failed;
}

function documentOf(acts: readonly Acted[]): object {
  const items = acts.map(({ id, done, status, made }) => ({
    id: formatId(id),
    done,
    status,
    ...(made !== undefined && { made: formatId(made) }),
  }));
  return { items, next: null };
}

function said({ done, status, made }: Acted, { verb, past }: Deed): string {
  if (done === "done") return made === undefined ? past : `${past} as ${formatId(made)}`;
  if (done === "asked") return "asked: a node holds it, and stops it now";
  return done === "missing"
    ? "does not exist, or was purged"
    : `refused to ${verb}: it is ${status ?? "in another state"}`;
}

function isDone(act: Act): boolean {
  return act.done === "done" || act.done === "asked";
}
