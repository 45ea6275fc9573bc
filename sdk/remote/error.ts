/** Errors of the HTTP API, as the classes that they were on the server. */
import {
  InvalidInput,
  InvalidPayload,
  JobNotFound,
  JournalFull,
  KeyConflict,
  NotConfigured,
  NotStorable,
  NotSupported,
  RunNotFound,
  ScheduleNotFound,
  Stopping,
  StoreUnavailable,
  StoreUnusable,
  TaskerError,
  WrongState,
} from "../port/error.ts";

/** What a server refused for a reason that only HTTP has: `UNAUTHORIZED`, `FORBIDDEN`, `TOO_LARGE` and so on. */
export class HttpError extends TaskerError {
  readonly code: string;
  readonly status: number;
  constructor(message: string, code: string, status: number) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const classes: Readonly<Record<string, { readonly prototype: TaskerError }>> = {
  ...{ INVALID_INPUT: InvalidInput, INVALID_PAYLOAD: InvalidPayload, NOT_STORABLE: NotStorable },
  ...{ JOB_NOT_FOUND: JobNotFound, RUN_NOT_FOUND: RunNotFound, SCHEDULE_NOT_FOUND: ScheduleNotFound },
  ...{ KEY_CONFLICT: KeyConflict, WRONG_STATE: WrongState, JOURNAL_FULL: JournalFull },
  ...{ NOT_SUPPORTED: NotSupported, NOT_CONFIGURED: NotConfigured, STOPPING: Stopping },
  ...{ STORE_UNAVAILABLE: StoreUnavailable, STORE_UNUSABLE: StoreUnusable },
};

/** An error as the API writes it; what is missing was not sent. */
export interface Problem {
  readonly status?: number;
  readonly detail?: string;
  readonly code?: string;
  readonly path?: string;
  readonly issues?: readonly { readonly path: string; readonly message: string }[];
  readonly run?: string;
  readonly state?: string;
}

/** The error that a problem tells of. */
export function errorOf({ status = 500, detail = "the server failed", code = "INTERNAL", ...fields }: Problem): Error {
  const made = classes[code];
  if (!made) return new HttpError(detail, code, status);
  const { path = null, issues, run, state } = fields;
  const own = { code, path, ...(issues && { issues }), ...(run && { run }), ...(state && { status: state }) };
  return Object.assign(Object.setPrototypeOf(new Error(detail), made.prototype) as Error, own);
}

/** What a server answered that is no tasker, or that stands before one. */
export function strangeOf(name: string, status: number): Error {
  if (status === 502 || status === 503 || status === 504)
    return new StoreUnavailable(name, `what stands before it answered ${status}`);
  return new HttpError(`${name} answered ${status}, but not as tasker does; check the address`, "NOT_TASKER", status);
}
