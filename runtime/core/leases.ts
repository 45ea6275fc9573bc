import type { RetryPolicy } from "../../sdk/define/retry.ts";
import type { Fence, Lease } from "../store/port.ts";
import { Bell, type Alarm, type Clock, type StoreClock } from "./clock.ts";
import { Heap } from "./heap.ts";
import { Begun, Leased, Limit, type Accepted, type Wanted } from "./lease.ts";
import type { Registered } from "./registry.ts";
import { room, type Load, type Room } from "./room.ts";
import type { Standing } from "./standing.ts";
import type { Wake } from "./wake.ts";

/** One step of priority counts like a wait of this length in this process; ms. */
const stepMs = 100;
/** Past this many ended runs that the store has not taken, nothing more is leased. */
const mostUnsettled = 4000;
/** How fast the mean length of attempts follows the latest one. */
const share = 0.05;

/** What the book of leases goes by. */
export interface LeasesParts {
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly standing: Standing;
  /** The loop that claims: it is woken when there is room for what it left in the store. */
  readonly claims: Wake;
  readonly slots: number;
  /** Limits of queues in this process. */
  readonly queues: Readonly<Record<string, { readonly concurrency: number }>>;
  readonly maxCrashes: number;
  /** How long a lease is good after its claim was sent, with a margin for safety; ms. */
  readonly goodMs: number;
}

/** The book of all that this process has leased: what waits, in a heap by instant and, once due, in its limit's heap by rank; what has a
 *  slot; and what has ended, until the store has taken its outcome. Nobody else writes where a lease stands. */
export class Leases {
  readonly #parts: LeasesParts;
  /** How many crashes make a run a suspect: it is tried alone. */
  readonly #suspectFrom: number;
  readonly #future = new Heap<Leased>();
  readonly #open = new Limit(null);
  readonly #suspects = new Limit(null, 1);
  readonly #limited: ReadonlyMap<string, Limit>;
  readonly #book = new Map<number, Leased>();
  readonly #alarm: Alarm;
  readonly #emptied: Bell;
  /** One for all queues without a limit, and one for each queue that has one. */
  readonly limits: readonly Limit[];
  #slots: number;
  #busy = 0;
  #ready = 0;
  #unsettled = 0;
  #runMs = Number.NaN;
  /** Whether a claim has been answered: before, nobody knows what waits in the store. */
  #known = false;
  /** Claims passed by runs that crashed too often, because such runs are here. */
  #passedBy = false;
  #onDue: () => void = () => undefined;

  constructor(parts: LeasesParts) {
    this.#parts = parts;
    this.#slots = parts.slots;
    this.#suspectFrom = Math.max(1, parts.maxCrashes - 1);
    this.#limited = new Map(
      Object.entries(parts.queues).map(([queue, { concurrency }]) => [queue, new Limit(queue, concurrency)]),
    );
    this.limits = [this.#open, ...this.#limited.values()];
    this.#alarm = parts.clock.alarm(() => this.#onDue());
    this.#emptied = new Bell(parts.clock);
  }

  /** Who starts what is due: called when a run falls due, or may get a slot. */
  onDue(start: () => void): void {
    this.#onDue = start;
  }

  /** How full the process is. */
  load(): Load {
    const [slots, busy, future, runMs] = [this.#slots, this.#busy, this.#future.size, this.#runMs];
    return { slots, busy, ready: this.#startable(), future, heap: this.#ready + future, runMs };
  }

  /** How long the run that is due here longest has waited for a slot; 0 if none is due. */
  lagMs(): number {
    const now = this.#parts.clock.ticks();
    let since = now;
    for (const { phase, dueAt } of this.#book.values())
      if (phase === "waiting" && dueAt > 0 && dueAt < since) since = dueAt;
    return now - since;
  }

  /** What a claim may bring now. */
  room(): Room {
    const found = room(this.load());
    return this.#unsettled < mostUnsettled ? found : { ...found, limit: 0, want: false };
  }

  /** How many runs of a queue may come leased without a claim: as many as a claim would bring, where none is known to wait. */
  roomFor(queue: string): number {
    const limit = this.limitOf(queue);
    return !this.#known || limit.wanted !== null ? 0 : Math.min(this.room().limit, limit.free);
  }

  limitOf(queue: string): Limit {
    return this.#limited.get(queue) ?? this.#open;
  }

  /** Whether there is something to claim for. */
  get wants(): boolean {
    return this.#passedBy || this.limits.some(({ wanted }) => wanted !== null);
  }

  /** Runs may wait in the store for all limits: a poll is wanted, or the store said so. */
  want(wanted: Exclude<Wanted, "asked">): void {
    for (const limit of this.limits) if (wanted === "poll" || limit.wanted !== "poll") limit.wanted = wanted;
    this.#parts.claims.ring();
  }

  /** Nothing is to be claimed, for no job is here. */
  wantNothing(): void {
    for (const limit of this.limits) limit.wanted = null;
  }

  /** What the coming claim should bring no run of: so many crashes, while such a run is due or runs here, for they go one by one;
   *  undefined otherwise. */
  passBy(): number | undefined {
    const some = this.#suspects.running + this.#suspects.ready.size > 0;
    this.#passedBy ||= some;
    return some ? this.#suspectFrom : undefined;
  }

  /** A claim for a limit is in flight. `ahead`: it brings what falls due soon, too. */
  asked(limit: Limit, ahead: boolean): void {
    limit.wanted = "asked";
    if (!ahead) limit.heldBack = true;
  }

  /** The claim was answered. One that came back full left more in the store. */
  answered(limit: Limit, isFull: boolean): void {
    this.#known = true;
    if (limit.wanted === "asked") limit.wanted = isFull ? "hint" : null;
  }

  /** Whether nothing is here: nothing waits, has a slot, or has ended unsettled. */
  get empty(): boolean {
    return this.#busy === 0 && this.#book.size === 0;
  }

  /** All that waits, has a slot, or has ended unsettled; what is adrift is not in it. */
  all(): IterableIterator<Leased> {
    return this.#book.values();
  }

  find({ id, token }: Fence): Leased | undefined {
    const leased = this.#book.get(id);
    return leased?.lease.token === token ? leased : undefined;
  }

  get(id: number): Leased | undefined {
    return this.#book.get(id);
  }

  /** One that waits for its instant is due now: it waits for nothing else any more. */
  hasten(leased: Leased): void {
    if (leased.phase !== "waiting" || !this.#future.remove(leased)) return;
    leased.lease = { ...leased.lease, dueMs: Math.floor(this.#parts.storeClock.now()) };
    leased.limit.future--;
    this.#queueUp(leased);
  }

  resize(slots: number): void {
    this.#slots = slots;
    this.#onDue();
  }

  /** Writes down a lease of a registered job. Answers the one of the same run that is here still, if that keeps it out: it must be dealt
   *  with first. Its lease had ended, for this process was blocked or the store away. A run that has ended waits for what the store says
   *  to its outcome, and one that runs goes on under the newer lease, for nobody else can have it now. */
  add(lease: Lease, job: Registered, { sentAt, receivedAt, order }: Accepted): Leased | null {
    const known = this.#book.get(lease.id);
    if (known && known.lease.token > lease.token) return null; // it was claimed anew before the answer to its add came
    if (known?.settling) known.anew = { lease, about: { sentAt, receivedAt, order } };
    else if (known && !(known.phase === "running" && known.renew(lease))) return known;
    if (known) return null;
    const rank = receivedAt - stepMs * (order === "oldest" ? 9 : lease.priority);
    const suspect = lease.crashes >= this.#suspectFrom;
    const limit = this.limitOf(lease.queue);
    const about = { claimedAt: receivedAt, deadline: sentAt + this.#parts.goodMs, rank, suspect };
    const leased = new Leased(lease, limit, job, about);
    this.#book.set(lease.id, leased);
    if (lease.dueMs <= this.#parts.storeClock.now()) this.#queueUp(leased);
    else {
      limit.future++;
      this.#future.push(leased, lease.dueMs);
    }
    return null;
  }

  /** Whether something is due and a slot is free. */
  due(nowMs: number): boolean {
    while (this.#future.due(nowMs)) {
      const due = this.#future.pop()!;
      due.limit.future--;
      this.#queueUp(due);
    }
    return this.#ready > 0 && this.#busy < this.#slots;
  }

  /** The next lease that is due and has a place, now with a slot; undefined if there is none. Only while `due`. */
  next(): Leased | undefined {
    const leased = this.#pick();
    if (!leased) return undefined;
    this.#ready--;
    this.#busy++;
    leased.limit.running++;
    if (leased.suspect) this.#suspects.running++;
    leased.phase = "starting";
    return leased;
  }

  /** Sets the alarm for what falls due next, and wakes claims for what there is room for now. */
  rest(): void {
    const { storeClock, claims } = this.#parts;
    if (this.#future.size > 0) this.#alarm.set(storeClock.tickAt(this.#future.nextKey()));
    if (this.#passedBy && this.#suspects.running + this.#suspects.ready.size === 0) {
      this.#passedBy = false;
      this.want("poll");
    }
    this.#refill();
    if (this.limits.some(({ wanted }) => wanted !== null) && this.room().want) claims.ring();
  }

  /** An attempt begins: from now on its length counts. */
  begin(leased: Leased, retry: RetryPolicy): void {
    const { clock, storeClock } = this.#parts;
    leased.begun = new Begun(clock.ticks(), Math.max(leased.lease.dueMs, Math.floor(storeClock.now())), retry);
  }

  /** Until when a lease is good; ticks. */
  deadline({ tenure, deadline }: Leased): number {
    return tenure !== "own" ? this.#parts.standing.heldUntil : deadline;
  }

  /** It is under the node's own lease from now on. `told`: the store knows of its start. */
  hold(leased: Leased, told: boolean): void {
    if (leased.tenure !== "told") leased.tenure = told ? "told" : "held";
  }

  /** Its handler is called. */
  run(leased: Leased): void {
    leased.phase = "running";
    leased.begun!.ran = true;
  }

  /** Its outcome is decided. One whose handler goes on keeps its slot: `free` gives it back. */
  end(leased: Leased): void {
    const { phase } = leased;
    if (phase === "waiting") this.#unqueue(leased);
    leased.phase = phase === "running" ? "left" : "ended";
    this.#unsettled++;
    if (phase === "starting") this.#free(leased);
  }

  /** The store has taken the outcome, or never will. Answers the newer lease of the run that came meanwhile, if one did. */
  settled(leased: Leased): Leased["anew"] {
    this.#unsettled--;
    this.#forget(leased);
    leased.phase = leased.phase === "left" ? "adrift" : "over";
    return leased.anew;
  }

  /** Nothing of it counts any more: it was given back, or lost. One whose handler runs keeps its slot. */
  drop(leased: Leased): void {
    const { phase } = leased;
    this.#forget(leased);
    if (phase === "waiting") this.#unqueue(leased);
    leased.phase = phase === "running" ? "adrift" : "over";
    if (phase === "starting") this.#free(leased);
  }

  /** Its handler is over, or its slot is wanted for others. Answers false if it had none any more. */
  free(leased: Leased): boolean {
    if (leased.phase !== "left" && leased.phase !== "adrift") return false;
    leased.phase = leased.phase === "left" ? "ended" : "over";
    const runMs = this.#parts.clock.ticks() - leased.begun!.at;
    this.#runMs = Number.isNaN(this.#runMs) ? runMs : this.#runMs + (runMs - this.#runMs) * share;
    this.#free(leased);
    return true;
  }

  /** What waits here in vain: due for longer than `waitMs` without a slot, or past its lease. */
  stuck(waitMs: number): readonly Leased[] {
    const now = this.#parts.clock.ticks();
    const waits = ({ dueAt }: Leased): boolean => dueAt > 0 && now - dueAt > waitMs;
    const found = [...this.#book.values()].filter(
      (leased) => leased.phase === "waiting" && (waits(leased) || now >= this.deadline(leased)),
    );
    // so that not as many are leased again
    if (found.some((leased) => waits(leased) && leased.limit.isOpen && !leased.suspect))
      this.#runMs = Math.max(waitMs, this.#runMs || 0);
    return found;
  }

  /** Waits until no slot is taken, or until `at` (ticks). Answers whether none is. */
  async idle(at: number): Promise<boolean> {
    const never = new AbortController();
    while (this.#busy > 0 && this.#parts.clock.ticks() < at) await this.#emptied.next(at, never.signal);
    return this.#busy === 0;
  }

  #free(leased: Leased): void {
    this.#busy--;
    leased.limit.running--;
    if (leased.suspect) this.#suspects.running--;
    if (this.#busy === 0) this.#emptied.ring();
    this.#onDue();
  }

  #forget(leased: Leased): void {
    if (this.#book.get(leased.lease.id) === leased) this.#book.delete(leased.lease.id);
  }

  #queueUp(leased: Leased): void {
    leased.dueAt = this.#parts.clock.ticks();
    this.#line(leased).ready.push(leased, leased.rank);
    this.#ready++;
  }

  #unqueue(leased: Leased): void {
    if (this.#future.remove(leased)) {
      leased.limit.future--;
      if (this.#future.size === 0) this.#alarm.clear();
    } else if (this.#line(leased).ready.remove(leased)) this.#ready--;
  }

  #line(leased: Leased): Limit {
    return leased.suspect ? this.#suspects : leased.limit;
  }

  /** The first by rank among those whose limit has a place. */
  #pick(): Leased | undefined {
    let best = this.#open;
    if (this.#limited.size > 0 || this.#suspects.ready.size > 0) {
      for (const limit of this.#limited.values())
        if (limit.isOpen && limit.ready.nextKey() < best.ready.nextKey()) best = limit;
      const suspect = this.#suspects.ready.peek();
      if (suspect && this.#suspects.isOpen && suspect.limit.isOpen && suspect.rank < best.ready.nextKey())
        best = this.#suspects;
    }
    return best.ready.pop();
  }

  /** How many due runs would start if there were slots for all. */
  #startable(): number {
    let count = this.#open.ready.size;
    if (this.#ready === count) return count;
    for (const { concurrency, running, ready } of this.#limited.values())
      count += Math.min(ready.size, concurrency - running);
    const suspect = this.#suspects.ready.peek();
    return suspect && this.#suspects.isOpen && suspect.limit.isOpen ? count + 1 : count;
  }

  /** What falls due soon is asked for again once half of what was brought of it has started. */
  #refill(): void {
    if (!this.limits.some(({ heldBack }) => heldBack) || !this.room().refill) return;
    for (const limit of this.limits) {
      if (!limit.heldBack || (limit.queue !== null && limit.future > limit.concurrency / 2)) continue;
      limit.heldBack = false;
      limit.wanted ??= "hint";
    }
  }
}
