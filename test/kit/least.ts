/** A store that has no more than every store must have. */
import { memory, type MemoryOptions } from "../../runtime/store/memory/index.ts";
import type { Store } from "../../runtime/store/port.ts";

/** The memory store's 14 methods that are required; it says why it has no more of some. */
export function least(options?: MemoryOptions): Store {
  const { runs, nodes, desk, find, open, close } = memory(options);
  const { add, lease, settle, hold, sweep } = runs;
  return {
    name: "least",
    lacks: { tx: "it has no transactions", purge: "it keeps all" },
    runs: { add, lease, settle, hold, sweep },
    nodes,
    desk: { cancel: desk.cancel },
    find: { get: find.get, list: find.list },
    open,
    close,
  };
}
