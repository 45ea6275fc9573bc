import type { Level } from "../view/finding.ts";

/** What a check found, and what to do about it; null: nothing. */
export interface Finding {
  readonly level: Level;
  /** What was looked at, in a word or two. */
  readonly check: string;
  readonly found: string;
  readonly todo: string | null;
}

/** A finding that is fine. */
export function fine(check: string, found: string): Finding {
  return { level: "ok", check, found, todo: null };
}
