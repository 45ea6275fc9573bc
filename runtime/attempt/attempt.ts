import { decode, encode, type Wire } from "../../sdk/port/codec.ts";
import { isOfChild } from "../../sdk/client/child.ts";
import { slot, type Parent } from "../../sdk/client/scope.ts";
import type { Durable } from "../flow/verbs.ts";
import type { Context, ContextRun, ContextSchedule, Log } from "../../sdk/define/context.ts";
import type { DurationText } from "../../sdk/port/duration.ts";
import { InvalidPayload } from "../../sdk/port/error.ts";
import { formatId, scheduleId } from "../../sdk/port/id.ts";
import { nextDelayMs } from "../../sdk/define/retry.ts";
import { check, type Checked } from "../../sdk/define/schema.ts";
import { codeOf, delayOf, Skip, Snooze } from "../../sdk/define/signal.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import type { RetryPolicy } from "../../sdk/define/retry.ts";
import type { Find } from "../../sdk/port/target.ts";
import { clean, errorRecord, fieldOf } from "../../sdk/port/text.ts";
import { callHook, hookPayload } from "./hook.ts";
import type { Leased } from "../core/lease.ts";
import type { Lines } from "../core/log.ts";
import type { Services } from "./service.ts";
import type { Outcome } from "../store/port.ts";

/** How a handler's call ended. `refused`: no further attempt can end otherwise (a payload or an output that its schema
 *  refuses, a result that can't be stored). */
export type Ending =
  | { readonly how: "returned"; readonly result: Wire | null }
  | { readonly how: "threw" | "refused" | "timeout" | "stopped"; readonly error: unknown };

/** What an attempt needs of the runtime around it. */
export interface Tools {
  readonly lines: Lines;
  readonly services: Services;
  readonly find: Find;
  progress(leased: Leased, value: number, detail: string | undefined): void;
  /** The durable part of the attempt, made when it is first asked for. */
  flow(leased: Leased): Durable;
  /** Hears how the call ended: once, and whenever that is. */
  ended(leased: Leased, ending: Ending): void;
}

const done = { to: "completed", result: null, reason: null, note: null } as const satisfies Outcome;
const final: ReadonlySet<string | null> = new Set(["STEP_FAILED", "JOURNAL_FULL"]);
const nothing: Ending = { how: "returned", result: null };

/** What becomes of a run after an attempt ended so. Pure but for the policy's jitter; never throws. `spent` counts this attempt, too. */
export function next(ending: Ending, spent: number, policy: RetryPolicy): Outcome {
  if (ending.how === "returned") return ending.result === null ? done : { ...done, result: ending.result };
  const { how, error } = ending;
  if (how === "stopped")
    return { to: "pending", delayMs: 0, spent: false, outcome: "released", error: errorRecord(error) };
  if (how === "threw") {
    const code = codeOf(error);
    if (code === "SKIP") return { ...done, reason: "skipped", note: noteOf(error) };
    if (code === "SNOOZE")
      return { to: "pending", delayMs: delayOf(error) ?? 0, spent: false, outcome: "snoozed", error: null };
  }
  const isFinal = how === "refused" || final.has(codeOf(error)) || isOfChild(error); // a replay would fail the same way
  const delayMs = isFinal ? null : nextDelayMs(policy, spent, error);
  const kind = how === "timeout" ? "timeout" : "error";
  return delayMs === null
    ? { to: "failed", reason: kind, error: errorRecord(error) }
    : { to: "pending", delayMs, spent: true, outcome: kind, error: errorRecord(error) };
}

function noteOf(error: unknown): string | null {
  const reason = fieldOf(error, "reason");
  return typeof reason === "string" ? clean(reason, 1024) : null;
}

/** Calls the handler of a leased run, or its hook. Never throws: whatever happens reaches `tools.ended`. Where nothing is
 *  asynchronous, that is before this returns; a promise is waited for only where there is one. */
export function begin(leased: Leased, tools: Tools): void {
  step(payloadOf, called, "refused", undefined, leased, tools);
}

function called(payload: unknown, leased: Leased, tools: Tools): void {
  step(call, returned, "threw", payload, leased, tools);
}

function returned(result: unknown, leased: Leased, tools: Tools): void {
  step(output, store, "refused", result, leased, tools);
}

type Step = (input: unknown, leased: Leased, tools: Tools) => unknown;

/** Goes on with what `make` gives, at once unless it is a promise. Functions and their arguments, and no closures: a short run
 *  makes few other objects. */
function step(make: Step, on: Step, how: "threw" | "refused", input: unknown, leased: Leased, tools: Tools): void {
  let value: unknown;
  try {
    value = make(input, leased, tools);
    if (isThenable(value)) {
      // A foreign thenable is adopted: it may call back twice, or throw.
      (value instanceof Promise ? (value as Promise<unknown>) : Promise.resolve(value)).then(
        (late) => on(late, leased, tools),
        (error: unknown) => tools.ended(leased, { how, error }),
      );
      return;
    }
  } catch (error) {
    return tools.ended(leased, { how, error });
  }
  on(value, leased, tools);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

function payloadOf(_: unknown, { lease, job: { spec } }: Leased): unknown {
  const input = decode(lease.input);
  if (lease.options?.hook) return hookPayload(spec, input);
  const checked = check(spec.schema, input);
  return checked instanceof Promise
    ? checked.then((late) => accepted(late, spec, "payload"))
    : accepted(checked, spec, "payload");
}

function output(result: unknown, { lease, job: { spec } }: Leased): unknown {
  if (lease.options?.hook) return undefined;
  if (spec.output === null) return result;
  const checked = check(spec.output, result);
  return checked instanceof Promise
    ? checked.then((late) => accepted(late, spec, "output"))
    : accepted(checked, spec, "output");
}

function accepted(checked: Checked<unknown>, spec: JobSpec, what: "payload" | "output"): unknown {
  if (checked.issues) throw new InvalidPayload(spec.id, checked.issues, what);
  return checked.value;
}

function store(value: unknown, leased: Leased, tools: Tools): void {
  if (value === undefined) return tools.ended(leased, nothing);
  let ending: Ending;
  try {
    ending = { how: "returned", result: encode(value, "result") };
  } catch (error) {
    ending = { how: "refused", error };
  }
  tools.ended(leased, ending);
}

function call(payload: unknown, leased: Leased, tools: Tools): unknown {
  const { spec } = leased.job;
  const ctx = new AttemptContext(leased, tools);
  const hook = leased.lease.options?.hook;
  if (hook) return layered(spec, payload, ctx, leased, tools, () => callHook(spec, hook, payload, ctx, tools.find));
  if (spec.use.length === 0) return started(payload, ctx, leased);
  return layered(spec, payload, ctx, leased, tools, async () => started(payload, ctx, leased));
}

/** Calls `onStart`, then the handler; at once, unless there is something to wait for. */
function started(payload: unknown, ctx: AttemptContext, leased: Leased): unknown {
  const { handler, hooks } = leased.job.spec;
  const { parent } = slot();
  if (hooks.onStart === null) return parent.run(ctx, handler, payload, ctx);
  const go = (): unknown => {
    if (leased.stopped) throw leased.stopped;
    return parent.run(ctx, handler, payload, ctx);
  };
  const told: unknown = hooks.onStart(payload, ctx);
  return isThenable(told) ? Promise.resolve(told).then(go) : go();
}

/** Calls `act` within the job's services and middleware. An attempt that was stopped meanwhile gets no further. */
function layered(
  spec: JobSpec,
  payload: unknown,
  ctx: AttemptContext,
  leased: Leased,
  tools: Tools,
  act: () => Promise<unknown>,
): Promise<unknown> {
  const enter = async (at: number): Promise<unknown> => {
    if (leased.stopped) throw leased.stopped;
    const layer = spec.use[at];
    if (!layer) return act();
    if (layer.kind === "service") {
      ctx.add({ [layer.name]: await tools.services.get(layer) });
      return enter(at + 1);
    }
    let passed = false;
    return layer.run({ payload, ctx }, (extra) => {
      if (passed) throw new Error(`middleware of job "${spec.id}" called next() twice; call it once`);
      passed = true;
      if (extra) ctx.add(extra);
      const rest = enter(at + 1);
      rest.catch(() => undefined); // a middleware may leave it behind; its failure must not end the process
      return rest;
    });
  };
  return enter(0);
}

/** What a handler is given. Everything is made when it is read: most handlers read little. */
class AttemptContext implements Context {
  readonly #leased: Leased;
  readonly #tools: Tools;
  #run: ContextRun | null = null;
  #log: Log | null = null;
  #durable: Durable | null = null;

  constructor(leased: Leased, tools: Tools) {
    this.#leased = leased;
    this.#tools = tools;
  }

  get run(): ContextRun {
    return (this.#run ??= describe(this.#leased));
  }
  get schedule(): ContextSchedule | null {
    return scheduleOf(this.#leased);
  }
  get attempt(): number {
    return this.#leased.attempt;
  }
  get signal(): AbortSignal {
    return this.#leased.signal;
  }
  get log(): Log {
    return (this.#log ??= this.#tools.lines.of(this.#leased));
  }
  get idempotencyKey(): string {
    return formatId(this.#leased.lease.id);
  }
  get fencingToken(): number {
    return this.#leased.lease.token;
  }
  // Methods are getters, too: a handler may take them out of the context.
  get progress(): Context["progress"] {
    return (value, detail) => this.#tools.progress(this.#leased, value, detail);
  }
  get skip(): Context["skip"] {
    return skip;
  }
  get snooze(): Context["snooze"] {
    return snooze;
  }

  get step(): Context["step"] {
    return this.#flow.step;
  }
  get sleep(): Context["sleep"] {
    return this.#flow.sleep;
  }
  get sleepUntil(): Context["sleepUntil"] {
    return this.#flow.sleepUntil;
  }
  get waitFor(): Context["waitFor"] {
    return this.#flow.waitFor;
  }
  get token(): Context["token"] {
    return this.#flow.token;
  }
  get tx(): Context["tx"] {
    return this.#flow.tx;
  }
  get version(): Context["version"] {
    return this.#flow.version;
  }

  /** What `triggerAndWait` does in this handler. */
  adopt(...children: Parameters<Parent["adopt"]>): ReturnType<Parent["adopt"]> {
    return this.#flow.adopt(...children);
  }

  get #flow(): Durable {
    return (this.#durable ??= this.#tools.flow(this.#leased));
  }

  /** Puts what services and middleware give beside the rest. */
  add(extra: object): void {
    for (const [key, value] of Object.entries(extra))
      Object.defineProperty(this, key, { value, enumerable: true, configurable: true });
  }
}

function skip(reason: string): never {
  throw new Skip(reason);
}

function snooze(delay: DurationText): never {
  throw new Snooze(delay);
}

function scheduleOf({ lease }: Leased): ContextSchedule | null {
  const info = lease.options?.schedule;
  if (!info) return null;
  const { key, tick, previous, next } = info;
  const date = (ms: number | null): Date | null => (ms === null ? null : new Date(ms));
  return {
    id: scheduleId({ job: lease.job, key }),
    key,
    tick: new Date(tick),
    previous: date(previous),
    next: date(next),
  };
}

function describe({ lease }: Leased): ContextRun {
  const { job, queue, priority, tags, key } = lease;
  return {
    id: formatId(lease.id),
    job,
    queue,
    priority: priority as ContextRun["priority"], // it was checked when it was added
    dueAt: new Date(lease.options?.dueMs ?? lease.dueMs),
    createdAt: new Date(lease.createdMs),
    tags,
    key,
  };
}
