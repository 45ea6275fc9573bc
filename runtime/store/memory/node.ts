import type { Coming, Fence, Nodes, NodeState } from "../port.ts";
import { isToSweep } from "./run.ts";
import {
  frozen,
  isAlive,
  isHeld,
  isLeased,
  type NodeRow,
  type Row,
  type State,
  step,
  tell,
  withJobs,
} from "./state.ts";
import { declare, isToPublish, ticking } from "./tick.ts";

/** Nodes and what they publish, in memory. */
export function nodes(state: State): Nodes {
  return {
    join: step(({ name, version }, ttlMs) => {
      const id = state.next("node");
      state.nodes.set(id, newNode(state, id, name, ttlMs));
      state.names.set(id, { name, version });
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
      state.tallies.push(...tallies.map((tally) => ({ atMs: nowMs, tally: frozen(tally) })));
      if (!report.asleep) wakeOthers(state, node, ttlMs);
      return {
        alive,
        cancel: askedOf(state, node),
        nowMs,
        tickMs: ticking(state)[0]?.nextMs ?? null,
        publish: isToPublish(state, node),
        sweep: isToSweep(state, node),
        others: [...state.nodes.values()].some((other) => other.id !== node && isAlive(state, other)),
        coming: report.busy + report.heap > 0 ? null : comingOf(state, report.jobs),
      };
    }),
    leave: step((node) => {
      const known = state.nodes.get(node);
      if (known)
        state.nodes.set(node, {
          ...known,
          leaseUntil: state.now() - 1,
          draining: true,
          asleep: false,
          busy: 0,
          heap: 0,
        });
    }),
    publish: step((node, jobs) => {
      for (const { schedules: _, ...job } of jobs)
        state.jobs.set(job.id, { ...frozen(job), seenAt: new Date(state.now()) });
      declare(state, node, jobs);
    }),
  };
}

function newNode(state: State, id: number, name: string, ttlMs: number): NodeRow {
  const nowMs = state.now();
  const idle = { draining: false, asleep: false, slots: 0, busy: 0, heap: 0, jobs: [] };
  return {
    id,
    name,
    startedAt: new Date(nowMs),
    seenAt: new Date(nowMs),
    leaseUntil: nowMs + ttlMs,
    jobsMs: nowMs,
    ...idle,
  };
}

/** Tells nodes that sleep, and lets their leases end soon, for one that died asleep will not hear. */
function wakeOthers(state: State, node: number, ttlMs: number): void {
  for (const other of [...state.nodes.values()]) {
    if (!other.asleep || other.id === node) continue;
    state.nodes.set(other.id, { ...other, asleep: false, leaseUntil: Math.min(other.leaseUntil, state.now() + ttlMs) });
    for (const ear of state.ears) if (ear.node === other.id) tell(state, ear, "due");
  }
}

/** When a run of these jobs can be leased, and when one of any job expires, next. */
function comingOf(state: State, jobs: readonly string[]): Coming {
  const rows = [...state.live.values()];
  const wanted = rows.filter((row) => jobs.includes(row.job) && !row.held && !state.queues.get(row.queue));
  const freeMs = (row: Row): number => (isHeld(state, row) ? Math.max(row.readyMs, row.leaseUntil!) : row.readyMs);
  const expiring = rows.filter((row) => row.expiresMs !== null && !isLeased(row));
  return { dueMs: first(wanted.map(freeMs)), expiresMs: first(expiring.map(({ expiresMs }) => expiresMs!)) };
}

function first(instants: readonly number[]): number | null {
  return instants.length > 0 ? Math.min(...instants) : null;
}

/** Runs that the node has leased and somebody asked to cancel. */
function askedOf(state: State, node: number): readonly Fence[] {
  const asked = [...state.live.values()].filter((row) => row.ask !== null && row.node === node && isLeased(row));
  return asked.map(({ id, token }) => ({ id, token }));
}
