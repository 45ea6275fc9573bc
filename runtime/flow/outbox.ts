import { JournalFull } from "../../sdk/port/error.ts";
import type { Entry, EntryKind } from "../../sdk/port/flow.ts";
import { notesOf, toData } from "../../sdk/port/note.ts";
import type { NewEntry } from "../store/port.ts";
import type { Call } from "./call.ts";
import type { Draft } from "./draft.ts";

/** What a journal may hold in all, beside what others sent; characters. */
const largest = 32 * 1024 * 1024;
/** Kinds of entries that are written as an attempt is suspended. */
const opening: ReadonlySet<EntryKind> = new Set(["sleep", "wait", "passed"]);

/** Entries that a workflow is to write, and what it has written: where its journal ends, and how large it is. */
export class Outbox {
  readonly #drafts: { readonly call: Call | null; readonly draft: Draft }[] = [];
  readonly #waits: (call: Call) => boolean;
  /** The version of the code, until an entry tells it. */
  #version: string | null;
  /** The place of the last entry. */
  #last = 0;
  #size = 0;

  /** `waits`: whether a call still waits for its answer. */
  constructor(version: string, waits: (call: Call) => boolean) {
    this.#version = version === "0" ? null : version; // which nobody gave
    this.#waits = waits;
  }

  get last(): number {
    return this.#last;
  }
  get length(): number {
    return this.#drafts.length;
  }

  /** Whether all of it can be written as the attempt is suspended. */
  get isOpening(): boolean {
    return this.#drafts.every(({ draft: { kind } }) => opening.has(kind));
  }

  /** `call`: whose entry it is, which is not written once that was answered. */
  put(call: Call | null, draft: Draft): void {
    this.#size += sizeOf(draft);
    this.#drafts.push({ call, draft });
  }

  /** Entries that are in the journal. */
  read(entries: readonly Entry[]): void {
    this.#last = entries.at(-1)?.n ?? this.#last;
    for (const entry of entries) if (entry.kind !== "mail") this.#size += sizeOf(entry);
  }

  /** All, with the places that they get. */
  takeAll(): readonly NewEntry[] {
    return this.#take(this.length);
  }

  /** The first ones, and the call of the very first: what adds runs goes alone, for it may be refused. */
  takeSome(): { readonly entries: readonly NewEntry[]; readonly call: Call | null } {
    const alone = this.#drafts.findIndex(({ draft }) => draft.adds);
    const { call = null } = this.#drafts[0] ?? {};
    return { call, entries: this.#take(alone < 0 ? this.length : Math.max(1, alone)) };
  }

  /** An entry that is written apart, as the next one; `wrote` once it is. */
  sign(draft: Draft): NewEntry {
    return { ...this.#signed(draft), n: this.#last + 1 };
  }
  wrote(entry: NewEntry): void {
    this.#last = entry.n;
    this.#size += sizeOf(entry);
  }

  /** The last one that was taken is not written after all. */
  untake(): void {
    this.#last--;
  }

  /** Why the journal can't take a value more; null if it can. */
  full(run: string, value: Entry["value"] = null): JournalFull | null {
    if (this.#size + sizeOf({ value }) <= largest) return null;
    return new JournalFull(run, "has more than 32 MiB in its journal", "store results elsewhere, and return their ids");
  }

  /** What a call has that was answered meanwhile is left out. */
  #take(count: number): readonly NewEntry[] {
    const out = this.#drafts.splice(0, count).filter(({ call }) => call === null || this.#waits(call));
    return out.map(({ draft }) => ({ ...this.#signed(draft), n: ++this.#last }));
  }

  #signed(draft: Draft): Draft {
    if (this.#version === null) return draft;
    const data = toData({ ...notesOf(draft), version: this.#version });
    this.#version = null;
    return { ...draft, data };
  }
}

function sizeOf({ value, data = null }: { readonly value: Entry["value"]; readonly data?: string | null }): number {
  return (value?.json.length ?? 0) + (data?.length ?? 0);
}
