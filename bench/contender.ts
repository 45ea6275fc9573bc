/** What every contender is to the measures: the same few acts, whatever its API calls them. */

/** What a job is given; about 55 bytes as JSON. `t` is when it was added, or the instant that it is due. */
export interface Payload {
  /** From 0 on, unique within one measure. */
  readonly id: number;
  readonly to: string;
  /** `now()` at the call, or epoch ms for a delayed job. */
  readonly t: number;
}

/** Where a contender works. */
export interface Place {
  /** A database of its own, made anew for each repetition. */
  readonly url: string;
  /** Null where there is no redis-server. */
  readonly redisPort: number | null;
  /** `file:` URL of what was compiled, with a slash at its end; tasker is in its folder `tasker`. */
  readonly root: string;
  /** `rate`: the settings that its makers document for throughput. `latency`: those for a quick start. */
  readonly goal: "rate" | "latency";
}

/** A contender in one process. `install` comes first, once a database. */
export interface Session {
  /** Makes tables and queues, where that is a step of its own. */
  install(): Promise<void>;
  /** Adds one job; durable, by the contender's own idea, once it resolves. */
  add(payload: Payload): Promise<unknown>;
  /** Adds many in the quickest documented way; `add` in parallel where there is none. */
  addMany(payloads: readonly Payload[]): Promise<unknown>;
  /** Adds jobs that are due at `t`, epoch ms. Missing: it can't. */
  addAt?(payloads: readonly Payload[]): Promise<unknown>;
  /** Starts a worker whose handler does nothing but call `handle`. Resolves once it takes jobs. */
  work(handle: (payload: Payload) => void): Promise<void>;
  /** Ends worker and producer, what is finished written. */
  close(): Promise<void>;
}

/** What a file in contenders/ exports. */
export interface Contender {
  open(place: Place, variant: string | null): Promise<Session>;
}

/** Ms on a clock that all processes of the machine share and that nobody sets. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Imports a rival; its types here are the little that is used of it.
 *  @throws {Error} if bench/ was not installed */
export async function load<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Error(`"${name}" is not installed; run "npm install --prefix bench"`, { cause: error });
  }
}

/** Calls `act` on slices of `size`, `width` at a time. */
export async function chunked<T>(
  items: readonly T[],
  { size, width = 1 }: { readonly size: number; readonly width?: number },
  act: (slice: readonly T[]) => Promise<unknown>,
): Promise<void> {
  let from = 0;
  const lane = async (): Promise<void> => {
    while (from < items.length) {
      const slice = items.slice(from, from + size);
      from += size;
      await act(slice);
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
}
