import { longestMs, toMs, type DurationText } from "../port/duration.ts";
import { invalid } from "../port/error.ts";
import { near, meant } from "../port/near.ts";

const macros = new Map([
  ["@yearly", "0 0 1 1 *"],
  ["@annually", "0 0 1 1 *"],
  ["@monthly", "0 0 1 * *"],
  ["@weekly", "0 0 * * 0"],
  ["@daily", "0 0 * * *"],
  ["@midnight", "0 0 * * *"],
  ["@hourly", "0 * * * *"],
]);

/** The fields that a macro stands for, in any case; other text as it is.
 *  @throws {InvalidInput} for an unknown macro */
export function unfold(text: string): string {
  if (!text.startsWith("@")) return text;
  const name = text.toLowerCase();
  const fields = macros.get(name);
  if (fields) return fields;
  if (name === "@reboot")
    throw invalid("cron", 'macro "@reboot" has no instant; trigger the job when your process starts');
  const hint = meant(near(name, [...macros.keys()])) || `write one of ${[...macros.keys(), "@every 90s"].join(" ")}`;
  throw invalid("cron", `macro "${text}" does not exist; ${hint}`);
}

/** Milliseconds of `@every 90s`; null for other text.
 *  @throws {InvalidInput} if what follows is not a duration, or is one below a second */
export function everyMs(text: string): number | null {
  const [word, ...rest] = text.split(/\s+/);
  if (word?.toLowerCase() !== "@every") return null;
  if (!rest.length)
    throw invalid("cron", 'macro "@every" needs a duration; write it like "@every 90s" or "@every 1h30m"');
  const ms = toMs(rest.join(" ") as DurationText);
  if (ms < 1000)
    throw invalid("cron", `macro "@every" takes 1s to ${longestMs / 86_400_000}d; "${rest.join(" ")}" is too short`);
  return ms;
}
