import { isDeepStrictEqual } from "node:util";
import type { Held, Nodes, NodeState } from "../store.ts";
import { frozen, isAlive, isLeased, type NodeRow, type State, step } from "./state.ts";
import { isToDeclare, ticking } from "./tick.ts";

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
        seenAt: new Date(nowMs),
        leaseUntil: nowMs + ttlMs,
      });
      state.tallies.push(...tallies.map((tally) => ({ atMs: nowMs, tally: frozen(tally) })));
      const tickMs = ticking(state)[0]?.nextMs ?? null;
      return { alive, cancel: askedOf(state, node), nowMs, tickMs, declare: isToDeclare(state, node) };
    }),
    commands: step((node) => askedOf(state, node)),
    leave: step((node) => {
      const known = state.nodes.get(node);
      if (known) state.nodes.set(node, { ...known, leaseUntil: state.now() - 1, draining: true, busy: 0, heap: 0 });
    }),
    publish: step((jobs) => {
      for (const job of jobs) state.jobs.set(job.id, { ...frozen(job), seenAt: new Date(state.now()) });
    }),
  };
}

/** The node with these jobs; other ones than before count from now on. */
export function withJobs(row: NodeRow, jobs: readonly string[], nowMs: number): NodeRow {
  return { ...row, jobs: [...jobs], jobsMs: isDeepStrictEqual(row.jobs, jobs) ? row.jobsMs : nowMs };
}

function newNode(state: State, id: number, name: string, ttlMs: number): NodeRow {
  const nowMs = state.now();
  const idle = { draining: false, slots: 0, busy: 0, heap: 0, jobs: [] };
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

/** Runs that the node has leased and somebody asked to cancel. */
function askedOf(state: State, node: number): readonly Held[] {
  const asked = [...state.live.values()].filter((row) => row.ask !== null && row.node === node && isLeased(row));
  return asked.map(({ id, token }) => ({ id, token }));
}
