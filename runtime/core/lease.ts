import { formatId } from "../../sdk/port/id.ts";
import type { RetryPolicy } from "../../sdk/define/spec.ts";
import type { HookKind } from "../../sdk/port/target.ts";
import { Heap } from "./heap.ts";
import type { ProgressWriter } from "./progress.ts";
import type { Registered } from "./registry.ts";
import type { Fence, Lease } from "../store/port.ts";

/** Where a lease stands in this process. `waiting`: in the heap · `recording`: its start is being written, because it has
 *  crashed before · `running`: its handler was called · `left`: its outcome is decided, but its handler goes on ·
 *  `over`: nothing of it is left here. */
export type Phase = "waiting" | "recording" | "running" | "left" | "over";

const noHooks: readonly HookKind[] = [];

/** How a batch of leases came: ticks of its request and answer, and the order that was asked for. */
export interface Accepted {
  readonly sentAt: number;
  readonly receivedAt: number;
  readonly order: "priority" | "oldest";
}

/** A lease of a run that is still here under an older one. */
export interface Anew {
  readonly lease: Lease;
  readonly about: Accepted;
}

/** A lease, and all that this process knows of it. One object a run: what is seldom needed stays null until it is. */
export class Leased {
  /** Another, under a newer token, once the run was leased anew by this node while it ran. */
  lease: Lease;
  /** Kept for the heap that it is in, if any. */
  place = 0;
  /** The attempt that this lease is for, counted from 1. */
  readonly attempt: number;
  readonly group: Group;
  /** When the claim was answered, and when the lease ends at the latest unless it is held; ticks. */
  readonly claimedAt: number;
  readonly deadline: number;
  /** Smaller starts first, among those that are due; ticks. */
  readonly rank: number;
  phase: Phase = "waiting";
  /** It crashed so often that no other such run may run beside it. */
  readonly suspect: boolean;
  /** Under the node's own lease, which its beats renew. */
  held = false;
  /** Its outcome is decided, and the store has not taken it yet. */
  settling = false;
  /** The run leased anew, before the store's answer to the outcome has come. */
  anew: Anew | null = null;
  /** Since when it has been due here without a slot; ticks. */
  dueAt = 0;
  /** When its handler was called: ticks, and epoch ms of the store. */
  startedAt = 0;
  startedMs: number | null = null;
  /** The code that it will run on: what was registered when it was leased, then what was when it started. */
  job: Registered;
  /** The policy of its retries, from its start on. */
  retry: RetryPolicy | null = null;
  /** Why its signal aborted. */
  stopped: Error | null = null;
  controller: AbortController | null = null;
  /** Where the handler's progress goes, once it reported any. */
  progress: ProgressWriter | null = null;

  constructor(
    lease: Lease,
    group: Group,
    job: Registered,
    about: { readonly claimedAt: number; readonly deadline: number; readonly rank: number; readonly suspect: boolean },
  ) {
    this.lease = lease;
    this.attempt = lease.attempt + 1;
    this.group = group;
    this.job = job;
    this.claimedAt = about.claimedAt;
    this.deadline = about.deadline;
    this.rank = about.rank;
    this.suspect = about.suspect;
  }

  /** Goes on under a newer lease of the same attempt; the store refuses the older one from now on. Answers false, and changes
   *  nothing, if another attempt was made meanwhile, or the input is another. */
  renew(lease: Lease): boolean {
    const { attempt, input } = this.lease;
    if (lease.attempt !== attempt || lease.input.json !== input.json || lease.input.meta !== input.meta) return false;
    this.lease = lease;
    this.held = false;
    return true;
  }

  /** Final states that add a run for a hook; hook runs have none. */
  get hooks(): readonly HookKind[] {
    return this.lease.options?.hook ? noHooks : this.job.hooks;
  }

  /** The handler's signal. Made when it is asked for: few handlers ask. */
  get signal(): AbortSignal {
    if (!this.controller) {
      this.controller = new AbortController();
      if (this.stopped) this.controller.abort(this.stopped);
    }
    return this.controller.signal;
  }

  /** Aborts the signal; the first reason stays. */
  abort(reason: Error): void {
    if (this.stopped) return;
    this.stopped = reason;
    this.controller?.abort(reason);
  }
}

/** What the store checks a write about a lease by. */
export function fence({ lease: { id, token } }: Leased): Fence {
  return { id, token };
}

/** What every line about a run says: which it is, and, for one that executes a hook, of which run. */
export function fields({ lease, attempt }: Leased): object {
  const hook = lease.options?.hook;
  const about = { run: formatId(lease.id), job: lease.job, attempt };
  return hook ? { ...about, hook: { kind: hook.kind, of: formatId(hook.of) } } : about;
}

/** What shares one limit in this process: a queue that has one, all queues that have none, or the runs that crashed too often
 *  to run beside one another. */
export class Group {
  /** Null for all queues without a limit. */
  readonly queue: string | null;
  /** Runs at once; Infinity where only the slots limit. */
  readonly concurrency: number;
  running = 0;
  /** Those that will fall due. */
  future = 0;
  /** Those that are due, by rank. */
  readonly ready = new Heap<Leased>();

  constructor(queue: string | null, concurrency = Infinity) {
    this.queue = queue;
    this.concurrency = concurrency;
  }

  /** Places for runs that are neither running nor waiting here. */
  get free(): number {
    return this.concurrency - this.running - this.ready.size;
  }
}
