import { AsyncLocalStorage } from "node:async_hooks";
import type { Source } from "./source.ts";
import type { Target } from "../port/target.ts";

/** What this process knows of where `trigger` goes. */
export interface Slot {
  /** The store of the runtime whose handler is running. */
  readonly scope: AsyncLocalStorage<Target>;
  configured: Source | null;
  opened: Opened | null;
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
  return (holder[at] ??= { scope: new AsyncLocalStorage(), configured: null, opened: null });
}

/** Calls `fn`; whatever it triggers, also later and in promises that it starts, goes to `target`. The engine calls
 *  handlers with it. */
export function inRuntime<T>(target: Target, fn: () => T): T {
  return slot().scope.run(target, fn);
}
