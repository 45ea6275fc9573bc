/** Rules of schedules on command lines. */
import type { DurationText } from "../../../sdk/port/duration.ts";
import { InvalidInput } from "../../../sdk/port/error.ts";
import type { When } from "../../../sdk/define/rule.ts";
import type { Flag, Given } from "../../given.ts";
import { BadUsage } from "../../error.ts";
import { atOf } from "../../payload.ts";

/** Ends what help says of a flag that takes an ISO time. */
export const localTime = "without an offset it is read in this machine's zone";

/** The flags that belong to a cron text or to `--every`. */
export const whenFlags: readonly Flag[] = [
  { flag: "--every <duration>", about: 'Every so often, like "90s"' },
  {
    flag: "--anchor <time>",
    about: `With --every: count from this ISO time (default: 1970-01-01T00:00:00Z); ${localTime}`,
  },
  { flag: "--sub-second", about: "With --every: allow more than one tick a second" },
  {
    flag: "--timezone <zone>",
    about: "Zone of the cron text, like Europe/Paris (default: the configured one, else UTC)",
  },
  { flag: "--dst-gap <policy>", about: "A tick that the clock skips: next (at the end of the gap) or skip" },
  { flag: "--dst-overlap <policy>", about: "A time that comes twice: first, last or both" },
];

/** What the flags say of a rule, to be checked by whom it is given to. `zone` is that of a cron text for which none was given.
 *  @throws {BadUsage} for flags that don't go together */
export function whenOf(given: Given, cron: string | null, zone: string): When {
  refuseMixed(given, cron);
  const [every, gap, overlap] = [given.text("every"), given.text("dst-gap"), given.text("dst-overlap")];
  return {
    ...(cron !== null && { cron, timezone: zone }),
    ...(every !== null && { every: every as DurationText }),
    ...(given.on("at") && { runAt: atOf(given) }),
    ...(given.on("anchor") && { anchor: atOf(given, "anchor") }),
    ...(given.on("sub-second") && { subSecond: true }),
    ...((gap !== null || overlap !== null) && { dst: { gap: gap ?? undefined, overlap: overlap ?? undefined } }),
  } as When; // who takes it checks it, as it checks what an author wrote
}

const owners = {
  timezone: "a cron text",
  "dst-gap": "a cron text",
  "dst-overlap": "a cron text",
  anchor: "--every",
  "sub-second": "--every",
} as const;

function refuseMixed(given: Given, cron: string | null): void {
  const kinds = [
    ...(cron === null ? [] : ["a cron text"]),
    ...["every", "at"].filter((flag) => given.on(flag)).map((flag) => `--${flag}`),
  ];
  if (kinds.length === 0)
    throw new BadUsage('when? give --cron "0 9 * * MON-FRI", --every 90s or --at 2030-01-31T12:00:00Z');
  if (kinds.length > 1)
    throw new BadUsage(`a schedule has one rule, not ${kinds.join(" and ")}; keep one, or make two schedules`);
  const stray = Object.entries(owners).find(([flag, owner]) => given.on(flag) && owner !== kinds[0]);
  if (stray) throw new BadUsage(`--${stray[0]} belongs to ${stray[1]}, and this rule is ${kinds[0]}; leave it out`);
}

/** Calls, and turns what is said of an option into words about this command line.
 *  @throws {BadUsage} in place of InvalidInput that names an option */
export async function inFlags<T>(given: Given, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof InvalidInput) || error.path === null) throw error;
    throw new BadUsage(flagged(error.message, error.path, given), { cause: error });
  }
}

const flags: Readonly<Record<string, string>> = {
  ...{ runAt: "at", startsAt: "starts", endsAt: "ends", tags: "tag", subSecond: "sub-second" },
  ...{ catchUp: "catch-up", "catchUp.max": "catch-up", "catchUp.within": "catch-up" },
};

function flagged(message: string, path: string, given: Given): string {
  const said = message
    .replace("subSecond: true", "--sub-second")
    .replace('dst: { gap: "next" }', "--dst-gap next")
    .replace("before startsAt", "before --starts")
    .replace("between startsAt and endsAt", "between --starts and --ends");
  const flag = path === "dst" ? said.replace(/^dst\.(\w+).*$/s, "dst-$1") : (flags[path] ?? path);
  if (!given.on(flag)) return said;
  const named = said.replace(new RegExp(`^(?:dst\\.\\w+|${path})(?=[ :])`), `--${flag}`);
  return named === said ? `--${flag}: ${said}` : named;
}
