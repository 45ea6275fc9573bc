import type { Level } from "../view/finding.ts";

/** What a check found, and what to do about it; null: nothing. */
export interface Finding {
  readonly level: Level;
  /** What was looked at, in a word or two. */
  readonly check: string;
  readonly found: string;
  readonly todo: string | null;
}

type Make = (check: string, found: string, todo: string | null) => Finding;

const of =
  (level: Level): Make =>
  (check, found, todo) => ({ level, check, found, todo });

/** Findings by their level. */
export const [fault, warning, note] = [of("error"), of("warning"), of("note")];

/** A finding that is fine. */
export function fine(check: string, found: string): Finding {
  return { level: "ok", check, found, todo: null };
}
