/** Commands of workflows. */
import fc from "fast-check";
import type { Entry, EntryKind } from "../../../sdk/port/flow.ts";
import {
  aChild,
  addOne,
  anEntry,
  anError,
  completed,
  failed,
  journalOf,
  only,
  recordOf,
  sendTo,
  settled,
  waiting,
  wire,
} from "../../kit/build.ts";
import { onLease, onRun, type Step, step, take } from "./command.ts";
import { delayMs, type Given, jobs, queues, type Side, sorted } from "./pair.ts";

const pick = fc.nat(1000);
const all = { jobs, queues: { only: queues } };

/** One of the leases that are like this and were given last, but one in eight times of all, stale ones included. */
function onLike(
  name: string,
  n: number,
  isLike: (given: Given) => boolean,
  act: (side: Side, given: Given) => Promise<unknown>,
): Step {
  if (n % 8 === 0) return onLease(name, n, act, "flow");
  const onSide = async (side: Side): Promise<unknown> => {
    const like = side.given.filter(isLike);
    const given = like.at(-1 - (n % Math.min(6, like.length)));
    return given ? act(side, given) : null;
  };
  return step(`${name}(${n})`, onSide, "flow");
}

const isOpen = ({ outcome }: Given): boolean => outcome === null;
const isChild = ({ outcome, lease }: Given): boolean => outcome === null && lease.options?.parent !== undefined;
const waits = ({ outcome }: Given): boolean => outcome?.to === "waiting";

/** A journal, with runs by their places. In which order ends that came together were taken in is a store's own matter. */
function placed(side: Side, entries: readonly Entry[]): readonly unknown[] {
  const shown = entries.map(({ n, atMs, runs, data, kind, ...entry }) => ({
    ...{ ...entry, kind, n: kind === "mail" ? null : n, at: new Date(atMs) },
    runs: runs && runs.map((id) => side.place(id)),
    data: data && placedEnd(side, data),
  }));
  const isMail = ({ kind }: (typeof shown)[number]): boolean => kind === "mail";
  return [shown.filter((entry) => !isMail(entry)), sorted(shown.filter(isMail))];
}

function placedEnd(side: Side, data: string): unknown {
  const { run, ...end } = JSON.parse(data) as { readonly run: number };
  return { run: side.place(run), ...end };
}

const recording = fc
  .record({
    ...{ pick, kind: fc.constantFrom<EntryKind>("step", "failed", "retry", "child", "child"), again: fc.boolean() },
    ...{ job: fc.constantFrom(...jobs), queue: fc.constantFrom(...queues), children: fc.integer({ min: 1, max: 2 }) },
  })
  .map(({ pick, kind, again, children, ...child }) =>
    onLike(`record ${kind} ${again} ${children}`, pick, isOpen, async (side, { lease }) => {
      const last = (await side.store.flow.read(lease.id)).at(-1)?.n ?? 0;
      const n = again ? Math.max(1, last) : last + 1; // what is there stays
      const key = `k${n}`;
      const adds = Array.from({ length: children }, () => aChild(lease.id, key, child));
      const entry = anEntry(n, { kind, key, ...(kind === "child" && { adds }) });
      const recorded = await recordOf(side.store, lease, [entry]);
      if (!recorded) return null;
      const runs = only(recorded.entries).runs ?? [];
      side.runs.push(...runs.filter((run) => !side.runs.includes(run)));
      for (const id of [lease.id, ...runs]) side.flows.add(id);
      return { inbox: recorded.inbox, n: only(recorded.entries).n, runs: runs.map((run) => side.place(run)) };
    }),
  );

const loading = pick.map((n) =>
  onLike("load", n, isOpen, async (side, given) => {
    const journal = await journalOf(side.store, given.lease);
    if (!journal) return null;
    given.seen = journal.inbox;
    return [journal.inbox, placed(side, journal.entries)];
  }),
);

const suspending = fc
  .record({
    ...{ pick, reason: fc.constantFrom("sleep", "signal", "child", "child", "parked") },
    ...{ wants: fc.integer({ min: 1, max: 2 }), ends: fc.boolean(), isTwice: fc.boolean() },
  })
  .map(({ pick, reason, wants, ends, isTwice }) =>
    onLike(`suspend ${reason} ${wants} ${ends}`, pick, isOpen, async (side, given) => {
      if (given.outcome !== null) return null;
      const { lease, seen } = given;
      const untilMs = ends ? lease.dueMs + delayMs : null;
      given.outcome = waiting({ reason, untilMs, seen, wants, error: reason === "parked" ? anError() : null });
      side.flows.add(lease.id);
      const settlement = settled(lease, given.outcome, { flow: true });
      const answers = [await side.store.runs.settle([settlement])];
      if (isTwice) answers.push(await side.store.runs.settle([settlement]));
      return answers;
    }),
  );

const ending = fc.record({ pick, result: fc.constantFrom(completed, completed, failed()) }).map(({ pick, result }) =>
  onLike(`end ${result.to}`, pick, isChild, async (side, given) => {
    if (given.outcome !== null) return null;
    given.outcome = result;
    return side.store.runs.settle([settled(given.lease, result, { flow: side.flows.has(given.lease.id) })]);
  }),
);

const sending = fc.record({ pick, value: fc.nat(9) }).map(({ pick, value }) =>
  onLike(`send ${value}`, pick, waits, async (side, { lease: { id } }) => {
    side.flows.add(id);
    return (await sendTo(side.store, id, { value: wire(value) })).done;
  }),
);

const reading = pick.map((n) =>
  onRun("read", n, async (side, id) => placed(side, await side.store.flow.read(id)), "flow"),
);

const mending = pick.map((n) =>
  onLike("mend", n, waits, async (side, { lease: { id } }) => {
    const all = await side.store.flow.read(id);
    const entries = all.filter(({ kind }) => kind !== "mail");
    return (await side.store.flow.mend(id, entries.slice(0, 1), all.at(-1)?.n ?? 0)).done;
  }),
);

const replaying = fc.record({ pick, job: fc.constantFrom(...jobs) }).map(({ pick, job }) =>
  onRun(
    `replay ${job}`,
    pick,
    async (side, id) => {
      const entries = (await side.store.flow.read(id)).filter(({ kind }) => kind !== "mail" && kind !== "child");
      const made = await addOne(side.store, { job, queue: queues[1]!, replayOf: id, journal: entries.slice(0, 2) });
      side.runs.push(made);
      side.flows.add(made);
      return placed(side, await side.store.flow.read(made));
    },
    "flow",
  ),
);

const canceling = pick.map((n) =>
  onLike("cancel", n, waits, async (side, { lease }) => only(await side.store.desk.cancel([lease.id])).done),
);

const starting = fc.constantFrom(...jobs).map((job) =>
  step(`start ${job}`, async (side) => {
    side.runs.push(await addOne(side.store, { job, queue: queues[0]! }));
    return take(side, 0, all);
  }),
);

const taking = fc.nat(1).map((at) => step(`take(${at})`, (side) => take(side, at, all)));

/** What workflows do, and how often. */
export const flows: readonly { readonly weight: number; readonly arbitrary: fc.Arbitrary<Step> }[] = [
  { weight: 3, arbitrary: starting },
  { weight: 6, arbitrary: taking },
  { weight: 5, arbitrary: recording },
  { weight: 3, arbitrary: loading },
  { weight: 6, arbitrary: suspending },
  { weight: 5, arbitrary: ending },
  { weight: 3, arbitrary: sending },
  { weight: 1, arbitrary: reading },
  { weight: 1, arbitrary: mending },
  { weight: 1, arbitrary: replaying },
  { weight: 1, arbitrary: canceling },
];
