import { meant } from "./near.ts";

/** Root of all that tasker throws on purpose. Logs, HTTP bodies and tests rely on `code`, never on the message. */
export abstract class TaskerError extends Error {
  static {
    // What `codeOf` knows our errors by, also those of a second copy of this module.
    Object.defineProperty(this.prototype, Symbol.for("tasker.error"), { value: true });
  }
  /** Names the kind of error, such as `INVALID_INPUT`. */
  abstract readonly code: string;
  /** The name of the class, unless a bundler has shortened it. */
  override get name(): string {
    return this.constructor.name;
  }
}

/** An argument, option or definition that can't be right. `path` names the field, dotted, where there is one. */
export class InvalidInput extends TaskerError {
  readonly code = "INVALID_INPUT";
  /** The field, dotted, such as `retry.attempts`; null if the error is not about one. */
  readonly path: string | null;
  constructor(message: string, options: { readonly path?: string | undefined; readonly cause?: unknown } = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.path = options.path ?? null;
  }
}

/** An error about one field, dotted. */
export function invalid(path: string, message: string): InvalidInput {
  return new InvalidInput(message, { path });
}

/** One complaint of a schema: the dotted path of the field ("" for the whole), and what is wrong with it. */
export interface Issue {
  /** The field, dotted, such as `user.email`; "" for the whole value. */
  readonly path: string;
  /** The schema's own words. */
  readonly message: string;
}

/** A payload that the job's schema refuses, at trigger or at the start of an attempt. Never retried. */
export class InvalidPayload extends TaskerError {
  readonly code = "INVALID_PAYLOAD";
  /** The id of the job, or of the event. */
  readonly job: string;
  /** Every complaint of the schema; the message has the first five. */
  readonly issues: readonly Issue[];
  constructor(job: string, issues: readonly Issue[], what: "payload" | "output" | "event" = "payload") {
    const part = what === "event" ? "payload" : what;
    const list = issues.slice(0, 5).map((issue) => `${issue.path ? `${part}.${issue.path}` : part}: ${issue.message}`);
    const more = issues.length > 5 ? ` (and ${issues.length - 5} more)` : "";
    const whose = what === "event" ? "event" : "job";
    super(`${part} of ${whose} "${job}" does not match its schema: ${list.join("; ")}${more}`);
    this.job = job;
    this.issues = issues;
  }
}

/** A value that can't be stored: too big, too deep, circular, a function, a symbol, or an instance of a class. */
export class NotStorable extends TaskerError {
  readonly code = "NOT_STORABLE";
  /** The value, or its field, dotted, such as `payload.user.id`. */
  readonly path: string;
  constructor(path: string, problem: string, next: string) {
    super(`${path} ${problem}; ${next}`);
    this.path = path;
  }
}

/** Two definitions with one id. Both places are named where they are known. */
export class DuplicateJob extends TaskerError {
  readonly code = "DUPLICATE_JOB";
  constructor(job: string, first: string | null, second: string | null) {
    const where = !first || !second ? "" : first === second ? ` in ${first}` : ` in ${first} and in ${second}`;
    super(`job "${job}" is given twice${where}; give one of them another id, or leave the repeat out`);
  }
}

/** No code and no node that shares the store knows this job. `near`: similar ids. */
export class JobNotFound extends TaskerError {
  readonly code = "JOB_NOT_FOUND";
  constructor(job: string, known: readonly string[], near: readonly string[] = []) {
    const hint = meant(near) || "start a process that has it, or import the job and call its own trigger";
    const list = known.slice(0, 20).join(", ") + (known.length > 20 ? ` and ${known.length - 20} more` : "");
    super(`job "${job}" is not known to any process on this store (known: ${list || "none"}); ${hint}`);
  }
}

/** No run has this id: it was never made, or it was purged. */
export class RunNotFound extends TaskerError {
  readonly code = "RUN_NOT_FOUND";
  constructor(id: string) {
    super(`run "${id}" does not exist or was purged; list runs with "tasker runs"`);
  }
}

/** There is no schedule of this name. */
export class ScheduleNotFound extends TaskerError {
  readonly code = "SCHEDULE_NOT_FOUND";
  constructor(id: string) {
    super(`schedule "${id}" does not exist; list schedules with "tasker schedules"`);
  }
}

/** The act does not fit the state that the run is in. */
export class WrongState extends TaskerError {
  readonly code = "WRONG_STATE";
  /** `run_…` */
  readonly run: string;
  /** The state that it is in. */
  readonly status: string;
  constructor(id: string, status: string, act: string, next: string) {
    super(`run "${id}" is ${status}, so it can't be ${act}; ${next}`);
    this.run = id;
    this.status = status;
  }
}

/** `onConflict: "error"`: the idempotency key already has a run. `run` is its id. */
export class KeyConflict extends TaskerError {
  readonly code = "KEY_CONFLICT";
  /** `run_…` */
  readonly run: string;
  constructor(job: string, key: string, run: string) {
    super(
      `idempotency key "${key}" of job "${job}" already made run "${run}"; use another key or onConflict: "return"`,
    );
    this.run = run;
  }
}

/** The run ended, but not with a result. `status` says how, `reason` why; `cause` is the stored error. */
export class RunFailed extends TaskerError {
  readonly code = "RUN_FAILED";
  /** `run_…` */
  readonly run: string;
  readonly status: "failed" | "canceled";
  /** Such as `error`, `timeout`, `crashed`, `expired`, or `user` of a canceled one. */
  readonly reason: string | null;
  constructor(run: string, status: "failed" | "canceled", reason: string | null, cause?: Error) {
    const why = cause ? `: ${cause.message}` : "";
    super(`run "${run}" ${status === "failed" ? "failed" : "was canceled"}${reason ? ` (${reason})` : ""}${why}`, {
      cause,
    });
    this.run = run;
    this.status = status;
    this.reason = reason;
  }
}

/** What was waited for did not come in time. The run itself goes on. */
export class WaitTimeout extends TaskerError {
  readonly code = "WAIT_TIMEOUT";
  constructor(what: string, after: string) {
    super(`${what} did not come within ${after}; it may still come: wait longer, or look with "tasker run <id>"`);
  }
}

/** This attempt no longer owns the run: its lease ended, or the run was canceled. What it writes is refused. */
export class LeaseLost extends TaskerError {
  readonly code = "LEASE_LOST";
  constructor(run: string) {
    super(
      `the lease on run "${run}" was lost, so this attempt's result is refused; stop its work when ctx.signal aborts`,
    );
  }
}

/** Why `ctx.signal` aborted: the attempt outlived its timeout. */
export class AttemptTimeout extends TaskerError {
  readonly code = "ATTEMPT_TIMEOUT";
  constructor(run: string, timeoutMs: number) {
    super(
      `attempt of run "${run}" took longer than its timeout of ${timeoutMs} ms; raise \`timeout\` or stop at ctx.signal`,
    );
  }
}

/** Why `ctx.signal` aborted: somebody canceled the run. */
export class RunCanceled extends TaskerError {
  readonly code = "RUN_CANCELED";
  constructor(run: string) {
    super(`run "${run}" was canceled`);
  }
}

/** Why `ctx.signal` aborted: the process is stopping and the grace is over. The run starts again elsewhere. */
export class Stopping extends TaskerError {
  readonly code = "STOPPING";
  constructor(grace: string) {
    super(`the runtime is stopping and the attempt did not end within ${grace}; it will start again on another node`);
  }
}

/** The store can't be reached now. Nothing is known to be lost; the same call may be repeated. */
export class StoreUnavailable extends TaskerError {
  readonly code = "STORE_UNAVAILABLE";
  constructor(what: string, cause: unknown) {
    const why = cause instanceof Error ? cause.message || (cause as { code?: string }).code : String(cause);
    super(`${what} can't be reached: ${why}; check that it runs and that the address is right`, { cause });
  }
}

/** The store answers, but can't be used as it is: wrong rights, an older or newer schema, a bad name. */
export class StoreUnusable extends TaskerError {
  readonly code = "STORE_UNUSABLE";
}

/** The store that is in use lacks what was asked for. */
export class NotSupported extends TaskerError {
  readonly code = "NOT_SUPPORTED";
  constructor(what: string, store: string, why: string) {
    super(
      `${what} is not supported by the store "${store}", for ${why}; do without, or use a store that has it, such as Postgres`,
    );
  }
}

/** `trigger` found no store: nothing was configured, and no `tasker dev` runs here. */
export class NotConfigured extends TaskerError {
  readonly code = "NOT_CONFIGURED";
  constructor() {
    super(
      'no store to trigger into; call configure({ store }) or configure({ url }), set TASKER_DATABASE_URL or TASKER_URL, or start "tasker dev" in this folder (a running one is not used under NODE_ENV=production or CI)',
    );
  }
}

/** A step of a workflow failed in all of its tries. `cause` is the last error, as it was stored. A handler that does not catch it fails its run
 *  for good. */
export class StepFailed extends TaskerError {
  readonly code = "STEP_FAILED";
  /** The step's name, with its number where it has one. */
  readonly step: string;
  /** How often it was tried. */
  readonly tries: number;
  constructor(step: string, tries: number, cause: unknown) {
    const why = cause instanceof Error ? cause.message : String(cause);
    super(`step "${step}" failed after ${tries} ${tries === 1 ? "try" : "tries"}: ${why}`, { cause });
    this.step = step;
    this.tries = tries;
  }
}

/** The journal of a workflow would grow beyond its bounds: too many steps, sleeps, waits and calls of children, or results that are too large together.
 *  Its run fails for good. */
export class JournalFull extends TaskerError {
  readonly code = "JOURNAL_FULL";
  constructor(run: string, problem: string, next: string) {
    super(`run "${run}" ${problem}; ${next}`);
  }
}

/** The code of a workflow is not the code that wrote its journal: it does not ask for what the journal has next. The run waits, parked. */
export class Diverged extends TaskerError {
  readonly code = "DIVERGED";
  constructor(run: string, journal: string, code: string | null) {
    const asks = code === null ? "the handler ended without it" : `the code asks for ${code}`;
    super(
      `run "${run}" can't be replayed: its journal goes on with ${journal}, but ${asks}; mend the journal, or deploy the code that wrote it and let it go on, with: tasker runs fix ${run}`,
    );
  }
}

/** Calls of one name came in another order than when they were recorded, so that one would get the answer of another. The run waits, parked. */
export class CallsMixed extends TaskerError {
  readonly code = "CALLS_MIXED";
  constructor(run: string, call: string, was: string, is: string) {
    super(
      `run "${run}" can't be replayed: ${call} was recorded at ${was}, and the same code asks for it at ${is} now; calls of one name whose order can change, as in parallel branches, need names of their own; mend the journal, with: tasker runs fix ${run}`,
    );
  }
}

/** Why a try of a step failed: it outlived its timeout. */
export class StepTimeout extends TaskerError {
  readonly code = "STEP_TIMEOUT";
  constructor(step: string, timeoutMs: number) {
    super(`step "${step}" took longer than its timeout of ${timeoutMs} ms; raise \`timeout\` or stop at step.signal`);
  }
}

/** Thrown by a handler: give up now, however many attempts are left. */
export class AbortError extends TaskerError {
  readonly code = "ABORT";
}
