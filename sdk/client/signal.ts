/** Sending to workflows from application code. */
import { encode } from "../port/codec.ts";
import { InvalidInput, InvalidPayload, RunNotFound, WrongState } from "../port/error.ts";
import type { Mail } from "../port/flow.ts";
import { formatId, parseId, parseToken } from "../port/id.ts";
import { toData } from "../port/note.ts";
import { checkKeys, checkName, checkText, isRecord, wrong } from "../port/option.ts";
import type { Tx } from "../port/target.ts";
import { eventId, type EventSpec } from "../define/event.ts";
import { check, checkSchema } from "../define/schema.ts";
import { target, type Open } from "./config.ts";
import type { AnyJob, InputOf, ResultOf } from "./job.ts";
import type { RunHandle } from "./handle.ts";
import { checkTx, type TriggerOptions } from "./option.ts";
import type { RunRef } from "./runs.ts";
import { triggerJob } from "./trigger.ts";

export interface SignalOptions {
  /** The signal arrives exactly if that commits. */
  readonly tx?: Tx | undefined;
  /** Who sends it, for those who look at the run. */
  readonly by?: string | undefined;
}
/** The input of an event's schema; of an event that is only named, anything. */
export type SignalOf<E> = E extends EventSpec<string, unknown, infer Input> ? Input : unknown;

/** Sends an event to a run: a `ctx.waitFor` of it resolves with the payload, now or later. It is kept from when this resolves, or from when `tx`
 *  commits, until the run takes it or ends.
 *  @throws {InvalidPayload} {NotStorable} {RunNotFound}
 *  @throws {WrongState} if the run has ended */
export async function signal<const E extends EventSpec | string>(
  run: RunRef | Pick<RunHandle, "id">,
  event: E,
  payload: SignalOf<E>,
  options?: SignalOptions,
): Promise<void> {
  return signalOf(target)(run, event, payload, options);
}

/** `signal`, bound to a given target. */
export function signalOf(open: Open): typeof signal {
  return async (run, event, payload, options = {}) => {
    checkKeys("signal", options, optionKeys);
    const { tx, by } = options;
    const name = eventId(event);
    if (typeof event !== "string") await checkEvent(event, payload);
    await send(open, { to: addressOf(run), name, value: encode(payload, "payload"), data: dataOf(by) }, tx);
  };
}

/** Answers a token that `ctx.token()` made. A token takes one answer; later ones change nothing.
 *  @throws {InvalidInput} if that is not a token. @throws {NotStorable} {RunNotFound}
 *  @throws {WrongState} if its run has ended */
export async function complete(token: string, payload?: unknown, options?: SignalOptions): Promise<void> {
  return completeOf(target)(token, payload, options);
}

/** `complete`, bound to a given target. */
export function completeOf(open: Open): typeof complete {
  return async (token, payload, options = {}) => {
    checkKeys("complete", options, optionKeys);
    const { tx, by } = options;
    const { run, name } = parseToken(token);
    await send(open, { to: run, name, value: encode(payload, "payload"), data: dataOf(by) }, tx);
  };
}

/** Triggers a job unless a run of it holds the key, and sends that run an event, in this order.
 *  @throws as `trigger` and `signal` do */
export async function signalWithTrigger<J extends AnyJob, const E extends EventSpec | string>(
  job: J,
  payload: InputOf<J>,
  options: TriggerOptions & { readonly idempotencyKey: NonNullable<TriggerOptions["idempotencyKey"]> },
  event: E,
  sent: SignalOf<E>,
): Promise<RunHandle<ResultOf<J>>> {
  if (!isRecord(job)) throw wrong("job", job, "is not a job; give what defineJob made");
  if (!isRecord(options)) throw wrong("options", options, "are not { idempotencyKey: … }");
  eventId(event);
  const handle = await triggerJob<ResultOf<J>>(job, payload, options);
  await signal(handle, event, sent, options.tx && { tx: options.tx });
  return handle;
}

const optionKeys: ReadonlySet<string> = new Set<keyof SignalOptions>(["tx", "by"]);

async function checkEvent(event: EventSpec, payload: unknown): Promise<void> {
  checkSchema(`event "${event.id}"`, event.schema);
  const { issues } = await check(event.schema, payload);
  if (issues) throw new InvalidPayload(event.id, issues, "event");
}

function dataOf(by: string | undefined): string | null {
  return by === undefined ? null : toData({ by: checkText("by", by, 128) });
}

function addressOf(run: RunRef | Pick<RunHandle, "id">): Mail["to"] {
  if (typeof run === "string") return parseId(run);
  if (!isRecord(run)) throw new InvalidInput("a signal goes to a run: pass its id, its handle, or { job, key }");
  return "id" in run ? parseId(run.id) : { job: checkName("job", run.job), key: checkText("key", run.key, 1024) };
}

async function send(open: Open, mail: Mail, tx: Tx | undefined): Promise<void> {
  checkTx(tx);
  const [sent] = await (await open()).flow.send([mail], tx);
  const { to } = mail;
  const shown = sent!.id !== null ? formatId(sent!.id) : typeof to === "number" ? formatId(to) : `${to.job} ${to.key}`;
  if (sent!.done === "missing") throw new RunNotFound(shown);
  if (sent!.done === "ended")
    throw new WrongState(shown, "over", "signaled", "only a run that has not ended can be; trigger another");
}
