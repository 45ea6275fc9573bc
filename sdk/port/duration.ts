import { InvalidInput } from "./error.ts";

type Unit = "ms" | "s" | "m" | "h" | "d";

/** `Form` is for the reader of a compiler's message, and adds no text. */
type Spelled<Form extends string> =
  | `${number}${Unit}`
  | `${number}${Unit}${number}${Unit}`
  | `${number}${Unit}${number}${Unit}${number}${Unit}`
  | (Form extends "" ? Form : never); // a parameter that nothing depends on is not shown
interface Forms {
  readonly duration: Spelled<"whole numbers with units, such as 500ms, 30s, 1h30m, 7d">;
}

/** What an author types: `"500ms"`, `"30s"`, `"1h30m"`. Up to three whole numbers with units, checked again at run time. */
export type DurationText = Forms["duration"]; // not an alias of its own, which the compiler would show instead of the form

/** A checked duration; holders never check it again. */
export type Duration = DurationText & { readonly __brand: "Duration" };

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The longest duration taken anywhere: 100 years. Longer ones are typing errors, and Date ends soon after. */
export const longestMs = 36_525 * 86_400_000;

/** Checks the text of a duration, in linear time.
 *  @throws {InvalidInput} unless it is one to five whole numbers with units, at most 100 years in all. */
export function duration(text: DurationText): Duration {
  if (typeof text !== "string" || text.length > 64 || !/^(?:\d+(?:ms|s|m|h|d)){1,5}$/.test(text))
    throw new InvalidInput(
      `duration "${String(text).slice(0, 64)}" is not whole numbers with units; write it like "500ms", "30s" or "1h30m"`,
    );
  if (sum(text) > longestMs) throw new InvalidInput(`duration "${text}" is longer than 100 years; check its unit`);
  return text as Duration;
}

/** Milliseconds of a duration, checking it first.
 *  @throws {InvalidInput} as `duration` does. */
export function toMs(text: DurationText): number {
  return sum(duration(text));
}

function sum(text: string): number {
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|s|m|h|d)/g)) total += Number(count) * unitMs[unit!]!;
  return total;
}

/** Milliseconds for people: `"900ms"`, `"2.1s"`, `"3m 20s"`, `"2h 5m"`, `"3d 4h"`. Never parsed again. */
export function humanMs(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1).replace(/\.0$/, "")}s`;
  const [unit, part, big, small] =
    ms < 3_600_000
      ? ([60_000, 1000, "m", "s"] as const)
      : ms < 86_400_000
        ? ([3_600_000, 60_000, "h", "m"] as const)
        : ([86_400_000, 3_600_000, "d", "h"] as const);
  const rest = Math.floor((ms % unit) / part);
  return `${Math.floor(ms / unit)}${big}${rest ? ` ${rest}${small}` : ""}`;
}
