import type { Entry, Mail, Sent } from "../../../sdk/port/flow.ts";
import { pinned } from "../../../sdk/port/pin.ts";
import type { Added, NewRun } from "../../../sdk/port/target.ts";
import type { Flow, Journal, Loading, Recorded, Recording, NewEntry } from "../port.ts";
import { addOne, holderOf } from "./add.ts";
import { actOn } from "./desk.ts";
import type { Row } from "./row.ts";
import {
  childrenOf,
  frozen,
  makePending,
  numbered,
  ours,
  patch,
  post,
  type State,
  statusOf,
  tellDue,
} from "./state.ts";

/** Journals of workflows and what is sent to them, in memory. */
export function flow(state: State): Flow {
  const { step } = state;
  return {
    load: step((batch) => batch.map((each) => load(state, each))),
    record: step((batch) => batch.map((each) => record(state, each))),
    send: step((batch) => batch.map((mail) => send(state, mail))),
    read: step((run) => [...(state.journals.get(run) ?? [])]),
    mend: step((run, entries, last, pin: string | null | undefined) =>
      actOn(state, run, (row) => {
        if (statusOf(state, row) !== "waiting" || lastOf(state, run) !== last) return "refused";
        state.journals.set(run, numbered(entries));
        const queue = pin === undefined ? row.queue : pinned(row.queue, pin);
        makePending(state, row, state.now(), { dueMs: state.now(), queue });
        return "done";
      }),
    ),
  };
}

/** The place of a journal's last entry. */
function lastOf({ journals }: State, run: number): number {
  return journals.get(run)?.at(-1)?.n ?? 0;
}

function load(state: State, { after, floorMs = 0, ...fence }: Loading): Journal | null {
  const row = ours(state, fence);
  if (!row) return null;
  const last = lastOf(state, row.id);
  const mail = state.mail.get(row.id) ?? [];
  state.mail.delete(row.id);
  for (const [i, { name, atMs, ...what }] of mail.entries())
    write(state, row, [{ n: last + 1 + i, kind: "mail", key: name, ...what }], Math.max(atMs, floorMs), atMs);
  const entries = state.journals.get(row.id)?.filter(({ n }) => n > after) ?? [];
  return { entries, inbox: row.inbox, waited: row.waits?.reason ?? null };
}

function record(state: State, { entries, floorMs, ...fence }: Recording): Recorded | null {
  const row = ours(state, fence);
  if (!row) return null;
  const written = write(state, row, entries, floorMs);
  return { entries: written.map(({ n, atMs, runs }) => ({ n, atMs, runs })), inbox: row.inbox };
}

/** Writes entries into the journal of a run; those that are there already stay. Answers them as they are there. */
export function write(
  state: State,
  row: Row,
  entries: readonly NewEntry[],
  floorMs = 0,
  nowMs = state.now(),
): readonly Entry[] {
  if (entries.length === 0) return [];
  const journal = state.journals.get(row.id) ?? [];
  state.journals.set(row.id, journal);
  return entries.map(({ adds, ...entry }) => {
    const at = journal.findLastIndex(({ n }) => n <= entry.n);
    const known = journal[at];
    if (known?.n === entry.n) return known;
    const atMs = Math.max(nowMs, floorMs, journal.at(-1)?.atMs ?? 0);
    const runs = adds ? addChildren(state, { run: row.id, key: entry.key }, adds) : null;
    const written = frozen({ ...entry, atMs, runs });
    journal.splice(at + 1, 0, written);
    return written;
  });
}

function addChildren(state: State, parent: NonNullable<Row["parent"]>, runs: readonly NewRun[]): readonly number[] {
  const rows: Row[] = [];
  const ids = runs.map((run) => (addOne(state, run, rows) as Added).id); // without a key nothing is refused
  for (const row of rows) {
    patch(state, row, { parent });
    childrenOf(state, parent.run).add(row.id);
  }
  tellDue(state, rows);
  return ids;
}

function send(state: State, { to, ...mail }: Mail): Sent {
  const row = typeof to === "number" ? state.runs.get(to) : holderOf(state, to.job, to.key)?.row;
  if (!row) return { id: null, done: "missing" };
  if (!row.end) post(state, row, mail, true);
  return { id: row.id, done: row.end ? "ended" : "sent" };
}
