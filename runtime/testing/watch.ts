import type { Context } from "../../sdk/define/context.ts";
import { Snooze } from "../../sdk/define/signal.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import { slot, type Parent } from "../../sdk/client/scope.ts";

type Handler = JobSpec["handler"];
type Verb = (...args: readonly unknown[]) => Promise<unknown>;
type After = (result: Promise<unknown>) => Promise<unknown>;

/** What a test chose. */
export interface Ways {
  /** Each attempt ends after a step, and the next one replays it. */
  readonly replays: boolean;
  /** What `ctx.tx` hands out in place of a transaction. */
  readonly tx?: object | undefined;
}

/** What a handler waits for: how many durable calls are open, of those how many are steps that were called, and of those how many are at work. */
interface Rest {
  open: number;
  called: number;
  running: number;
}

const waits = new Set<string | symbol>(["sleep", "sleepUntil", "waitFor", "version", "adopt"]);

/** The jobs of a test, with handlers that tell what they wait for. */
export class Watch {
  readonly #ways: Ways;
  readonly #originals = new WeakMap<JobSpec, JobSpec>();
  /** The latest attempt of each run. */
  readonly #rests = new Map<string, Rest>();

  constructor(ways: Ways) {
    this.#ways = ways;
  }

  /** A job to be registered in place of another. */
  job(original: JobSpec): JobSpec {
    const handler: Handler = (payload, ctx) => this.#handle(original.handler, payload, ctx);
    const job = Object.create(original, { handler: { value: handler, enumerable: true } }) as JobSpec;
    this.#originals.set(job, original);
    return job;
  }

  original(job: JobSpec): JobSpec {
    return this.#originals.get(job) ?? job;
  }

  /** Whether the handler of a run waits for durable calls alone, none of which is at work. */
  rests(run: string): boolean {
    const rest = this.#rests.get(run);
    return rest !== undefined && rest.open > 0 && rest.running === 0;
  }

  #handle(handler: Handler, payload: unknown, ctx: Context): unknown {
    const rest: Rest = { open: 0, called: 0, running: 0 };
    this.#rests.set(ctx.run.id, rest);
    const { replays, tx } = this.#ways;
    if (!replays) return handle(handler, payload, watched(ctx, rest, { after: (result) => result, tx }));
    let replay!: () => void;
    const replayed = new Promise<never>((_, reject) => (replay = () => reject(new Snooze("0ms"))));
    const after = (result: Promise<unknown>): Promise<unknown> => {
      const again = (): Promise<never> => {
        if (rest.called === 0) replay(); // else what others came to would be lost
        return replayed;
      };
      return result.then(again, again);
    };
    return Promise.race([handle(handler, payload, watched(ctx, rest, { after, tx })), replayed]);
  }
}

function handle(handler: Handler, payload: unknown, ctx: Context): unknown {
  return slot().parent.run(ctx as unknown as Parent, handler, payload, ctx); // what a handler gets is a parent, too
}

/** A context that counts in `rest`. `after`: what becomes of the result of a step whose function was called. */
function watched(ctx: Context, rest: Rest, { after, tx }: Pick<Ways, "tx"> & { readonly after: After }): Context {
  const counted = (result: Promise<unknown>): Promise<unknown> => {
    rest.open++;
    const over = (): void => void rest.open--;
    result.then(over, over);
    return result;
  };
  const stepping = (verb: Verb, first: unknown, fn: unknown, ...options: readonly unknown[]): Promise<unknown> => {
    let isCalled = false;
    const run = async (...args: readonly unknown[]): Promise<unknown> => {
      if (!isCalled) rest.called++;
      isCalled = true;
      rest.running++;
      try {
        return await (fn as Verb)(...args);
      } finally {
        rest.running--;
      }
    };
    const result = counted(verb.call(ctx, first, typeof fn === "function" ? run : fn, ...options)); // the step refuses what is not one
    const ended = (): Promise<unknown> => {
      if (!isCalled) return result;
      rest.called--;
      return after(result);
    };
    const answer = result.then(ended, ended);
    answer.catch(() => undefined); // the loser of a race may fail unheard
    return answer;
  };
  return new Proxy(ctx, {
    get(_, name) {
      const value: unknown = Reflect.get(ctx, name, ctx); // its fields are private: it must be itself
      const verb = value as Verb;
      if (name === "tx" && tx)
        return (_: unknown, ...args: [unknown]) => stepping(verb, (work: Verb) => work(tx), ...args);
      if (name === "step" || name === "tx") return stepping.bind(null, verb);
      return waits.has(name) ? (...args: readonly unknown[]) => counted(verb.call(ctx, ...args)) : value;
    },
  });
}
