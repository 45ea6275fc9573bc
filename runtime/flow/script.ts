import { StepFailed } from "../../sdk/port/error.ts";
import { keyOf, type Entry } from "../../sdk/port/flow.ts";
import { baseOf, calledBy, callOf, nameOf, type Call, type ChildCall, type Verdict, type WaitCall } from "./call.ts";
import { notesOf, valueOf, type Notes } from "../../sdk/port/note.ts";

/** What a turn came to. `moved`: the handler got an answer, and may ask for more. `stalled`: the journal goes on with an entry that the handler has
 *  not asked for. `mixed`: calls of one name have changed places, one of them being `at` when it was recorded. `checking`: a schema takes its time, and nothing goes on before it is `over`. `done`: all of the journal has been played. */
export type Turn =
  | { readonly to: "moved" }
  | { readonly to: "stalled"; readonly at: Entry }
  | { readonly to: "mixed"; readonly call: Call; readonly at: string }
  | { readonly to: "checking"; readonly over: Promise<void> }
  | { readonly to: "done" };

/** What gave the handler an answer: its instant, what was sent, the time limit of a wait, the end of a child. */
export type Cause = "sleep" | "signal" | "timeout" | "child";

/** Mail that is offered to a wait. */
type Offer = readonly [call: WaitCall, mail: Entry];
/** Hears of mail that no wait is to get from now on: its key, and why. */
export type Refused = (key: string, mail: Entry, why: unknown) => void;

const moved = { to: "moved" } as const;
const done = { to: "done" } as const;

/** Plays a journal to the calls of a handler: entries in their order, one answer a turn, so that every replay of the handler sees the same
 *  order. What ends by the clock has its place between the entries by their instants. No store, no timer: pure but for the handler's promises. */
export class Script {
  readonly #calls = new Map<string, Call>();
  readonly #counts = new Map<string, number>();
  readonly #entries: Entry[] = [];
  /** Calls that the journal has entries of. */
  readonly #known = new Set<string>();
  /** All that was asked, answered or not. */
  readonly #asked = new Set<string>();
  /** Mail that nobody has waited for yet, with its keys. */
  readonly #mail = new Map<Entry, string>();
  /** Keys of mail that is passed by. */
  readonly #passed = new Set<string>();
  /** Offers to be made, in order; and the one whose answer is waited for, or has come. */
  #offers: Iterator<Offer>[] = [];
  #checking: Promise<void> | null = null;
  #checked: (() => boolean) | null = null;
  readonly #refused: Refused;
  #fresh: Call[] = [];
  #at = 0;
  #cause: Cause | null = null;
  /** Calls that are asked for in another place than they were recorded, of the same code. */
  readonly #moved: { readonly name: string; readonly call: Call; readonly at: string }[] = [];
  #mixed: Extract<Turn, { to: "mixed" }> | null = null;
  #began = 0;
  #floorMs = 0;

  constructor(refused: Refused) {
    this.#refused = refused;
  }

  /** Nothing that is written from now on may have an instant before it; epoch ms. */
  get floorMs(): number {
    return this.#floorMs;
  }

  /** What the latest answer came of, if it came after all that the code has written. */
  get cause(): Cause | null {
    return this.#cause;
  }

  /** How many calls were asked. */
  get count(): number {
    return this.#asked.size;
  }

  /** The key of the coming call of this name: the name, then `name#2` and on. */
  keyOf(kind: Call["kind"] | "mail", name: string): string {
    const counted = `${kind} ${name}`;
    const count = (this.#counts.get(counted) ?? 0) + 1;
    this.#counts.set(counted, count);
    return keyOf(name, count);
  }

  /** More of the journal. */
  feed(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#entries.push(entry);
      if (entry.kind === "passed") this.#passed.add(entry.key);
      const called = calledBy(entry);
      if (called !== null) this.#known.add(called);
    }
  }

  /** Whether the journal has entries of a call. */
  knows(call: Pick<Call, "kind" | "key">): boolean {
    return this.#known.has(nameOf(call));
  }

  /** The handler asks. A wait takes what has come already. */
  ask(call: Call): void {
    const owned = this.#moved.find(({ name, at }) => name === baseOf(call) && at === call.place?.at);
    if (owned) this.#mixed = { to: "mixed", ...owned };
    this.#asked.add(nameOf(call));
    this.#calls.set(nameOf(call), call);
    this.#fresh.push(call);
    if (call.kind !== "wait") return;
    this.#offers.push(this.#toOne(call));
    if (this.#offers.length === 1 && !this.#checking) this.#offer();
  }

  /** Goes on until the handler got an answer. `nowMs`: what ends by the clock until then is over. */
  turn(nowMs: number): Turn {
    for (;;) {
      if (this.#offer()) return moved;
      if (this.#checking) return { to: "checking", over: this.#checking };
      if (this.#mixed) return this.#mixed;
      const entry = this.#entries[this.#at];
      const due = this.#dueBy(entry ? entry.atMs : nowMs);
      if (due) return this.#expire(due);
      if (!entry) return done;
      const called = calledBy(entry);
      const call = called === null ? undefined : this.#calls.get(called);
      if (called !== null && !call && !this.#asked.has(called)) return { to: "stalled", at: entry };
      const notes = notesOf(entry);
      if (call && isElsewhere(call, notes)) this.#compare(call, notes.at!);
      if (this.#mixed) return this.#mixed;
      this.#at++;
      if (called !== null) this.#cause = null;
      this.#floorMs = Math.max(this.#floorMs, entry.atMs);
      if (called === null ? this.#deliver(entry, notes) : call && this.#answer(call, entry, notes)) return moved;
    }
  }

  /** Calls that the journal does not have, to be begun, in order. */
  takeFresh(): readonly Call[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh.filter((call) => this.#isFresh(call));
  }

  /** Whether a call still waits for its answer. */
  waits(call: Call): boolean {
    return this.#calls.has(nameOf(call));
  }

  /** The first call that the journal does not have. */
  get fresh(): Call | undefined {
    return this.#fresh.find((call) => this.#isFresh(call));
  }

  /** It may have been asked before the journal was read. */
  #isFresh(call: Call): boolean {
    return this.waits(call) && !this.knows(call);
  }

  /** A call begins to wait. Its place among the others, and so its end by the clock, comes with its entry. */
  begin(call: Call, untilMs: number | null): void {
    call.since = Infinity;
    call.untilMs = untilMs;
  }

  /** The first entry that is left of a call that the handler has not asked for. */
  get unasked(): Entry | undefined {
    return this.#entries.slice(this.#at).find((entry) => {
      const called = calledBy(entry);
      return called !== null && !this.#asked.has(called);
    });
  }

  /** All that waits: for its instant, for mail, for children. */
  get waiting(): readonly Call[] {
    return [...this.#calls.values()].filter(({ since }) => since > 0);
  }

  /** Its answer is known, or not wanted any more. */
  over(call: Call): void {
    this.#calls.delete(nameOf(call));
  }

  /** The sleep or wait that the clock ends first, if that is by then. */
  #dueBy(ms: number): Call | null {
    let first: Call | null = null;
    for (const call of this.#calls.values()) {
      const { kind, since, untilMs } = call;
      if (
        since === 0 ||
        since === Infinity ||
        untilMs === null ||
        untilMs > ms ||
        (kind !== "sleep" && kind !== "wait")
      )
        continue;
      if (!first || untilMs < first.untilMs! || (untilMs === first.untilMs && since < first.since)) first = call;
    }
    return first;
  }

  #expire(call: Call): Turn {
    this.#floorMs = Math.max(this.#floorMs, call.untilMs!);
    this.over(call);
    this.#cause = call.kind === "wait" ? "timeout" : "sleep";
    call.resolve(call.kind === "wait" ? null : undefined);
    return moved;
  }

  /** Answers a call from its entry, or notes how far it is. True if the handler got an answer. */
  #answer(call: Call, entry: Entry, notes: Notes): boolean {
    switch (entry.kind) {
      case "step":
        this.over(call);
        call.resolve(valueOf(entry));
        return true;
      case "failed":
        this.over(call);
        call.reject(new StepFailed(call.key, notes.tries ?? 1, valueOf(entry)));
        return true;
      case "retry":
        if (call.kind === "step") call.tries = notes.tries ?? call.tries + 1;
        break;
      case "child":
        if (call.kind === "child") for (const id of entry.runs ?? []) call.ids.add(id);
        break;
      default:
    }
    if (call.since === 0 || call.since === Infinity) call.since = ++this.#began;
    call.untilMs = notes.until ?? null;
    return call.kind === "child" && this.#finish(call);
  }

  #deliver(mail: Entry, { run, status = "failed", reason = null, error = null }: Notes): boolean {
    if (mail.kind === "passed") return false;
    if (run !== undefined) {
      const parent = this.#calls.get(nameOf({ kind: "child", key: mail.key }));
      if (parent?.kind !== "child" || !parent.ids.has(run)) return false; // it did not wait for that one
      parent.ends.set(run, { id: run, status, reason, error, result: mail.value });
      return this.#finish(parent);
    }
    const key = this.keyOf("mail", mail.key);
    if (this.#passed.has(key)) return false;
    this.#mail.set(mail, key);
    this.#offers.push(this.#toAll(mail));
    return false;
  }

  /** A call is asked for in another place. That may be meant, unless it is that of another call of its name, or another call is asked for in its
   *  own: then one would get the answer of the other. */
  #compare(call: Call, at: string): void {
    const name = baseOf(call);
    const isHere = (entry: Entry): boolean => {
      const other = callOf(entry);
      if (!other || other.key === call.key || baseOf(other) !== name) return false;
      const notes = notesOf(entry);
      return notes.at === call.place!.at && notes.code === call.place!.code;
    };
    const isAsked = [...this.#calls.values()].some((other) => baseOf(other) === name && other.place?.at === at);
    if (isAsked || this.#entries.some(isHere)) this.#mixed = { to: "mixed", call, at };
    else this.#moved.push({ name, call, at });
  }

  *#toOne(call: WaitCall): Generator<Offer, undefined> {
    for (const mail of this.#mail.keys()) {
      if (!this.waits(call)) return;
      yield [call, mail];
    }
  }

  *#toAll(mail: Entry): Generator<Offer, undefined> {
    for (const call of this.#calls.values()) if (call.kind === "wait") yield [call, mail];
  }

  /** Offers mail to waits. True if one got it. */
  #offer(): boolean {
    while (!this.#checking) {
      const checked = this.#checked;
      this.#checked = null;
      if (checked?.()) return true;
      const next = this.#offers[0]?.next();
      if (!next) return false;
      if (next.done) this.#offers.shift();
      else if (this.#try(...next.value)) return true;
    }
    return false;
  }

  #try(call: WaitCall, mail: Entry): boolean {
    if (mail.key !== call.name || !this.#mail.has(mail) || !this.waits(call)) return false;
    let verdict: Verdict | Promise<Verdict>;
    try {
      verdict = call.accept(mail);
    } catch (error) {
      return this.#fail(call, error);
    }
    if (!(verdict instanceof Promise)) return this.#judge(call, mail, verdict);
    const then = (checked: () => boolean): void => {
      this.#checking = null;
      this.#checked = checked;
    };
    this.#checking = verdict.then(
      (known) => then(() => this.#judge(call, mail, known)),
      (error: unknown) => then(() => this.#fail(call, error)),
    );
    return false;
  }

  #judge(call: WaitCall, mail: Entry, verdict: Verdict): boolean {
    const key = this.#mail.get(mail);
    if (verdict.to === "left" || key === undefined || !this.waits(call)) return false;
    this.#mail.delete(mail);
    if (verdict.to === "refused") {
      this.#passed.add(key);
      this.#refused(key, mail, verdict.why);
      return false;
    }
    this.#offers.shift(); // the rest of these can't be taken any more
    this.#cause = "signal";
    this.over(call);
    call.resolve(verdict.value);
    return true;
  }

  #fail(call: Call, error: unknown): boolean {
    this.over(call);
    call.reject(error);
    return true;
  }

  /** Ends a call with what its outcome is, if there is one yet. */
  #finish(call: ChildCall): boolean {
    try {
      const outcome = call.outcome(call);
      if (outcome === null) return false;
      this.#cause = "child";
      this.over(call);
      call.resolve(outcome.value);
      return true;
    } catch (error) {
      this.#cause = "child";
      return this.#fail(call, error);
    }
  }
}

/** Whether the same code asks in another place: then it is not this call that was recorded. */
function isElsewhere({ place }: Call, { at, code }: Notes): boolean {
  return place !== null && code !== undefined && place.code === code && place.at !== at;
}
