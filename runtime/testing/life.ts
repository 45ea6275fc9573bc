import type { Clock } from "../core/clock.ts";
import type { Guarded } from "../store/port.ts";

/** What a node writes of runs that it holds: before each of these it can die. */
const counted = new Set(["runs.settle", "runs.hold", "flow.load", "flow.record"]);
/** What tells of a node to others, which is not of its life. */
const kept = new Set(["feed", "outlet"]);
/** What applications wait for does not die with the node that they asked. */
const outlives = new Set(["find.awaited", "runs.add", "add"]);

const never = new Promise<never>(() => undefined);

/** The life of a node in a test. Once it has died, no call of its store does anything or is answered, and no timer of it rings. */
export class Life {
  readonly store: Guarded;
  readonly clock: Clock;
  readonly #tx: object | undefined;
  /** The node's number in the store; 0 before it has one. */
  node = 0;
  /** How often it has written. */
  writes = 0;
  /** How many more writes it lives for. */
  left = Infinity;
  #died: (() => void) | null;

  /** `tx` is no transaction: it stands for one. */
  constructor(store: Guarded, clock: Clock, died: () => void, tx?: object) {
    this.#died = died;
    this.#tx = tx;
    this.store = this.#mortal(store, "");
    this.clock = { ...clock, alarm: (ring) => clock.alarm(() => !this.dead && ring()) };
  }

  get dead(): boolean {
    return this.#died === null;
  }

  die(): void {
    const died = this.#died;
    this.#died = null;
    died?.();
  }

  /** A port, with its ports, whose methods end with this life. */
  #mortal<P extends object>(port: P, path: string): P {
    const part = ([name, value]: [string, unknown]): [string, unknown] => {
      if (kept.has(name)) return [name, value];
      if (typeof value === "object" && value !== null) return [name, this.#mortal(value, `${name}.`)];
      if (typeof value !== "function") return [name, value];
      const isRecord = path + name === "flow.record";
      const call = (...args: readonly unknown[]): Promise<unknown> => {
        const isInTx = args.length > 1 && (isRecord || (this.#tx !== undefined && args.at(-1) === this.#tx));
        const given = isInTx ? args.slice(0, -1) : args; // in memory there are no transactions
        const answer = this.#call(path + name, () => value.apply(port, given) as unknown);
        return isInTx && this.dead ? Promise.reject(new Error("the process died")) : answer; // it is to be rolled back
      };
      return [name, call];
    };
    return Object.fromEntries(Object.entries(port).map(part)) as P; // the same names, and functions of the same types
  }

  async #call(name: string, work: () => unknown): Promise<unknown> {
    if (!this.dead && counted.has(name)) {
      if (this.left-- <= 0) this.die();
      else this.writes++;
    }
    if (this.dead) return never;
    const answer = await work();
    if (name === "nodes.join") this.node = answer as number;
    return this.dead && !outlives.has(name) ? never : answer;
  }
}
