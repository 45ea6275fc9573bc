/** Entries of journals before they have a place. */
import { nextDelayMs } from "../../sdk/define/retry.ts";
import { codeOf } from "../../sdk/define/signal.ts";
import { errorNote, errorValue, toData, type Notes } from "../../sdk/port/note.ts";
import type { NewEntry } from "../store/port.ts";
import type { Call, StepCall } from "./call.ts";

export type Draft = Omit<NewEntry, "n">;

/** Codes of errors that a further try of a step would end with, too. */
const finalCodes: ReadonlySet<unknown> = new Set(["NOT_STORABLE", "NOT_SUPPORTED", "JOURNAL_FULL"]);

export function entryOf({ key, place }: Call, notes: Notes): Pick<Draft, "key" | "value" | "data"> {
  return { key, value: null, data: toData({ at: place?.at, code: place?.code ?? undefined, ...notes }) };
}

/** What is written of a try that failed: the next one's instant, or that it was the last. `nowMs`: of the store's clock. */
export function failedTry(call: StepCall, error: unknown, notes: Notes, nowMs: number): Draft {
  const tries = ++call.tries;
  const isFinal = finalCodes.has(codeOf(error));
  const delayMs = isFinal ? null : nextDelayMs(call.retry, tries, error);
  const said: Notes = { ...notes, tries, error: errorNote(error) };
  if (delayMs === null) return { kind: "failed", ...entryOf(call, said), value: errorValue(error) };
  return { kind: "retry", ...entryOf(call, { ...said, until: Math.ceil(nowMs) + delayMs }) };
}

/** What is written of a bad signal. */
export function passedBy(key: string, why: unknown): Draft {
  return { kind: "passed", key, value: null, data: toData({ error: { ...errorNote(why), stack: null } }) };
}
