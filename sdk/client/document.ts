/** Records as JSON documents, as programs read them. Instants are Dates, which JSON writes as ISO text. */
import { encode, natural, type Wire } from "../port/codec.ts";
import type { RunRecord } from "../port/target.ts";
import { viewOf } from "./run.ts";
import type { Schedule } from "./schedules.ts";

/** A run: as `runs.get` answers it, but payload and result as natural JSON, with the token of its latest attempt and its own options.
 *  `payloadMeta` and `resultMeta` note the types that JSON lacks, where there are any. */
export function runDocument(record: RunRecord): object {
  const { token, options, input, result } = record;
  const own = { ...viewOf(record), token, options };
  return { ...own, ...valueDocument("payload", input), ...(result ? valueDocument("result", result) : { result }) };
}

/** A schedule: as `schedules.get` answers it, but its payload as that of a run. */
export function scheduleDocument(schedule: Schedule): object {
  return { ...schedule, ...valueDocument("payload", encode(schedule.payload, "payload")) };
}

/** A stored value as fields of a document: `payload`, and `payloadMeta` where JSON lacks its types. */
export function valueDocument(field: string, wire: Wire): object {
  return { [field]: natural(wire), ...(wire.meta !== null && { [`${field}Meta`]: JSON.parse(wire.meta) as unknown }) };
}
