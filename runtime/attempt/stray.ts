import { slot } from "../../sdk/client/scope.ts";
import type { Target } from "../../sdk/port/target.ts";

/** Runtimes that listen, by the store that their handlers trigger into. */
const owners = new Map<Target, (reason: unknown) => void>();

/** Hears of promises that a handler started, left behind, and that were then rejected: one forgotten `await` must not end the
 *  process and all that runs in it. Rejections from anywhere else end it as ever. The answer ends the listening. */
export function watchStrays(owner: Target, report: (reason: unknown) => void): () => void {
  if (owners.size === 0) process.on("unhandledRejection", judge);
  owners.set(owner, report);
  return () => {
    owners.delete(owner);
    if (owners.size === 0) process.off("unhandledRejection", judge);
  };
}

function judge(reason: unknown): void {
  const owner = slot().scope.getStore(); // Node emits the event in the context of the promise
  const report = owner && owners.get(owner);
  if (report) return report(reason);
  if (process.listenerCount("unhandledRejection") === 1) throw reason; // what Node does where nobody listens
}
