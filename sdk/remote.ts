/** What `tasker/client` exports: tasker through the HTTP API of a server, without a store or a driver. */
import { nodesOf, queuesOf, runsOf, statsOf } from "./client/runs.ts";
import { schedulesOf } from "./client/schedules.ts";
import { completeOf, signalOf } from "./client/signal.ts";
import { triggerOf } from "./client/trigger.ts";
import { remote, type Remote, type RemoteOptions } from "./remote/target.ts";

export { HttpError } from "./remote/error.ts";
export type { Remote, RemoteOptions } from "./remote/target.ts";

/** The functions of `tasker`, bound to a server. */
export interface Client {
  /** `client.trigger<typeof remind>("remind", payload)`: the type of the job is enough. */
  readonly trigger: ReturnType<typeof triggerOf>;
  readonly runs: ReturnType<typeof runsOf>;
  readonly schedules: ReturnType<typeof schedulesOf>;
  readonly queues: ReturnType<typeof queuesOf>;
  readonly nodes: ReturnType<typeof nodesOf>;
  readonly stats: ReturnType<typeof statsOf>;
  readonly signal: ReturnType<typeof signalOf>;
  readonly complete: ReturnType<typeof completeOf>;
  /** The server, for `configure({ store: client.target })`: then jobs' own `trigger` goes there, too. */
  readonly target: Remote;
}

/** A client of the server at `url`. Nothing is sent before the first call. Errors are those of `tasker`: what can't be reached is
 *  `StoreUnavailable`, and may have been done; give an `idempotencyKey` to what is repeated. What only HTTP refuses, such as a token, is an
 *  `HttpError`.
 *  @throws {InvalidInput} for an address that is none */
export function createClient(options: RemoteOptions): Client {
  const target = remote(options);
  const open = (): Promise<Remote> => Promise.resolve(target);
  return {
    ...{ trigger: triggerOf(open), runs: runsOf(open), schedules: schedulesOf(open) },
    ...{ queues: queuesOf(open), nodes: nodesOf(open), stats: statsOf(open) },
    ...{ signal: signalOf(open), complete: completeOf(open), target },
  };
}
