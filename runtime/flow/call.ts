import type { Entry, EntryKind } from "../../sdk/port/flow.ts";
import type { RetryPolicy } from "../../sdk/define/retry.ts";
import type { StepContext } from "../../sdk/define/flow.ts";
import type { Ends, Failure } from "../../sdk/client/scope.ts";
import type { NewRun, Tx } from "../../sdk/port/target.ts";

/** A place in the code. */
export interface Place {
  /** File and line, with the folder, such as `jobs/order.ts:12`. */
  readonly at: string;
  /** Tells the content of that file from others: where it is the same, so are its lines. Null if it can't be read. */
  readonly code: string | null;
}

/** What a handler asked of its journal, until it has the answer. */
interface Asked {
  readonly key: string;
  /** Where the code asked; null where the stack does not tell. */
  readonly place: Place | null;
  /** Since when it waits, in the order of entries; 0: it does not; Infinity: its entry is to be written. */
  since: number;
  /** Until when it waits, epoch ms of the store; null: without an end, or not yet. */
  untilMs: number | null;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export type Within = (work: (tx: Tx) => Promise<void>) => Promise<unknown>;

export interface StepCall extends Asked {
  readonly kind: "step";
  readonly fn: (step: StepContext, tx?: Tx) => unknown;
  /** Runs work in a transaction of the author's, in which the result is written, too; null for most steps. */
  readonly within: Within | null;
  readonly retry: RetryPolicy;
  readonly timeoutMs: number | null;
  /** How often it failed. */
  tries: number;
  /** What it resolves with where the journal goes on without it, as older code wrote it. */
  readonly older?: unknown;
}
export interface SleepCall extends Asked {
  readonly kind: "sleep";
  /** When it is over, asked once, as it begins. */
  readonly until: (nowMs: number) => number;
}
/** What a wait makes of mail: it takes it, leaves it for another wait, or no wait is to get it. */
export type Verdict =
  | { readonly to: "taken"; readonly value: unknown }
  | { readonly to: "left" }
  | { readonly to: "refused"; readonly why: unknown };
export interface WaitCall extends Asked {
  readonly kind: "wait";
  /** What it waits for is sent under this name. */
  readonly name: string;
  readonly timeoutMs: number | null;
  /** A promise where the schema's check is one.  @throws what a `match` throws */
  readonly accept: (mail: Entry) => Verdict | Promise<Verdict>;
}
export interface ChildCall extends Asked {
  readonly kind: "child";
  readonly runs: readonly NewRun[];
  /** Numbers of the runs that were added, in order. */
  readonly ids: Set<number>;
  /** How they ended, by number. */
  readonly ends: Map<number, Ends[number]>;
  readonly failure: Failure;
  /** What it resolves with, or throws; null while it is to wait for more. */
  readonly outcome: (call: ChildCall) => { readonly value: unknown } | null;
}
export type Call = StepCall | SleepCall | WaitCall | ChildCall;

const kindOf: Readonly<Record<Exclude<EntryKind, "mail" | "passed">, Call["kind"]>> = {
  ...{ step: "step", failed: "step", retry: "step" },
  ...{ sleep: "sleep", wait: "wait", child: "child" },
};

/** What tells calls of one run from each other: kind and key. */
export function nameOf({ kind, key }: Pick<Call, "kind" | "key">): string {
  return `${kind} "${key}"`;
}

/** Kind and name, without the number. */
export function baseOf({ kind, key }: Pick<Call, "kind" | "key">): string {
  return `${kind} ${key.split("#", 1)[0]!}`;
}

/** Kind and key of the call that an entry answers. */
export function callOf({ kind, key }: Entry): Pick<Call, "kind" | "key"> | null {
  return kind === "mail" || kind === "passed" ? null : { kind: kindOf[kind], key };
}

/** The call that an entry answers. */
export function calledBy(entry: Entry): string | null {
  const call = callOf(entry);
  return call && nameOf(call);
}
