import { CallsMixed, Diverged, InvalidInput, JournalFull, LeaseLost, Stopping } from "../../sdk/port/error.ts";
import type { Entry } from "../../sdk/port/flow.ts";
import type { Reason } from "../../sdk/port/status.ts";
import type { Tx } from "../../sdk/port/tx.ts";
import { formatId, isTokenName } from "../../sdk/port/id.ts";
import { errorRecord } from "../../sdk/port/text.ts";
import type { Alarm } from "../core/clock.ts";
import type { Core } from "../core/core.ts";
import { fence, type Leased } from "../core/lease.ts";
import type { NewEntry, Outcome, Recorded } from "../store/port.ts";
import { nameOf, type Call, type ChildCall, type StepCall } from "./call.ts";
import { notesOf, type Notes } from "../../sdk/port/note.ts";
import { entryOf, failedTry, passedBy, type Draft } from "./draft.ts";
import { Outbox } from "./outbox.ts";
import { Script, type Cause, type Turn } from "./script.ts";
import { Step } from "./step.ts";
import type { Writer } from "./writer.ts";

export type Waiting = Extract<Outcome, { to: "waiting" }>;

/** What a workflow needs of the runtime around it. */
export interface FlowTools {
  readonly core: Core;
  readonly writer: Writer;
  /** The run waits: its attempt ends here, its handler's frame is given up. */
  suspend(leased: Leased, waiting: Waiting, entries: readonly NewEntry[]): void;
  /** Nothing of the handler goes on: it was stopped, and waits for what never comes. */
  stopped(leased: Leased, error: Error): void;
  lost(leased: Leased): void;
  /** A run that waited goes on: what for it does. */
  resumed(leased: Leased, reason: string): void;
  /** A line in the run's log. */
  warn(leased: Leased, message: string, data: object): void;
  /** The result of a step is stored. */
  stepped(leased: Leased, step: Pick<Entry, "key" | "data">): void;
}

/** Shorter waits stay in the process, ms: about as long as a poll. */
const shortMs = 1000;
/** How long the code may ask for nothing that the journal has next, before that counts as another code; ms. It may wait for something that is
 *  not durable. */
const patienceMs = 1000;
/** Runs that one recording may add. */
const mostRuns = 1000;
/** Answers in a row before the event loop has its turn: a long replay must not keep the process from renewing its leases. */
const mostTurns = 100;

/** One attempt at a workflow: plays its journal to the handler, runs its steps, and suspends it when all that is left is to wait. */
export class Workflow {
  readonly script = new Script((...refused) => this.#passBy(...refused));
  readonly #leased: Leased;
  readonly #tools: FlowTools;
  readonly #alarm: Alarm;
  readonly #outbox: Outbox;
  /** Transactions of steps that wait to write their entry: one at a time. */
  readonly #inside: (() => void)[] = [];
  /** The journal is to be read, and is: until then nothing begins; then it is being read on or written, is to be read on, or neither. */
  #io: "new" | "reading" | "busy" | "stale" | "idle";
  #inbox = 0;
  #running = 0;
  /** What the run waited for, until it is told that it goes on. */
  #waited: Reason | null = null;
  /** Something was sent, which is to be read. */
  #isSent = false;
  #turn = false;
  #turns = 0;
  #over = false;
  /** Since when the journal goes on with what the code has not asked for. */
  #stalled: { readonly n: number; readonly until: number } | null = null;

  constructor(leased: Leased, tools: FlowTools) {
    this.#leased = leased;
    this.#tools = tools;
    this.#outbox = new Outbox(tools.core.settings.info.version, (call) => this.script.waits(call));
    this.#io = leased.lease.token > 1 ? "new" : "idle"; // a first lease has no journal
    this.#alarm = tools.core.clock.alarm(() => {
      if (this.#io === "idle" && this.#listens) this.#io = "stale";
      this.#wake();
    });
  }

  /** The handler asks; the answer comes in a later turn. Of a workflow that is over, it never comes. */
  ask(call: Call): void {
    if (this.#over || this.#leased.stopped) return;
    this.script.ask(call);
    this.#wake();
  }

  /** Cancels runs that this one made. */
  cancel(ids: readonly number[]): void {
    const { store, health } = this.#tools.core;
    store.desk.cancel(ids, "parent").catch((error: unknown) => health.failed("Canceling children", error));
  }

  /** Something was sent to the run: if it waits for such, it looks as soon as nothing else is under way. */
  mailed(): void {
    this.#isSent = true;
    this.#wake();
  }

  /** The attempt is to stop: no step begins any more. */
  stop(): void {
    this.#wake();
  }

  /** The handler has ended. Answers why it can't have been the code that wrote the journal, if so. */
  close(): Error | null {
    this.#end();
    const left = this.#io === "new" ? undefined : this.script.unasked;
    return left && !this.script.fresh ? this.#diverged(left, null) : null;
  }

  #end(): void {
    if (!this.#over) this.#tellResumed(this.script.cause);
    this.#over = true;
    this.#alarm.clear();
    for (const go of this.#inside.splice(0)) go(); // to be rolled back: nobody else would end their transactions
  }

  /** Goes on once the handler has reacted to what it got: when no promise is left to be gone on with. */
  #wake(): void {
    if (this.#turn || this.#over) return;
    this.#turn = true;
    const go = (): void => {
      this.#turn = false;
      if (!this.#over) this.#go();
    };
    if (++this.#turns % mostTurns === 0) setImmediate(go);
    else queueMicrotask(() => process.nextTick(go));
  }

  #go(): void {
    const { core } = this.#tools;
    if (this.#io === "idle" && this.#inside.length > 0) {
      this.#io = "busy";
      return this.#inside.shift()!();
    }
    if (this.#leased.stopped) return this.#halt(this.#leased.stopped);
    if (this.#isSent && this.#io === "idle") {
      this.#isSent = false;
      if (this.#listens) this.#io = "stale";
    }
    if (this.#io === "new" || this.#io === "stale") return void this.#load();
    if (this.#io === "reading") return;
    const isStill = this.#io === "idle" && this.#outbox.length === 0;
    const turn = this.script.turn(isStill ? core.storeClock.now() : -Infinity);
    if (turn.to === "moved") return this.#wake();
    if (turn.to === "checking") return void turn.over.then(() => this.#wake());
    if (turn.to === "stalled") return this.#stall(turn.at);
    if (turn.to === "mixed") return this.#park(this.#mixed(turn));
    if (core.drain.aborted && this.script.fresh) return this.#leased.abort(new Stopping("0 ms")); // it goes on elsewhere, where it left off
    this.#tellResumed(this.script.cause);
    for (const call of this.script.takeFresh()) this.#begin(call);
    if (this.#io === "busy") return;
    this.#resume();
    this.#rest();
  }

  /** What was stopped ends once its steps have, and what they came to is written. */
  #halt(reason: Error): void {
    if (this.#running > 0 || this.#io === "busy" || this.#io === "reading") return;
    if (this.#outbox.length > 0) return void this.#flush();
    this.#end();
    this.#tools.stopped(this.#leased, reason);
  }

  /** Goes on with steps whose next try is due, and with children of which some were not added before a crash. */
  #resume(): void {
    const nowMs = this.#tools.core.storeClock.now();
    for (const call of this.script.waiting) {
      if (call.kind === "step" && call.untilMs !== null && call.untilMs <= nowMs) {
        this.#tellResumed("sleep");
        this.#run(call);
      }
      if (call.kind === "child" && call.ids.size < call.runs.length && this.#outbox.length === 0) this.#adopt(call);
    }
  }

  /** A run that was woken in vain does not go on. */
  #tellResumed(cause: Cause | null): void {
    const reason = this.#waited === "parked" ? this.#waited : cause;
    if (this.#waited === null || reason === null) return;
    this.#waited = null;
    this.#tools.resumed(this.#leased, reason);
  }

  /** Whether it waits for what is sent to it: while it is in the process, it has to look. */
  get #listens(): boolean {
    return this.script.waiting.some(({ kind }) => kind === "wait" || kind === "child");
  }

  /** Nothing new is to be done. A long wait ends the attempt, unless a step runs. */
  #rest(): void {
    const { core, suspend } = this.#tools;
    const { waiting } = this.script;
    const untilMs = Math.min(...waiting.map((call) => call.untilMs ?? Infinity));
    const isShort = untilMs - core.storeClock.now() < shortMs;
    if (this.#outbox.length > 0 && (isShort || !this.#outbox.isOpening || this.#running > 0)) return void this.#flush();
    if (waiting.length === 0) return; // the handler waits for something else
    if (isShort || this.#running > 0) {
      const lookMs = this.#listens ? core.storeClock.now() + shortMs : Infinity;
      const nextMs = Math.min(untilMs, lookMs);
      if (Number.isFinite(nextMs)) this.#alarm.set(core.storeClock.tickAt(nextMs));
      return;
    }
    this.#end();
    const has = (kind: Call["kind"]): boolean => waiting.some((call) => call.kind === kind);
    suspend(
      this.#leased,
      {
        to: "waiting",
        reason: has("wait") ? "signal" : has("child") ? "child" : "sleep",
        untilMs: Number.isFinite(untilMs) ? untilMs : null,
        seen: this.#inbox,
        wants: Math.min(...waiting.map((call) => (call.kind === "child" ? call.ids.size - call.ends.size : 1))),
        error: null,
      },
      this.#outbox.takeAll(),
    );
  }

  /** The journal goes on with what the code has not asked for. It may still come, but not if it asks for something else. */
  #stall(at: Entry): void {
    const { fresh } = this.script;
    if (!fresh || this.#running > 0) return;
    if (fresh.kind === "step" && "older" in fresh) {
      this.script.over(fresh);
      fresh.resolve(fresh.older);
      return this.#wake();
    }
    const ticks = this.#tools.core.clock.ticks();
    if (this.#stalled?.n !== at.n) this.#stalled = { n: at.n, until: ticks + patienceMs };
    else if (ticks >= this.#stalled.until) return this.#park(this.#diverged(at, fresh));
    this.#alarm.set(this.#stalled.until);
  }

  #park(error: Error): void {
    this.#end();
    this.#tools.suspend(this.#leased, parked(error, this.#inbox), []);
  }

  #mixed({ call, at }: Extract<Turn, { to: "mixed" }>): Error {
    return new CallsMixed(formatId(this.#leased.lease.id), nameOf(call), at, call.place!.at);
  }

  #diverged(at: Entry, asked: Call | null): Error {
    const place = (text: string | null | undefined): string => (text ? ` (${text})` : "");
    const journal = `${at.kind} "${at.key}" at ${at.n}${place(notesOf(at).at)}`;
    const code = asked && `${nameOf(asked)}${place(asked.place?.at)}`;
    return new Diverged(formatId(this.#leased.lease.id), journal, code);
  }

  /** A call that the journal does not have begins. */
  #begin(call: Call): void {
    const full = this.#full();
    if (full) {
      this.script.over(call);
      return call.reject(full);
    }
    const nowMs = Math.max(Math.ceil(this.#tools.core.storeClock.now()), this.script.floorMs);
    switch (call.kind) {
      case "step":
        return this.#run(call);
      case "sleep": {
        const until = call.until(nowMs);
        this.script.begin(call, until);
        return this.#outbox.put(call, { kind: "sleep", ...entryOf(call, { until }) });
      }
      case "wait": {
        const until = call.timeoutMs === null ? null : nowMs + call.timeoutMs;
        this.script.begin(call, until);
        return this.#outbox.put(call, { kind: "wait", ...entryOf(call, { until, for: call.name }) });
      }
      case "child":
        this.script.begin(call, null);
        return this.#adopt(call);
      default:
        call satisfies never;
    }
  }

  /** Why the journal can't take more calls, or a value more; null if it can. */
  #full(value: Entry["value"] = null): JournalFull | null {
    const { maxSteps } = this.#tools.core.settings;
    const id = formatId(this.#leased.lease.id);
    if (this.script.count <= maxSteps) return this.#outbox.full(id, value);
    return new JournalFull(
      id,
      `asks for more than ${maxSteps} steps, sleeps, waits and children`,
      'trigger a run that goes on from here, and end this one; or raise the setting "steps"',
    );
  }

  /** Adds the runs of a call, in parts. */
  #adopt(call: ChildCall): void {
    const first = (call.failure !== "collect" && call.runs.length > 1) || undefined;
    const draft = { kind: "child" as const, ...entryOf(call, { first }) };
    const parent = { run: this.#leased.lease.id, key: call.key };
    const left = call.runs.slice(call.ids.size);
    const sent = this.#leased.begun!.span?.send(left) ?? left;
    const runs = sent.map((run) => ({ ...run, options: { ...run.options, parent } }));
    for (let from = 0; from < runs.length; from += mostRuns)
      this.#outbox.put(call, { ...draft, adds: runs.slice(from, from + mostRuns) });
  }

  /** A signal is bad: the journal says so, so that no replay takes it, whatever its code says of it. */
  #passBy(key: string, { key: event, n, data }: Entry, why: unknown): void {
    this.#outbox.put(null, passedBy(key, why));
    const about = { event: isTokenName(event) ? "token" : event, entry: n, by: notesOf({ data }).by };
    this.#tools.warn(this.#leased, `Signal passed by: ${errorRecord(why).message}`, about);
  }

  #run(call: StepCall): void {
    const { core } = this.#tools;
    const began = Math.floor(core.storeClock.now());
    const ticks = core.clock.ticks();
    const step = new Step(call, this.#leased, core.clock);
    this.#running++;
    call.since = 0;
    call.untilMs = null;
    const notes = (): Notes => ({ began, took: Math.round(core.clock.ticks() - ticks) });
    const done = (value: Entry["value"]): Draft => ({ kind: "step", ...entryOf(call, notes()), value });
    const ended = (write: () => Draft): void => {
      if (!step.end()) return;
      this.#running--;
      const draft = write();
      if (draft.kind === "step" || !this.#leased.stopped) this.#outbox.put(call, draft); // what ends by the stop has not failed
      this.#wake();
    };
    const failed = (error: unknown): void =>
      ended(() => failedTry(call, error, notes(), this.#tools.core.storeClock.now()));
    if (call.within) return void this.#commit(step, done, failed);
    step.run((value) => {
      const full = this.#full(value);
      if (full) failed(full);
      else ended(() => done(value));
    }, failed);
  }

  /** Runs a step in a transaction of its author, with its entry as the last that is written in it. */
  async #commit(step: Step, done: (value: Entry["value"]) => Draft, failed: (error: unknown) => void): Promise<void> {
    let written = null as { readonly entry: NewEntry; readonly recorded: Recorded } | null;
    let isOurs = false;
    try {
      await step.within(async (value, tx) => {
        const full = this.#full(value);
        if (full) throw full;
        await this.#turnOf(step);
        isOurs = true;
        const entry = this.#outbox.sign(done(value));
        written = { entry, recorded: await this.#recordIn(tx, entry) };
      });
      if (!written)
        throw new InvalidInput("ctx.tx: the function did not run the work that it was given, or hid that it failed");
    } catch (error) {
      // It may have been committed, if the connection was lost: the journal says so.
      if (isOurs) this.#io = "stale";
      return failed(error);
    }
    const { entry, recorded } = written;
    this.#io = "idle";
    this.#outbox.wrote(entry);
    step.end();
    this.#running--;
    this.script.feed(recorded.entries.map((one) => ({ ...entry, ...one })));
    this.#tools.stepped(this.#leased, entry);
    this.#wake();
  }

  /** Waits until nobody else reads or writes the journal; then nobody does before the transaction is over.
   *  @throws {InvalidInput} if the step, or all of the workflow, is over by then */
  async #turnOf(step: Step): Promise<void> {
    if (!this.#over)
      await new Promise<void>((resolve) => {
        this.#inside.push(resolve);
        this.#wake();
      });
    if (!step.over && !this.#over) return;
    if (!this.#over) this.#io = "idle";
    this.#wake();
    throw new InvalidInput(
      "ctx.tx: the handler or the step is over; wait for ctx.tx, and for the work that it is given",
    );
  }

  async #recordIn(tx: Tx, entry: NewEntry): Promise<Recorded> {
    const recording = { ...fence(this.#leased), entries: [entry], floorMs: this.script.floorMs };
    const [recorded] = await this.#tools.core.store.flow.record([recording], tx);
    if (!recorded) throw new LeaseLost(formatId(this.#leased.lease.id));
    if (recorded instanceof Error) throw recorded;
    return recorded;
  }

  async #load(): Promise<void> {
    const isFirst = this.#io === "new";
    this.#io = isFirst ? "reading" : "busy";
    const journal = await this.#tools.writer.load(this.#leased, this.#outbox.last, this.script.floorMs);
    if (!this.#landed(journal)) return;
    if (isFirst && this.#leased.lease.crashes === 0) this.#waited = journal.waited; // after a crash it had gone on before
    this.#inbox = journal.inbox;
    this.#outbox.read(journal.entries);
    this.script.feed(journal.entries);
    this.#wake();
  }

  /** Writes what waits for it. */
  async #flush(): Promise<void> {
    const { entries: sent, call } = this.#outbox.takeSome();
    if (sent.length === 0) return this.#wake();
    this.#io = "busy";
    const recorded = await this.#tools.writer.record(this.#leased, sent, this.script.floorMs);
    if (recorded instanceof Error && sent[0]!.adds) return this.#refused(call!, recorded);
    if (!this.#landed(recorded)) return;
    this.script.feed(recorded.entries.map((entry, i) => ({ ...sent[i]!, ...entry })));
    for (const entry of sent) if (entry.kind === "step") this.#tools.stepped(this.#leased, entry);
    for (const meter of this.#tools.core.meters)
      for (const { adds = [] } of sent) if (adds[0]) meter.added(adds[0], adds.length);
    if (recorded.inbox > this.#inbox && this.#listens) this.#io = "stale";
    this.#wake();
  }

  /** Runs of a call can't be added: its handler hears why, and nothing of it is in the journal. */
  #refused(call: Call, error: Error): void {
    this.#io = "idle";
    this.#outbox.untake();
    this.script.over(call);
    call.reject(error);
    this.#wake();
  }

  /** Whether an answer of the store is one to go on with. */
  #landed<T>(answer: T | Error | null): answer is T {
    this.#io = "idle";
    if (answer !== null && !(answer instanceof Error)) return true;
    this.#end();
    if (answer === null) this.#tools.lost(this.#leased);
    const lost = this.#leased.stopped ?? new LeaseLost(formatId(this.#leased.lease.id));
    this.#tools.stopped(this.#leased, answer instanceof Error ? answer : lost);
    return false;
  }
}

/** The outcome of a run whose code is not that of its journal. */
export function parked(error: Error, seen = 0): Waiting {
  return { to: "waiting", reason: "parked", untilMs: null, seen, wants: 1, error: errorRecord(error) };
}
