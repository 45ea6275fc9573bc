import { finals } from "../../../../sdk/port/status.ts";
import type { HookKind } from "../../../../sdk/port/target.ts";
import type { Part } from "./part.ts";

/** Numbers of the final states, as history has them. */
export const statusNumber = { completed: 0, failed: 1, canceled: 2 } as const;
/** Kinds of hooks: each belongs to the final state of its place, and is the bit of that number. */
const hookKinds: readonly HookKind[] = ["success", "failure", "cancel"];
/** Why a cancel was asked for: `ask` is the place, from 1. */
const askReasons = ["user", "superseded", "parent"];

/** Kinds of hooks as one number. */
export function bitsOf(hooks: readonly HookKind[]): number {
  return hooks.reduce((bits, hook) => bits | (1 << hookKinds.indexOf(hook)), 0);
}

export function hooksOf(bits: number): readonly HookKind[] {
  return hookKinds.filter((kind) => (bits & bitsOf([kind])) !== 0);
}

const array = (texts: readonly string[]): string => `(array[${texts.map((text) => `'${text}'`).join(", ")}])`;

/** Whether these bits have a hook for a final state. */
export const isHooked = (bits: string, status: string): string => `(${bits} & (1 << ${status})) <> 0`;
export const hookKind = (status: string): string => `${array(hookKinds)}[${status} + 1]`;
export const askReason = (ask: string): string => `${array(askReasons)}[${ask}]`;
export const askNumber = (reason: string): string => `array_position(${array(askReasons)}, ${reason})::smallint`;

/** The status of a finished run. */
export const finalStatus = (status: string): string => `${array(finals)}[${status} + 1]`;

/** Whether a run's attempt is under way. */
export const running = (r: string): string => `(${r}.state = 1 and ${r}.started_at is not null)`;
/** Whether a run is under a lease: its node's, if that holds it, or its own, which has not run out. Never null. A lease without a node keeps
 *  claims away for an act that asked for the run. */
export const leased = ({ clock }: Part, r: string): string =>
  `(${r}.state = 1 or coalesce(${r}.node is not null and ${r}.lease_until >= ${clock}, false))`;
/** Whether a run that is not held is free to be leased. */
export const free = ({ clock }: Part, r: string): string => `(${r}.lease_until is null or ${r}.lease_until < ${clock})`;
/** Whether a run is somebody's until another leases it, even if the lease has run out. */
export const owned = (r: string): string => `(${r}.state = 1 or ${r}.lease_until is not null)`;
/** The status of a live run. */
export const liveStatus = (part: Part, r: string): string =>
  `case when ${running(r)} then 'running' when ${leased(part, r)} then 'leased' else 'pending' end`;
/** Whether run r is the one of id and token in i, and still under that lease. An array of one, not `=`: else a merge join may look cheap,
 *  which walks all of the index. */
export const fenced = `r.id = any(array[i.id]) and r.token = i.token and ${owned("r")}`;
