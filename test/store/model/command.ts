import type fc from "fast-check";
import type { Claim, Feature, Lacks } from "../../../runtime/store/port.ts";
import { aClaim } from "../../kit/build.ts";
import { type Given, leaseMs, type Pair, type Side } from "./pair.ts";

/** What a command needs of the clock, and what the store beside memory lacks. */
interface Ticking {
  tick(): unknown;
  readonly lacks: Lacks;
}
/** One random command. */
export type Step = fc.AsyncCommand<Ticking, Pair>;

/** A command that is possible with a store that has what it needs. */
export function command(name: string, act: (pair: Pair) => Promise<unknown>, needs?: Feature): Step {
  return {
    check: ({ lacks }) => needs === undefined || lacks[needs] === undefined,
    async run(clock, pair) {
      clock.tick();
      await act(pair);
      await pair.both((side) => side.list());
    },
    toString: () => name,
  };
}

export function step(name: string, act: (side: Side) => Promise<unknown>, needs?: Feature): Step {
  return command(name, (pair) => pair.both(act), needs);
}

/** A command on one of the leases that were ever given, stale ones included. */
export function onLease(
  name: string,
  pick: number,
  act: (side: Side, given: Given) => Promise<unknown>,
  needs?: Feature,
): Step {
  const onSide = async (side: Side): Promise<unknown> => {
    const given = side.given.at(-1 - (pick % Math.min(6, side.given.length)));
    return given ? act(side, given) : null;
  };
  return step(`${name}(${pick})`, onSide, needs);
}

/** A command on one of the runs. */
export function onRun(
  name: string,
  pick: number,
  act: (side: Side, id: number) => Promise<unknown>,
  needs?: Feature,
): Step {
  const onSide = async (side: Side): Promise<unknown> => {
    const id = side.runs[pick % side.runs.length];
    return id === undefined ? null : act(side, id);
  };
  return step(`${name}(${pick})`, onSide, needs);
}

/** Claims for one of the nodes, and answers the leases. */
export async function take(side: Side, at: number, claim: Partial<Claim>): Promise<unknown> {
  const node = side.acting[at]!;
  const taken = await side.store.runs.lease(aClaim({ ...claim, node, ttlMs: leaseMs }));
  const leases = taken.leases.toSorted((a, b) => side.place(a.id) - side.place(b.id));
  side.given.push(...leases.map((lease) => ({ lease, node, outcome: null, seen: 0 })));
  return leases.map(({ id, dueMs, createdMs, expiresMs, options, ...lease }) => ({
    ...lease,
    id: side.place(id),
    options: side.placedIn(options),
    instants: [dueMs, createdMs, expiresMs].map((ms) => ms && new Date(ms)),
  }));
}
