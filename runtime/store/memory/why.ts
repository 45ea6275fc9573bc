import { homeOf } from "../../../sdk/port/pin.ts";
import type { Facts, NodeFact } from "../../../sdk/port/target.ts";
import type { NodeRow, Row } from "./row.ts";
import { mayTake } from "./run.ts";
import { dateOf, isAlive, isHeld, look, recordOf, type State } from "./state.ts";

/** Runs that are counted before one. */
const mostAhead = 10_001;
/** Runs of a node that are named. */
const mostNamed = 20;

/** What decides where a run stands. */
export function factsOf(state: State, id: number): Facts | null {
  const row = state.runs.get(id);
  if (!row) return null;
  const at = new Date(state.now());
  const nothing = { leaseUntil: null, pausedAt: null, attempts: null, seen: null, nodes: [], spent: 0, ahead: 0 };
  if (row.end) return { ...nothing, at, run: recordOf(state, row) };
  const record = recordOf(state, row);
  if (isHeld(state, row)) look(state, [row.node!]);
  const pausedAt = dateOf(state.queues.get(homeOf(row.queue)) ?? null);
  const isWaiting = record.status === "pending" && record.dueAt <= at && !pausedAt;
  return {
    ...{ at, run: record, spent: row.spent, pausedAt },
    leaseUntil: dateOf(row.held ? (state.nodes.get(row.node!)?.leaseUntil ?? null) : row.leaseUntil),
    attempts: state.jobs.get(row.job)?.attempts ?? null,
    seen: seenOf(state, row),
    nodes: [...state.nodes.values()]
      .filter((node) => isAlive(state, node) || isHolder(node, row))
      .map((node) => nodeFact(state, node, row)),
    ahead: isWaiting ? aheadOf(state, row) : 0,
  };
}

/** The node that had a run's job last, in the version that it is pinned to, if it is. */
function seenOf(state: State, { job, queue }: Row): Facts["seen"] {
  const known = state.jobs.get(job);
  const seen = [...state.nodes.values()]
    .filter(({ id, jobs }) => jobs.includes(job) && mayTake(state, id, queue))
    .map(({ id, seenAt: at }) => ({ id, at }));
  if (known && mayTake(state, known.node, queue)) seen.push({ id: known.node, at: known.seenAt });
  const last = seen.sort((a, b) => b.at.getTime() - a.at.getTime())[0];
  if (!last) return null;
  const { name = null, version = null } = state.names.get(last.id) ?? {};
  return { node: name, version, at: last.at };
}

function isHolder({ id }: NodeRow, row: Row): boolean {
  return row.node === id && (row.held || row.leaseUntil !== null);
}

function serves(state: State, { id, jobs }: NodeRow, { job, queue }: Row): boolean {
  return jobs.includes(job) && mayTake(state, id, queue);
}

function nodeFact(state: State, node: NodeRow, row: Row): NodeFact {
  const { id, name, draining, asleep, slots, seenAt, leaseUntil } = node;
  const isServing = serves(state, node, row);
  const leased = isServing && isAlive(state, node) ? leasedBy(state, id) : [];
  const home = homeOf(row.queue);
  const own = leased.filter(({ queue }) => homeOf(queue) === home);
  const others = leased.filter(({ queue }) => homeOf(queue) !== home);
  return {
    ...{ name, draining, asleep, slots, seenAt, alive: isAlive(state, node), leaseUntil: new Date(leaseUntil) },
    version: state.names.get(id)?.version ?? "",
    serves: isServing,
    holds: isHolder(node, row),
    limit: state.names.get(id)?.limits?.[home] ?? null,
    ...{ leased: leased.length, ofQueue: own.length },
    crashed: leased.filter(({ crashes }) => crashes > 0).length,
    runs: [...own, ...others].slice(0, mostNamed).map((each) => each.id),
  };
}

/** The due runs that a node has leased, the oldest start first. */
function leasedBy({ lanes, now }: State, node: number): readonly Row[] {
  const own = [...lanes.leases.upTo(Infinity)].filter((row) => row.node === node);
  const since = ({ startedMs }: Row): number => startedMs ?? Infinity;
  return [...(lanes.held.get(node) ?? []), ...own]
    .filter(({ readyMs }) => readyMs <= now())
    .sort((a, b) => (since(a) === since(b) ? a.id - b.id : since(a) - since(b)));
}

function aheadOf(state: State, row: Row): number {
  const serving = [...state.nodes.values()].filter((node) => isAlive(state, node) && serves(state, node, row));
  const jobs = new Set(serving.flatMap((node) => node.jobs));
  const home = homeOf(row.queue);
  let count = 0;
  for (const { queue, job, priority, free } of state.lanes.all.values()) {
    if (homeOf(queue) !== home || priority < row.priority || !jobs.has(job)) continue;
    if (!serving.some(({ id }) => mayTake(state, id, queue))) continue;
    if (priority > row.priority) count += free.count(state.now());
    else
      for (const { readyMs, id } of free.upTo(row.readyMs)) {
        if (readyMs < row.readyMs || id < row.id) count++;
        if (count >= mostAhead) break;
      }
  }
  return Math.min(mostAhead, count);
}
