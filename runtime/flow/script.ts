import { StepFailed } from "../../sdk/port/error.ts";
import type { Entry } from "../../sdk/port/flow.ts";
import { calledBy, nameOf, type Call, type ChildCall, type WaitCall } from "./call.ts";
import { notesOf, valueOf } from "../../sdk/port/note.ts";

/** What a turn came to. `moved`: the handler got an answer, and may ask for more. `stalled`: the journal goes on with an entry that the handler has
 *  not asked for. `done`: all of the journal has been played. */
export type Turn = { readonly to: "moved" } | { readonly to: "stalled"; readonly at: Entry } | { readonly to: "done" };

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
  /** Mail that nobody has waited for yet. */
  readonly #mail: Entry[] = [];
  #fresh: Call[] = [];
  #at = 0;
  #began = 0;
  #floorMs = 0;

  /** Nothing that is written from now on may have an instant before it; epoch ms. */
  get floorMs(): number {
    return this.#floorMs;
  }

  /** The key of the coming call of this name: the name, then `name#2` and on. */
  keyOf(kind: Call["kind"], name: string): string {
    const counted = `${kind} ${name}`;
    const count = (this.#counts.get(counted) ?? 0) + 1;
    this.#counts.set(counted, count);
    return count === 1 ? name : `${name}#${count}`;
  }

  /** More of the journal. */
  feed(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#entries.push(entry);
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
    this.#asked.add(nameOf(call));
    this.#calls.set(nameOf(call), call);
    if (call.kind === "wait") for (const mail of this.#mail) if (this.#given(call, mail)) return;
    this.#fresh.push(call);
  }

  /** Goes on until the handler got an answer. `nowMs`: what ends by the clock until then is over. */
  turn(nowMs: number): Turn {
    for (;;) {
      const entry = this.#entries[this.#at];
      const due = this.#dueBy(entry ? entry.atMs : nowMs);
      if (due) return this.#expire(due);
      if (!entry) return done;
      const called = calledBy(entry);
      const call = called === null ? undefined : this.#calls.get(called);
      if (called !== null && !call && !this.#asked.has(called)) return { to: "stalled", at: entry };
      this.#at++;
      this.#floorMs = Math.max(this.#floorMs, entry.atMs);
      if (called === null ? this.#deliver(entry) : call && this.#answer(call, entry)) return moved;
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
    call.resolve(call.kind === "wait" ? null : undefined);
    return moved;
  }

  /** Answers a call from its entry, or notes how far it is. True if the handler got an answer. */
  #answer(call: Call, entry: Entry): boolean {
    const notes = notesOf(entry);
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

  #deliver(mail: Entry): boolean {
    const { run, status = "failed", reason = null, error = null } = notesOf(mail);
    if (run !== undefined) {
      const parent = this.#calls.get(nameOf({ kind: "child", key: mail.key }));
      if (parent?.kind !== "child" || !parent.ids.has(run)) return false; // it did not wait for that one
      parent.ends.set(run, { id: run, status, reason, error, result: mail.value });
      return this.#finish(parent);
    }
    this.#mail.push(mail);
    for (const call of this.#calls.values()) if (call.kind === "wait" && this.#given(call, mail)) return true;
    return false;
  }

  #finish(call: ChildCall): boolean {
    return this.#settle(call, () => call.outcome(call));
  }

  /** Gives mail to a wait, if it is what that waits for. */
  #given(call: WaitCall, mail: Entry): boolean {
    if (mail.key !== call.name || !this.#settle(call, () => call.accept(mail))) return false;
    this.#mail.splice(this.#mail.indexOf(mail), 1);
    return true;
  }

  /** Ends a call with what `make` answers or throws; not if that is null. */
  #settle(call: Call, make: () => { readonly value: unknown } | null): boolean {
    try {
      const made = make();
      if (made === null) return false;
      this.over(call);
      call.resolve(made.value);
    } catch (error) {
      this.over(call);
      call.reject(error);
    }
    return true;
  }
}
