import { homeOf } from "../../../sdk/port/pin.ts";
import type { Ask, Coming, Nodes, NodeState } from "../port.ts";
import { count } from "./rate.ts";
import { isToSweep, mayTake } from "./run.ts";
import type { NodeRow, Row } from "./row.ts";
import { frozen, isAlive, isLooked, isPaused, next, type State, tell, withJobs } from "./state.ts";
import { declare, isToPublish, ticking } from "./tick.ts";

/** The nodes of the memory store. */
export function nodes(state: State): Nodes {
  const { step } = state;
  return {
    join: step(({ name, version, limits }, ttlMs) => {
      const id = next(state, "node");
      state.nodes.set(id, newNode(state, id, name, ttlMs));
      state.names.set(id, { name, version, limits });
      return id;
    }),
    beat: step((node, ttlMs, report: NodeState, tallies) => {
      const nowMs = state.now();
      const known = state.nodes.get(node);
      const alive = known !== undefined && isAlive(state, known);
      if (!known) state.declared.delete(node);
      const base = known ?? newNode(state, node, `node ${node}`, ttlMs);
      state.nodes.set(node, {
        ...withJobs(base, report.jobs, nowMs),
        ...frozen(report),
        asleep: report.asleep ?? false,
        seenAt: new Date(nowMs),
        leaseUntil: nowMs + ttlMs,
      });
      count(state, tallies);
      if (!report.asleep) wakeOthers(state, node, ttlMs);
      return {
        alive,
        asks: asksOf(state, node),
        looked: isLooked(state, node),
        paused: [...state.queues].flatMap(([queue, since]) => (since === null ? [] : [queue])),
        nowMs,
        tickMs: ticking(state)[0]?.nextMs ?? null,
        publish: isToPublish(state, node),
        sweep: isToSweep(state, node),
        others: [...state.nodes.values()].some((other) => other.id !== node && isAlive(state, other)),
        coming: report.busy + report.heap > 0 ? null : comingOf(state, node, report.jobs),
      };
    }),
    leave: step((node) => {
      const known = state.nodes.get(node);
      const left = { leaseUntil: state.now() - 1, draining: true, asleep: false, busy: 0, heap: 0 };
      if (known) state.nodes.set(node, { ...known, ...left });
    }),
    publish: step((node, jobs) => {
      for (const { schedules: _, ...job } of jobs)
        state.jobs.set(job.id, { ...frozen(job), seenAt: new Date(state.now()), node });
      declare(state, node, jobs);
    }),
  };
}

function newNode(state: State, id: number, name: string, ttlMs: number): NodeRow {
  const nowMs = state.now();
  const at = new Date(nowMs);
  const idle = { draining: false, asleep: false, slots: 0, busy: 0, heap: 0, jobs: [] };
  return { id, name, startedAt: at, seenAt: at, leaseUntil: nowMs + ttlMs, jobsMs: nowMs, ...idle };
}

/** Wakes sleeping nodes, and shortens their leases, because a node that died asleep does not answer. */
function wakeOthers(state: State, node: number, ttlMs: number): void {
  for (const other of [...state.nodes.values()]) {
    if (!other.asleep || other.id === node) continue;
    state.nodes.set(other.id, { ...other, asleep: false, leaseUntil: Math.min(other.leaseUntil, state.now() + ttlMs) });
    tell(state, "due", other.id);
  }
}

/** When the next run of these jobs is due, or its lease ends; and when the next run of any job expires. */
function comingOf(state: State, node: number, jobs: readonly string[]): Coming {
  const { lanes } = state;
  const isWanted = ({ job, queue }: Pick<Row, "job" | "queue">): boolean =>
    jobs.includes(job) && mayTake(state, node, queue) && !isPaused(state, homeOf(queue));
  const ready = [...lanes.all.values()].filter(isWanted).flatMap(({ free }) => free.first()?.readyMs ?? []);
  let dueMs = ready.reduce((a, b) => Math.min(a, b), Infinity);
  for (const row of lanes.leases.upTo(dueMs)) {
    if (!isWanted(row)) continue;
    dueMs = row.leaseUntil!;
    break;
  }
  return { dueMs: Number.isFinite(dueMs) ? dueMs : null, expiresMs: lanes.expiring.first()?.expiresMs ?? null };
}

function asksOf(state: State, node: number): readonly Ask[] {
  const isAsked = (row: Row): boolean => row.node === node && (row.ask !== null || row.startedMs === null);
  const asked = [...state.lanes.asked].filter(isAsked);
  return asked.map(({ id, token, ask }) => ({ id, token, kind: ask === null ? "back" : "cancel" }));
}
