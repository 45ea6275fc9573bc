/** Why a run that a node has leased stands where it does. */
import type { NodeFact } from "../../port/target.ts";
import type { Known, Said } from "./because.ts";
import { later, nodeNamed, span } from "./word.ts";

/** A node beats three times a lease: one that has not for this part of it is silent. */
const silentPart = 0.5;

export function leased(known: Known): Said {
  const { run, at, nodes, leaseUntil } = known;
  const node = run.node ?? "?";
  const holder = nodes.find(({ holds }) => holds);
  if (holder && leaseUntil && isSilent(holder, at)) return silent(known, holder, leaseUntil);
  const name = nodeNamed(run.node);
  const { startedAt, dueAt } = run;
  if (run.canceling) {
    const goesOn = startedAt
      ? `its handler, which began ${span(startedAt, at)} ago, has to mind ctx.signal`
      : "it gives it back";
    return {
      text: `it is being canceled: ${name} has it, and was told; ${goesOn}`,
      because: { code: "canceling", node, startedAt },
    };
  }
  if (startedAt) return running(known, node, startedAt);
  if (dueAt > at)
    return {
      text: `${name} has leased it ahead of its instant: it starts ${later(at, dueAt)}`,
      because: { code: "ahead", node, dueAt },
    };
  const { slots = 0, leased: taken = 0 } = holder ?? {};
  if (holder && taken > slots)
    return {
      text: `${name} has leased it, and starts it as soon as one of its ${slots} slots is free`,
      because: { code: "queued", node, slots, leased: taken },
    };
  return {
    text: `${name} leased it, and is about to start it, or has just done so`,
    because: { code: "starting", node },
  };
}

function running({ run, at }: Known, node: string, startedAt: Date): Said {
  const { progress } = run;
  const attempt = run.attempt + 1;
  const which = attempt > 1 ? `its attempt ${attempt}` : "it";
  const detail = progress?.detail ? `, ${progress.detail}` : "";
  const far = progress ? ` (progress ${Number(progress.value.toFixed(2))}${detail})` : "";
  return {
    text: `${nodeNamed(run.node)} has been running ${which} for ${span(startedAt, at)}${far}`,
    because: { code: "running", node, startedAt, attempt, progress },
  };
}

/** Whether a node has missed a beat. One that sleeps does not beat. */
function isSilent({ alive, asleep, seenAt, leaseUntil }: NodeFact, at: Date): boolean {
  if (!alive) return true;
  const [silentMs, leaseMs] = [at.getTime() - seenAt.getTime(), leaseUntil.getTime() - seenAt.getTime()];
  return !asleep && silentMs > leaseMs * silentPart;
}

function silent({ at, run, nodes }: Known, { name, seenAt }: NodeFact, leaseUntil: Date): Said {
  const beat = `${nodeNamed(name)} has it, but has not beaten for ${span(seenAt, at)}`;
  const others = nodes.some(({ alive, serves, holds }) => alive && serves && !holds);
  const nobody = `no other live node has job "${run.job}": start one with "tasker start"`;
  const ends =
    leaseUntil > at
      ? `its lease ends in ${span(at, leaseUntil)} unless it does`
      : `its lease ended ${span(leaseUntil, at)} ago`;
  const then = others ? "then it goes to another node" : `but ${nobody}`;
  const done = others ? "another node takes it back with its next sweep" : nobody;
  return {
    text: `${beat}; ${ends}, ${leaseUntil > at ? then : `and ${done}`}`,
    because: { code: "silent", node: name, seenAt, leaseUntil },
  };
}
