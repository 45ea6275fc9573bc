import { decode, encode } from "./codec.ts";
import type { Entry } from "./flow.ts";
import type { Reason, Status } from "./status.ts";
import { clean, errorRecord, type ErrorRecord } from "./text.ts";

/** What entries say beside their value: JSON, in `data`. Old ones may lack any of it. */
export interface Notes {
  /** Where the code asked, and what tells the content of that file from others. */
  readonly at?: string | undefined;
  readonly code?: string | undefined;
  /** Of a sleep, a wait or a retry: until when, epoch ms. */
  readonly until?: number | null | undefined;
  /** Of a wait: the name of what is sent. */
  readonly for?: string | undefined;
  /** Of a step: how often it failed; when it began, and how long its last try took, ms. */
  readonly tries?: number | undefined;
  readonly began?: number | undefined;
  readonly took?: number | undefined;
  readonly error?: ErrorRecord | null | undefined;
  /** Of a signal: who sent it. */
  readonly by?: string | undefined;
  /** Of the first entry that an attempt writes: the version of its code, where one is given. */
  readonly version?: string | undefined;
  /** Of a call of other jobs: it is answered by the first end that is not good. */
  readonly first?: boolean | undefined;
  /** Of the end of a child. */
  readonly run?: number | undefined;
  readonly status?: Status | undefined;
  readonly reason?: Reason | null | undefined;
}

export function notesOf({ data }: Pick<Entry, "data">): Notes {
  return data === null ? {} : (JSON.parse(data) as Notes);
}

export function toData(notes: Notes): string {
  return JSON.stringify(notes);
}

/** The value of an entry. */
export function valueOf({ value }: Pick<Entry, "value">): unknown {
  return value === null ? undefined : decode(value);
}

/** What is noted of an error: as much as is kept of those of attempts. */
export function errorNote(error: unknown): ErrorRecord {
  const { name, message, stack } = errorRecord(error);
  return { name: clean(name, 256), message: clean(message, 4096), stack: stack === null ? null : clean(stack, 4096) };
}

/** An error as a value: with its own fields and cause, if those can be stored. */
export function errorValue(error: unknown): Entry["value"] {
  try {
    return encode(error instanceof Error ? error : new Error(String(error)), "error");
  } catch {
    const { name, message } = errorRecord(error);
    return encode(Object.assign(new Error(message), { name }), "error");
  }
}
