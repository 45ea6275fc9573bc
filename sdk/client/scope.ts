import { AsyncLocalStorage } from "node:async_hooks";
import type { Source } from "./source.ts";
import type { Added, NewRun, RunRecord, Target } from "../port/target.ts";
import type { Tracer } from "../port/trace.ts";

/** What this process knows of where `trigger` goes. */
export interface Slot {
  /** The store of the runtime whose handler is running. */
  readonly scope: AsyncLocalStorage<Target>;
  /** The workflow that is running, which can wait for runs that it makes. */
  readonly parent: AsyncLocalStorage<Parent>;
  configured: Source | null;
  opened: Opened | null;
  /** Who makes spans of what this process does; mostly nobody. */
  tracer: Tracer | null;
  /** Who counts what this process adds; mostly nobody. */
  readonly counting: Set<Counting>;
}
/** Hears what became of runs that were to be added, in order. */
export type Counting = (runs: readonly NewRun[], answers: readonly (Added | Error)[]) => void;
/** How the children of a workflow end, in order. */
export type Ends = readonly Pick<RunRecord, "id" | "status" | "reason" | "result" | "error">[];
/** What to do when a child does not complete: wait for all, fail at once, or cancel the others and fail. */
export type Failure = "collect" | "throw" | "cancel";
export interface Parent {
  /** Adds runs, and waits for their ends.  @throws {RunFailed} for the first that does not complete, unless all are collected */
  adopt(name: string, runs: readonly NewRun[], failure: Failure): Promise<Ends>;
}
/** A target that was opened for a source; `target` is shared by all who wait for it. */
export interface Opened {
  readonly source: Source;
  readonly target: Promise<Target>;
}

const at = Symbol.for("tasker");

/** The one slot of the process: on globalThis, so that a module that is loaded twice still shares it. */
export function slot(): Slot {
  const holder = globalThis as { [at]?: Slot };
  return (holder[at] ??= {
    scope: new AsyncLocalStorage(),
    parent: new AsyncLocalStorage(),
    configured: null,
    opened: null,
    tracer: null,
    counting: new Set(),
  });
}

/** Calls `fn`; whatever it triggers, also later and in promises that it starts, goes to `target`. The engine calls
 *  handlers with it. */
export function inRuntime<T>(target: Target, fn: () => T): T {
  return slot().scope.run(target, fn);
}
