import type { Entry } from "../../sdk/port/flow.ts";
import { notesOf, valueOf } from "../../sdk/port/note.ts";

/** What a run did in one step. */
export interface Step {
  /** With its number, where the name was used before: `charge#2`. */
  readonly name: string;
  /** How often it was tried. */
  readonly tries: number;
  /** Undefined unless it succeeded. */
  readonly result: unknown;
  /** What its last try threw; null if that succeeded. */
  readonly error: { readonly name: string; readonly message: string } | null;
}

/** The steps of a journal, in the order of their last entries. */
export function stepsOf(journal: readonly Entry[]): readonly Step[] {
  const steps = new Map<string, Step>();
  for (const entry of journal) {
    if (entry.kind !== "step" && entry.kind !== "failed" && entry.kind !== "retry") continue;
    const { tries = 0, error = null } = notesOf(entry);
    const failed = steps.get(entry.key)?.tries ?? 0;
    const isDone = entry.kind === "step";
    steps.delete(entry.key);
    steps.set(entry.key, {
      name: entry.key,
      tries: isDone ? failed + 1 : tries,
      result: isDone ? valueOf(entry) : undefined,
      error,
    });
  }
  return [...steps.values()];
}
