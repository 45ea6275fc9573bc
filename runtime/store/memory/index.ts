import { guard } from "../guard.ts";
import type { Guarded } from "../port.ts";
import { desk } from "./desk.ts";
import { feed } from "./feed.ts";
import { find } from "./find.ts";
import { flow } from "./flow.ts";
import { nodes } from "./node.ts";
import { runs } from "./run.ts";
import { schedules } from "./schedule.ts";
import { makeState, type State } from "./state.ts";
import { ticks } from "./tick.ts";

export interface MemoryOptions {
  /** The store's clock, epoch ms; the system's by default. It never goes back. */
  readonly now?: () => number;
}

/** A store in this process's memory, for tests, and the reference that other stores are compared with. It has no transactions. */
export function memory(options: MemoryOptions = {}): Guarded {
  return storeOf(makeState(options.now ?? (() => Date.now())));
}

/** The ports of a state. */
export function storeOf(state: State): Guarded {
  return guard({
    name: "memory",
    lacks: { tx: "it has no transactions" },
    runs: runs(state),
    nodes: nodes(state),
    ticks: ticks(state),
    find: find(state),
    desk: desk(state),
    schedules: schedules(state),
    flow: flow(state),
    feed: feed(state),
    open: () => Promise.resolve(),
    close() {
      state.ears.clear();
      for (const wake of state.feed.readers) wake();
      for (const wake of [...state.waiters.values()].flatMap((each) => [...each])) wake();
      return Promise.resolve();
    },
  });
}
