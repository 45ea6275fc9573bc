/** Edits of journals, for runs whose code has changed while they wait. */
import { keyOf, type Entry, type EntryKind } from "../port/flow.ts";
import { checkKeys, checkName, checkText, wrong } from "../port/option.ts";
import { InvalidInput } from "../port/error.ts";
import { hint } from "../port/near.ts";
import { notesOf } from "../port/note.ts";
import type { Target } from "../port/target.ts";
import type { Acted } from "./act.ts";

/** What to do to a journal. A step is named as the timeline of `tasker run` and the error of a parked run name it: `charge`, and `charge#2` for its
 *  second call alone, `charge#1` for its first. Sleeps, waits and children can be named, too, where no step has that name. */
export interface Fix {
  /** The code calls a step or sleep by another name now. */
  readonly renameStep?: { readonly from: string; readonly to: string } | undefined;
  /** The code does not ask for it any more. */
  readonly skip?: string | undefined;
  /** It is to be done again, with all that came after it. What was sent to the run stays. */
  readonly from?: string | undefined;
  /** From now on only nodes with a version of the code take the run: with this one, or, if true, with the one that wrote its journal last.
   *  False: all nodes take it again. */
  readonly pin?: string | boolean | undefined;
}

/** A journal, or why it can't be edited so. */
type Edit = (entries: readonly Entry[]) => readonly Entry[] | string;

const fixes = new Set(["renameStep", "skip", "from", "pin"]);

/** The edit that a fix stands for; without one the journal stays as it is.
 *  @throws {InvalidInput} */
export function editOf(fix: Fix): Edit {
  checkKeys("a fix", fix, fixes);
  const { renameStep, skip, from, pin } = fix;
  if ([renameStep, skip, from, pin].filter((part) => part !== undefined).length > 1)
    throw new InvalidInput("a fix does one thing: renameStep, skip, from or pin; call fix again for the next one");
  if (pin !== undefined && typeof pin !== "boolean") checkText("pin", pin, 256);
  if (renameStep !== undefined) {
    checkKeys("renameStep", renameStep, new Set(["from", "to"]));
    const to = checkName("renameStep.to", renameStep.to);
    return on(parse("renameStep.from", renameStep.from), (entries, found) => rename(entries, found, to));
  }
  if (skip !== undefined) return on(parse("skip", skip), leftOut);
  if (from === undefined) return (entries) => entries;
  return on(parse("from", from), (entries, found) => since(entries, found.entries[0]!));
}

/** Edits the journals of runs that wait, and lets them go on. Runs that they made in steps that are gone are canceled. */
export async function mend(to: Target, ids: readonly number[], fix: Fix): Promise<readonly Acted[]> {
  const edit = editOf(fix);
  const all: Acted[] = [];
  for (let at = 0; at < ids.length; at += atOnce)
    all.push(...(await Promise.all(ids.slice(at, at + atOnce).map((id) => mendOne(to, id, edit, fix.pin)))));
  return all;
}

const atOnce = 20;

async function mendOne(to: Target, id: number, edit: Edit, pin: Fix["pin"]): Promise<Acted> {
  const entries = await to.flow.read(id);
  const version = pin === true ? versionOf(entries) : pin === false ? null : pin;
  const edited = pin === true && version === undefined ? untold : edit(entries);
  if (typeof edited === "string") {
    const status = (await to.find.get(id))?.status ?? null;
    return { id, status, done: status ? "refused" : "missing", ...(status === "waiting" && { why: edited }) };
  }
  const acted = await to.flow.mend(id, edited, entries.at(-1)?.n ?? 0, version);
  const kept = new Set(childrenOf(edited));
  const gone = childrenOf(entries).filter((child) => !kept.has(child));
  if (acted.done === "done" && gone.length > 0) await to.desk.cancel(gone, "parent");
  return acted;
}

const untold = `its journal does not tell the version of the code that wrote it (the setting "version"); give one, like "1.4.2"`;

/** The version of the code that wrote the end of a journal. */
function versionOf(entries: readonly Entry[]): string | undefined {
  return entries.flatMap((entry) => notesOf(entry).version ?? []).at(-1);
}

/** Runs that were made by entries. */
export function childrenOf(entries: readonly Entry[]): readonly number[] {
  return entries.flatMap(({ runs }) => runs ?? []);
}

/** Calls by name: all of that name, or the one with this number. */
interface Calls {
  readonly name: string;
  readonly nth: number | null;
}
interface Found extends Calls {
  readonly kinds: readonly EntryKind[];
  readonly entries: readonly Entry[];
}

/** Names that an error lists. */
const mostNamed = 20;

/** Kinds of entries by the calls that they are of. */
const groups: readonly (readonly EntryKind[])[] = [["step", "failed", "retry"], ["sleep"], ["wait"], ["child"]];

function parse(what: string, step: unknown): Calls {
  const [, name, nth] =
    (typeof step === "string" && /^([A-Za-z0-9_.:/-]{1,128})(?:#([1-9]\d{0,8}))?$/.exec(step)) || [];
  if (name === undefined) throw wrong(what, step, 'is not a step; write it like "charge", or "charge#2"');
  return { name, nth: nth === undefined ? null : Number(nth) };
}

/** The place in a journal at which a step begins, or why there is none.
 *  @throws {InvalidInput} for what is no step */
export function stepAt(what: string, step: string): (entries: readonly Entry[]) => number | string {
  return on(parse(what, step), (entries, found) => entries.indexOf(found.entries[0]!));
}

function on<T>({ name, nth }: Calls, edit: (entries: readonly Entry[], found: Found) => T) {
  return (entries: readonly Entry[]): T | string => {
    for (const kinds of groups) {
      const found = entries.filter((entry) => {
        const call = callOf(entry);
        return kinds.includes(entry.kind) && call.name === name && (nth === null || call.nth === nth);
      });
      if (found.length > 0) return edit(entries, { name, nth, kinds, entries: found });
    }
    const known = [
      ...new Set(entries.filter(({ kind }) => kind !== "mail" && kind !== "passed").map(({ key }) => key)),
    ];
    if (known.length === 0) return "its journal has no steps";
    const some = known.slice(0, mostNamed).join(", ") + (known.length > mostNamed ? ", …" : "");
    return `its journal has no step "${nth === null ? name : `${name}#${nth}`}"; it has ${some}${hint(name, known)}`;
  };
}

function callOf({ key }: Entry): { readonly name: string; readonly nth: number } {
  const [name, nth = "1"] = key.split("#");
  return { name: name!, nth: Number(nth) };
}

/** Code that makes one call of a name less counts the later ones from one less on. */
function movedUp(entries: readonly Entry[], { name, nth, kinds }: Found): readonly Entry[] {
  return entries.map((entry) => {
    const call = callOf(entry);
    const moves = nth !== null && kinds.includes(entry.kind) && call.name === name && call.nth > nth;
    return moves ? { ...entry, key: keyOf(name, call.nth - 1) } : entry;
  });
}

function leftOut(entries: readonly Entry[], found: Found): readonly Entry[] {
  const gone = new Set(found.entries);
  return movedUp(
    entries.filter((entry) => !gone.has(entry)),
    found,
  );
}

function rename(entries: readonly Entry[], found: Found, to: string): ReturnType<Edit> {
  const { kinds, nth } = found;
  if (kinds.includes("wait") || kinds.includes("child"))
    return `"${found.name}" is what it waits for, which comes under that name; only steps and sleeps can be renamed`;
  if (entries.some((entry) => kinds.includes(entry.kind) && callOf(entry).name === to))
    return `its journal has a step "${to}" already`;
  const renamed = new Map(
    found.entries.map((entry) => [entry, { ...entry, key: keyOf(to, nth === null ? callOf(entry).nth : 1) }] as const),
  );
  return movedUp(entries, found).map((entry, i) => renamed.get(entries[i]!) ?? entry);
}

/** The journal before an entry, and what was sent since, but for the ends of runs that are gone with the rest. */
function since(entries: readonly Entry[], first: Entry): readonly Entry[] {
  const at = entries.indexOf(first);
  const made = new Set(childrenOf(entries.slice(0, at)));
  const isKept = (entry: Entry): boolean => {
    const { run } = notesOf(entry);
    return entry.kind === "mail" && (run === undefined || made.has(run));
  };
  return [...entries.slice(0, at), ...entries.slice(at).filter(isKept)];
}
