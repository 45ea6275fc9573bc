import { finals } from "../../../../sdk/port/status.ts";
import type { HookKind } from "../../../../sdk/port/target.ts";
import type { Part } from "./part.ts";

/** Final states as numbers in history. */
export const statusNumber = { completed: 0, failed: 1, canceled: 2 } as const;
/** Hooks in the order of the final states; bits have the same order. */
const hookKinds: readonly HookKind[] = ["success", "failure", "cancel"];
/** Reasons of a cancel; `ask` is the place, from 1. */
const askReasons = ["user", "superseded", "parent"];
/** What a run waits for: `waits` is the place, from 1. */
const waitReasons = ["sleep", "signal", "child", "parked"];

/** Hooks as bits. */
export function bitsOf(hooks: readonly HookKind[]): number {
  return hooks.reduce((bits, hook) => bits | (1 << hookKinds.indexOf(hook)), 0);
}

export function hooksOf(bits: number): readonly HookKind[] {
  return hookKinds.filter((kind) => (bits & bitsOf([kind])) !== 0);
}

const array = (texts: readonly string[]): string => `(array[${texts.map((text) => `'${text}'`).join(", ")}])`;

/** Whether these bits have the hook of a final state. */
export const isHooked = (bits: string, status: string): string => `(${bits} & (1 << ${status})) <> 0`;
export const hookKind = (status: string): string => `${array(hookKinds)}[${status} + 1]`;
export const askReason = (ask: string): string => `${array(askReasons)}[${ask}]`;
export const askNumber = (reason: string): string => `array_position(${array(askReasons)}, ${reason})::smallint`;

export const waitReason = (waits: string): string => `${array(waitReasons)}[${waits}]`;
export const waitNumber = (reason: string): number => waitReasons.indexOf(reason) + 1;
/** Whether a run is not woken by what is sent to it. */
export const parked = (waits: string): string => `${waits} = ${waitNumber("parked")}`;

/** The status of a finished run. */
export const finalStatus = (status: string): string => `${array(finals)}[${status} + 1]`;

export const running = (r: string): string => `(${r}.state = 1 and ${r}.started_at is not null)`;
/** Whether a run is under a lease that stands, its own or its node's. Never null. A lease without a node reserves the run for an act. */
export const leased = ({ clock }: Part, r: string): string =>
  `(${r}.state = 1 or coalesce(${r}.node is not null and ${r}.lease_until >= ${clock}, false))`;
/** Whether a run that is not held can be leased. */
export const free = ({ clock }: Part, r: string): string => `(${r}.lease_until is null or ${r}.lease_until < ${clock})`;
/** Whether a run was leased and not settled; the lease may have lapsed. */
export const owned = (r: string): string => `(${r}.state = 1 or ${r}.lease_until is not null)`;
/** Whether a run waits for something, rather than for its turn. Never null. */
export const waiting = (part: Part, r: string): string =>
  `(${r}.waits is not null and ${r}.ready_at > ${part.now} and not ${leased(part, r)})`;
/** The status of a live run. */
export const liveStatus = (part: Part, r: string): string =>
  `case when ${running(r)} then 'running' when ${leased(part, r)} then 'leased' when ${waiting(part, r)} then 'waiting' else 'pending' end`;
/** Whether run r has the id and token of i, and is owned. An array, not `=`: else a merge join, which walks the whole index, may look cheap. */
export const fenced = `r.id = any(array[i.id]) and r.token = i.token and ${owned("r")}`;
