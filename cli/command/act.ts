/** What cancel, resume, retry, replay and fix have in common: runs by id or by filter, in batches, and what became of each. */
import { formatId } from "../../sdk/port/id.ts";
import { act, matching, nextOf, taken, type Acted, type How } from "../../sdk/client/act.ts";
import { replayAll, type ReplayOptions } from "../../sdk/client/replay.ts";
import type { RunFilter, Target } from "../../sdk/port/target.ts";
import type { Command } from "../command.ts";
import type { Flag, Given } from "../given.ts";
import { withStore } from "../database.ts";
import { ActFailed, BadUsage, exit } from "../error.ts";
import { filter, filterFlags, numbers } from "../filter.ts";
import { payloadOf } from "../payload.ts";
import type { Output } from "../view/output.ts";

type Does = (to: Target, ids: readonly number[]) => Promise<readonly Acted[]>;
interface Deed {
  /** `cancel`, and `canceled` for what became of a run. */
  readonly verb: Exclude<How, "edit">;
  readonly past: string;
  /** Where its command has another name. */
  readonly name?: string;
  /** What is done, as the flags say. */
  readonly does: (given: Given) => Does;
  readonly about: string;
  readonly flags?: readonly Flag[];
  readonly examples: readonly string[];
}

/** The command of a deed: with ids at once, with a filter only after `--yes`. */
export function deed(parts: Deed): Command {
  return {
    usage: `${parts.name ?? parts.verb} [...ids]`,
    about: parts.about,
    flags: [
      ...(parts.flags ?? []),
      ...filterFlags,
      { flag: "--yes", about: "Act on all runs that match, without showing how many first" },
    ],
    examples: parts.examples,
    run: async ({ args, given, out, settings }) => {
      const wanted = chosen(args, given, parts);
      const does = parts.does(given);
      return withStore(await settings(), async (store) => {
        if (Array.isArray(wanted)) return report(await does(store, wanted as readonly number[]), out, parts);
        const ids = await matching(store, wanted as RunFilter);
        if (ids.length === 0)
          throw new ActFailed(`no run matches, so none was ${parts.past}; see what there is with: tasker runs`);
        if (!given.on("yes"))
          throw new BadUsage(
            `${ids.length} ${ids.length === 1 ? "run matches" : "runs match"}; add --yes to ${parts.verb} ${ids.length === 1 ? "it" : "them"}`,
          );
        return summary(await does(store, ids), out, parts);
      });
    },
  };
}

/** `tasker cancel`: ends runs that are not over; a running one hears it on its signal. */
export const cancel = deed({
  verb: "cancel",
  past: "canceled",
  does: acting("cancel"),
  about: "Cancel runs, by id or by filter",
  examples: ["tasker cancel run_2n9c", "tasker cancel --job remind --tag user:7 --yes"],
});

/** `tasker resume`: makes canceled runs pending again. */
export const resume = deed({
  verb: "resume",
  past: "resumed",
  does: acting("resume"),
  about: "Make canceled runs pending again, by id or by filter",
  examples: ["tasker resume run_2n9c", "tasker resume --queue mail --since 1d --yes"],
});

/** `tasker retry`: makes failed runs pending again, with all that their policy allows. */
export const retry = deed({
  verb: "retry",
  past: "made pending again",
  does: acting("retry"),
  about: "Try failed runs again, by id or by filter",
  flags: [{ flag: "--failed", about: "All failed runs that match" }],
  examples: ["tasker retry run_2n9c", "tasker retry --failed --job remind --yes"],
});

/** `tasker replay`: makes new runs from old ones' input. */
export const replay = deed({
  verb: "replay",
  past: "replayed",
  does: (given) => {
    const options = replayOf(given);
    return (to, ids) => replayAll(to, ids, options);
  },
  about: "Make new runs from the input of old ones, by id or by filter; of workflows, from a step on",
  flags: [
    { flag: "--from <step>", about: "Keep what came before this step, and do it again with all that came after it" },
    { flag: "--input <json>", about: "Another payload; - reads it from stdin" },
    { flag: "--file <path>", about: "Read the other payload from a file" },
  ],
  examples: [
    "tasker replay run_2n9c",
    `tasker replay run_2n9c --from charge --input '{"cents":900}'`,
    "tasker replay --job remind --status failed --since 1h --yes",
  ],
});

function replayOf(given: Given): ReplayOptions {
  const isGiven = given.on("input") || given.on("file");
  return {
    ...(given.on("from") && { from: given.text("from")! }),
    ...(isGiven && { payload: payloadOf(given.text("input") ?? undefined, given) }),
  };
}

function acting(verb: Parameters<typeof act>[1]): Deed["does"] {
  return () => (to, ids) => act(to, verb, ids);
}

function chosen(args: readonly string[], given: Given, { verb }: Deed): readonly number[] | RunFilter {
  const wanted = filter(given);
  const filtered = Object.keys(wanted).length > 0 || given.on("failed");
  if (args.length > 0 && filtered) throw new BadUsage("run ids and a filter were given; give one of them");
  if (args.length > 0) return numbers(args);
  if (filtered) return { ...wanted, status: wanted.status ?? taken[verb] };
  throw new BadUsage(`nothing to ${verb}; give run ids, or a filter like --job or --status with --yes`);
}

function report(acts: readonly Acted[], out: Output, parts: Deed): number {
  out.answer(documentOf(acts), () =>
    acts.map((acted) => `${out.colors.cyan(formatId(acted.id))}  ${said(acted, parts)}`).join("\n"),
  );
  return acts.every(isDone) ? exit.ok : exit.failed;
}

function summary(acts: readonly Acted[], out: Output, { past }: Deed): number {
  const count = (done: Acted["done"]): number => acts.filter((acted) => acted.done === done).length;
  const asked = count("asked") ? `, ${count("asked")} asked of the nodes that run them` : "";
  const refused = !acts.every(isDone) ? `, ${count("refused") + count("missing")} had moved on` : "";
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

function said(acted: Acted, { verb, past }: Deed): string {
  const { done, status, made, why } = acted;
  if (done === "done") return made === undefined ? past : `${past} as ${formatId(made)}`;
  if (done === "asked") return "asked: a node holds it, and stops it now";
  if (done === "missing") return "does not exist, or was purged";
  return `refused to ${verb}: ${why ?? `it is ${status ?? "in another state"}; ${nextOf(acted, verb)}`}`;
}

function isDone({ done }: Acted): boolean {
  return done === "done" || done === "asked";
}
