import { formatId } from "../../sdk/port/id.ts";
import type { RetryPolicy } from "../../sdk/define/retry.ts";
import type { HookKind } from "../../sdk/port/target.ts";
import type { Traced } from "../../sdk/port/trace.ts";
import { Heap } from "./heap.ts";
import type { ProgressWriter } from "./progress.ts";
import type { Registered } from "./registry.ts";
import type { Fence, Lease } from "../store/port.ts";

/** Where a lease stands in this process; `Leases` moves it.
 *  - `waiting`: in a heap, for its instant or for a slot
 *  - `starting`: it has a slot; its start is being recorded, because the run has crashed before
 *  - `running`: its handler was called
 *  - `left`: its outcome is decided and on its way to the store, but its handler goes on, in its slot
 *  - `adrift`: its handler goes on, in its slot, and nothing of it counts any more
 *  - `ended`: its outcome is on its way to the store
 *  - `over`: nothing of it is left here */
export type Phase = "waiting" | "starting" | "running" | "left" | "adrift" | "ended" | "over";

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

/** The durable part of an attempt, as the rest of the engine sees it. */
export interface Flowing {
  /** The attempt is to stop. */
  stop(): void;
  /** Something was sent to the run. */
  mailed(): void;
  /** The handler has ended. Answers why its run is to be parked, if so. */
  close(): Error | null;
}

/** What is known of an attempt once it has a slot. */
export class Begun {
  /** When it got its slot: ticks, and epoch ms of the store. */
  readonly at: number;
  readonly atMs: number;
  readonly retry: RetryPolicy;
  /** Its handler was called. */
  ran = false;
  /** Why its signal aborted. */
  stopped: Error | null = null;
  controller: AbortController | null = null;
  /** Where the handler's progress goes, once it reported any. */
  progress: ProgressWriter | null = null;
  /** Its span, where somebody traces. */
  span: Traced | null = null;
  /** Its durable steps and waits, once it asked for one. */
  flow: Flowing | null = null;

  constructor(at: number, atMs: number, retry: RetryPolicy) {
    this.at = at;
    this.atMs = atMs;
    this.retry = retry;
  }
}

/** A lease, and all that this process knows of it. */
export class Leased {
  /** Another, under a newer token, once the run was leased anew by this node while it ran. */
  lease: Lease;
  /** Kept for the heap that it is in, if any. */
  place = 0;
  readonly limit: Limit;
  /** When the claim was answered, and when the lease ends at the latest unless it is held; ticks. */
  readonly claimedAt: number;
  readonly deadline: number;
  /** Smaller starts first, among those that are due; ticks. */
  readonly rank: number;
  /** It crashed so often that no other such run may run beside it. */
  readonly suspect: boolean;
  phase: Phase = "waiting";
  /** How the store knows it: by a lease of its own, `held` under the node's lease, which beats renew, or `told`: held, and its start is known. */
  tenure: "own" | "held" | "told" = "own";
  /** A newer lease of this run that came while its outcome was being written. */
  anew: Anew | null = null;
  /** Since when it has been due here without a slot; ticks, 0 before. */
  dueAt = 0;
  /** The code that it will run on: what was registered when it was leased, then what was when it started. */
  job: Registered;
  begun: Begun | null = null;

  constructor(
    lease: Lease,
    limit: Limit,
    job: Registered,
    about: { readonly claimedAt: number; readonly deadline: number; readonly rank: number; readonly suspect: boolean },
  ) {
    this.lease = lease;
    this.limit = limit;
    this.job = job;
    this.claimedAt = about.claimedAt;
    this.deadline = about.deadline;
    this.rank = about.rank;
    this.suspect = about.suspect;
  }

  /** The attempt that this lease is for, counted from 1. */
  get attempt(): number {
    return this.lease.attempt + 1;
  }

  /** Whether its outcome is on its way to the store. */
  get settling(): boolean {
    return this.phase === "ended" || this.phase === "left";
  }

  /** When its handler was called, epoch ms of the store; null if it was not. */
  get startedMs(): number | null {
    return this.begun?.ran ? this.begun.atMs : null;
  }

  /** Final states that add a run for a hook; hook runs have none. */
  get hooks(): readonly HookKind[] {
    return this.lease.options?.hook ? noHooks : this.job.hooks;
  }

  /** Goes on under a newer lease; the store refuses the older one from now on. Answers false, and changes nothing, if another attempt
   *  was spent meanwhile, or the input is another. */
  renew(lease: Lease): boolean {
    const { spent, input } = this.lease;
    if (lease.spent !== spent || lease.input.json !== input.json || lease.input.meta !== input.meta) return false;
    this.lease = lease;
    this.tenure = "own";
    return true;
  }

  /** Why its signal aborted, if it did. */
  get stopped(): Error | null {
    return this.begun?.stopped ?? null;
  }

  /** The handler's signal. Made when it is asked for: few handlers ask. */
  get signal(): AbortSignal {
    const begun = this.begun!;
    if (!begun.controller) {
      begun.controller = new AbortController();
      if (begun.stopped) begun.controller.abort(begun.stopped);
    }
    return begun.controller.signal;
  }

  /** Aborts the signal; the first reason stays. */
  abort(reason: Error): void {
    const { begun } = this;
    if (!begun || begun.stopped) return;
    begun.stopped = reason;
    begun.controller?.abort(reason);
    begun.flow?.stop();
  }

  /** Whether the run may have a journal, or has a parent that waits for its end. */
  get hasFlow(): boolean {
    return this.lease.token > 1 || this.begun?.flow != null || this.lease.options?.parent !== undefined;
  }
}

/** Why to claim: `poll`, to see everything · `hint`, the store said that runs are due, or the last claim was full · `asked`, a claim is in flight. */
export type Wanted = "poll" | "hint" | "asked";

/** What shares one limit in this process: a queue that has one, all queues that have none, or the runs that crashed too often
 *  to run beside one another. */
export class Limit {
  /** Null for all queues without a limit. */
  readonly queue: string | null;
  /** Runs at once; Infinity where only the slots limit. */
  readonly concurrency: number;
  running = 0;
  /** Those that will fall due. */
  future = 0;
  wanted: Wanted | null = null;
  /** A claim left out what falls due soon, because there was no room for it. */
  heldBack = false;
  /** A claim for it was not answered: the store may have leased runs to this node that it does not know. */
  unheard = false;
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

  get isOpen(): boolean {
    return this.running < this.concurrency;
  }
}

/** What the store checks on each write about a lease. */
export function fence({ lease: { id, token } }: Leased): Fence {
  return { id, token };
}

/** What every line about a run says: which it is, for one that executes a hook, of which run, and the span of its attempt. */
export function fields({ lease, attempt, begun }: Leased): object {
  const hook = lease.options?.hook;
  const about = { run: formatId(lease.id), job: lease.job, attempt, ...begun?.span?.ids };
  return hook ? { ...about, hook: { kind: hook.kind, of: formatId(hook.of) } } : about;
}
