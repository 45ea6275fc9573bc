/** Journals of workflows: what a run has done so far, from which its handler is replayed; and what is sent to it meanwhile. */
import type { Wire } from "./codec.ts";

/** What an entry says.
 *  - `step`, `failed`: a step's result, or the error that it ended with
 *  - `retry`: a step failed and is tried again; the last one of its key counts
 *  - `sleep`, `wait`, `child`: a wait began: until an instant, for something that is sent, for runs that it made
 *  - `mail`: something that was sent to the run, or the end of a child, was taken in
 *  - `passed`: no wait gets this mail, because the schema of one refused it */
export const entryKinds = ["step", "failed", "retry", "sleep", "wait", "child", "mail", "passed"] as const;
export type EntryKind = (typeof entryKinds)[number];

/** The key of the `nth` of a name. */
export function keyOf(name: string, nth: number): string {
  return nth === 1 ? name : `${name}#${nth}`;
}

/** One entry of a journal. Stores keep it as it is: only `n` and `runs` mean something to them. */
export interface Entry {
  /** Its place in the journal, from 1. */
  readonly n: number;
  readonly kind: EntryKind;
  /** The step's or wait's name, and from its second call on `#2`…; of mail, the name that it was sent under;
   *  of mail that was passed by, too, and from the second of that name on `#2`…. */
  readonly key: string;
  /** When it was written, epoch ms of the store's clock; never before that of the entry before it. */
  readonly atMs: number;
  readonly value: Wire | null;
  /** JSON of what else is known: the error, the instant, the sender. */
  readonly data: string | null;
  /** Runs that it made; null for other kinds than `child`. */
  readonly runs: readonly number[] | null;
}

/** Something that is sent to a run. It is kept until the run takes it in, or ends. */
export interface Mail {
  /** The run, or the one that holds this key of the job. */
  readonly to: number | { readonly job: string; readonly key: string };
  readonly name: string;
  readonly value: Wire | null;
  readonly data: string | null;
}
/** `sent`: it is kept, and the run is woken if it waits. `ended`: the run is over. `missing`: there is none. */
export interface Sent {
  readonly id: number | null;
  readonly done: "sent" | "ended" | "missing";
}
