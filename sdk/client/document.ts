/** Records as JSON documents, as programs read them. Instants are Dates, which JSON writes as ISO text. */
import { encode, type Wire } from "../port/codec.ts";
import type { RunRecord } from "../port/target.ts";
import { viewOf } from "./run.ts";
import type { Schedule } from "./schedules.ts";

/** The natural JSON of a stored value: a Date is its ISO text. */
export function natural(wire: Wire): unknown {
  return JSON.parse(wire.json);
}

/** A run: as `runs.get` answers it, but payload and result as natural JSON, with the token of its latest attempt and its own options. */
export function runDocument(record: RunRecord): object {
  const { token, options, input, result } = record;
  return { ...viewOf(record), token, options, payload: natural(input), result: result && natural(result) };
}

/** A schedule: as `schedules.get` answers it, but its payload as natural JSON. */
export function scheduleDocument(schedule: Schedule): object {
  return { ...schedule, payload: natural(encode(schedule.payload, "payload")) };
}
