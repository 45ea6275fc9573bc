/** All that a state holds as plain JSON, and back. */
import { childrenOf, makeState, type State } from "./state.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
/** What is held; the rest of a state is made from it, or is of this process. */
type Table = Exclude<keyof State, "now" | "step" | "lanes" | "ears" | "looks" | "waiters" | "children" | "feed">;
type Saved = { readonly nowMs: number } & Readonly<Record<Table, readonly (readonly [Json, Json])[]>>;

const names = Object.keys({
  ...{
    runs: 0,
    keys: 0,
    attempts: 0,
    logs: 0,
    minutes: 0,
    hours: 0,
    nodes: 0,
    names: 0,
    jobs: 0,
    queues: 0,
    schedules: 0,
  },
  ...{ versions: 0, applied: 0, declared: 0, turns: 0, last: 0, journals: 0, mail: 0 },
} satisfies Record<Table, 0>) as readonly Table[];

export function toJSON(state: State): Json {
  const tables = names.map((name) => [name, [...state[name]].map(encode)] as const);
  return { nowMs: state.now(), ...Object.fromEntries(tables) };
}

/** A state with all that was written; those who listened or waited are not in it. */
export function fromJSON(json: Json, clock: () => number): State {
  const saved = json as Saved;
  const state = makeState(clock, saved.nowMs);
  for (const name of names) {
    const table: Map<unknown, unknown> = state[name];
    for (const [key, value] of saved[name]) table.set(decode(key), decode(value));
  }
  for (const [id, row] of state.runs) {
    const own = { ...row }; // not frozen
    state.runs.set(id, own);
    state.lanes.enter(own);
    if (own.parent) childrenOf(state, own.parent.run).add(id);
  }
  for (const table of [state.journals, state.mail] as readonly Map<number, unknown[]>[])
    for (const [id, list] of table) table.set(id, [...list]); // not frozen
  return state;
}

/** A value as JSON. What JSON lacks is an object with the one key `$`: its type, and a value; so is one that has such a key itself. */
export function encode(value: unknown): Json {
  if (typeof value === "number" && !Number.isFinite(value)) return { $: ["number", String(value)] };
  if (value instanceof Date) return { $: ["date", value.getTime()] };
  if (value instanceof Map) return { $: ["map", [...value].map(encode)] };
  if (Array.isArray(value)) return value.map(encode);
  if (typeof value !== "object" || value === null) return value as Json;
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  const json = Object.fromEntries(entries.map(([key, each]) => [key, encode(each)]));
  return Object.hasOwn(json, "$") ? { $: ["object", json] } : json;
}

/** What was encoded, frozen. */
export function decode(json: Json): unknown {
  if (typeof json !== "object" || json === null) return json;
  if (Array.isArray(json)) return Object.freeze(json.map(decode));
  const { $: special, ...fields } = json as { readonly $?: readonly [type: string, value: Json] };
  if (!special) return decodeFields(fields);
  const [type, value] = special;
  if (type === "number") return Number(value);
  if (type === "date") return new Date(value as number);
  if (type === "map") return new Map(decode(value) as [unknown, unknown][]);
  return decodeFields(value as Readonly<Record<string, Json>>);
}

function decodeFields(fields: Readonly<Record<string, Json>>): object {
  return Object.freeze(Object.fromEntries(Object.entries(fields).map(([key, each]) => [key, decode(each)])));
}
