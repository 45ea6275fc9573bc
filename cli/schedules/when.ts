/** Rules of schedules on command lines. */
import type { DurationText } from "../../sdk/duration.ts";
import type { When } from "../../sdk/rule.ts";
import type { Flag, Given } from "../command.ts";
import { atOf } from "../payload.ts";

/** The flags that belong to a cron text or to `--every`. */
export const whenFlags: readonly Flag[] = [
  { flag: "--every <duration>", about: 'Every so often, like "90s"' },
  { flag: "--anchor <time>", about: "With --every: count from this ISO time (default: 1970-01-01T00:00:00Z)" },
  {
    flag: "--timezone <zone>",
    about: "Zone of the cron text, like Europe/Paris (default: the configured one, else UTC)",
  },
  { flag: "--dst-gap <policy>", about: "A tick that the clock skips: next (at the end of the gap) or skip" },
  { flag: "--dst-overlap <policy>", about: "A time that comes twice: first, last or both" },
];

/** What the flags say of a rule, to be checked by whom it is given to. `zone` is that of a cron text for which none was given. */
export function whenOf(given: Given, cron: string | null, zone: string): When {
  const [every, gap, overlap] = [given.text("every"), given.text("dst-gap"), given.text("dst-overlap")];
  const isZoned = cron !== null || given.on("timezone");
  return {
    ...(cron !== null && { cron }),
    ...(every !== null && { every: every as DurationText }),
    ...(given.on("at") && { runAt: atOf(given) }),
    ...(given.on("anchor") && { anchor: atOf(given, "anchor") }),
    ...(isZoned && { timezone: zone }),
    ...((gap !== null || overlap !== null) && { dst: { gap: gap ?? undefined, overlap: overlap ?? undefined } }),
  } as When; // who takes it checks it, as it checks what an author wrote
}
