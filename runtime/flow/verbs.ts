import { randomBytes } from "node:crypto";
import { types } from "node:util";
import type {
  Workflow as Verbs,
  LimitedWait,
  StepContext,
  StepOptions,
  Token,
  TxSource,
  WaitOptions,
} from "../../sdk/define/flow.ts";
import { eventId, type EventSpec } from "../../sdk/define/event.ts";
import { policy } from "../../sdk/define/retry.ts";
import { check, type Checked, checkSchema } from "../../sdk/define/schema.ts";
import type { DurationText } from "../../sdk/port/duration.ts";
import { InvalidInput, InvalidPayload } from "../../sdk/port/error.ts";
import { formatToken, isTokenName, tokenName } from "../../sdk/port/id.ts";
import { checkDuration, checkKeys, checkName, checkSpan, isRecord, wrong } from "../../sdk/port/option.ts";
import type { Leased } from "../core/lease.ts";
import { failureOf } from "../../sdk/client/child.ts";
import type { Ends, Parent } from "../../sdk/client/scope.ts";
import type { Tx } from "../../sdk/port/target.ts";
import type { Call, ChildCall, StepCall, Verdict, WaitCall, Within } from "./call.ts";
import { valueOf } from "../../sdk/port/note.ts";
import { placeOf } from "./place.ts";
import type { Workflow } from "./workflow.ts";

/** What a handler calls, and what `triggerAndWait` does in it. */
export interface Durable extends Verbs, Parent {}

const stepKeys: ReadonlySet<string> = new Set<keyof StepOptions>(["retry", "timeout"]);
const txKeys: ReadonlySet<string> = new Set(["name", "retry"]);
const waitKeys: ReadonlySet<string> = new Set<keyof LimitedWait<unknown>>(["timeout", "match", "schema"]);
const tokenKeys: ReadonlySet<string> = new Set(["schema"]);
const limitKeys: ReadonlySet<string> = new Set(["timeout"]);

/** What a handler calls: each verb makes a call of the workflow, and answers a promise of its answer. */
export function verbsOf(leased: Leased, flow: Workflow): Durable {
  const step = <T>(
    name: string,
    fn: (step: StepContext) => T | PromiseLike<T>,
    options: StepOptions = {},
  ): Promise<T> => {
    const key = checkName("step", name);
    if (typeof fn !== "function")
      throw new InvalidInput(`step "${key}" has no function; write ctx.step("name", async () => …)`);
    checkKeys(`step "${key}"`, options, stepKeys);
    const retry = options.retry === undefined ? leased.begun!.retry : policy(options.retry);
    const timeoutMs = options.timeout === undefined ? null : checkSpan("timeout", options.timeout);
    const traced = leased.begun!.span?.step(key, fn) ?? fn;
    return ask(flow, step, "step", key, { fn: traced, within: null, retry, timeoutMs, tries: 0 });
  };
  const wait = (event: EventSpec | string, options: Partial<LimitedWait<unknown>> = {}): Promise<unknown> => {
    const name = checkName("event", eventId(event));
    checkKeys(`wait "${name}"`, options, waitKeys);
    if (options.match !== undefined && typeof options.match !== "function")
      throw wrong("match", options.match, "is not a function; write match: (payload) => …");
    const timeoutMs = options.timeout === undefined ? null : checkSpan("timeout", options.timeout);
    return ask(flow, wait, "wait", name, { name, timeoutMs, accept: accepting(event, options) });
  };
  const adopt: Parent["adopt"] = (name, runs, failure) =>
    ask(flow, adopt, "child", name, {
      ...{ runs, failure, ids: new Set(), ends: new Map() },
      outcome: (call) => endsOf(call, (ids) => flow.cancel(ids)),
    });
  const version: Verbs["version"] = (change) =>
    ask(flow, version, "step", `version:${checkName("version", change)}`, {
      ...{ fn: () => true, within: null, retry: leased.begun!.retry, timeoutMs: null, tries: 0, older: false },
    });
  return {
    ...{ step, ...sleepsOf(flow), waitFor: wait, tx: txOf(leased, flow), adopt, version },
    token: async (options = {}) => {
      checkKeys("ctx.token", options, tokenKeys);
      const { schema } = options;
      if (schema !== undefined) checkSchema("token", schema);
      const secret = await step("token", () => randomBytes(16).toString("base64url"));
      const once = (limit = {}): Promise<unknown> => {
        checkKeys("a token's wait", limit, limitKeys);
        return wait(tokenName(secret), { schema, ...limit });
      };
      return { id: formatToken(leased.lease.id, secret), wait: once } as Token<never>;
    },
  };
}

function sleepsOf(flow: Workflow): Pick<Verbs, "sleep" | "sleepUntil"> {
  const sleep: Verbs["sleep"] = (...args: readonly [DurationText] | readonly [string, DurationText]) => {
    const [name, delay] = args.length === 1 ? ["sleep", args[0]] : args;
    const delayMs = checkDuration("sleep", delay);
    return ask(flow, sleep, "sleep", checkName("sleep", name), { until: (nowMs) => nowMs + delayMs });
  };
  const sleepUntil: Verbs["sleepUntil"] = (...args: readonly [Date] | readonly [string, Date]) => {
    const [name, instant] = args.length === 1 ? ["sleep", args[0]] : args;
    if (!types.isDate(instant) || Number.isNaN(instant.getTime()))
      throw new InvalidInput("ctx.sleepUntil takes a valid Date");
    return ask(flow, sleepUntil, "sleep", checkName("sleep", name), { until: () => instant.getTime() });
  };
  return { sleep, sleepUntil };
}

function txOf(leased: Leased, flow: Workflow): Verbs["tx"] {
  const tx: Verbs["tx"] = (db, fn, options = {}) => {
    checkKeys("ctx.tx", options, txKeys);
    const { name = "tx", retry } = options;
    if (typeof fn !== "function") throw new InvalidInput("ctx.tx has no function; write ctx.tx(pool, async (tx) => …)");
    const key = checkName("step", name);
    const act: StepCall["fn"] = (context, client) => fn(client as never, context);
    return ask(flow, tx, "step", key, {
      fn: leased.begun!.span?.step(key, act) ?? act,
      within: withinOf(db as TxSource<Tx>),
      retry: retry === undefined ? leased.begun!.retry : policy(retry),
      ...{ timeoutMs: null, tries: 0 },
    });
  };
  return tx;
}

/** The ends of all children, once they are there; or the first that is not good enough. */
function endsOf(
  { runs, ids, ends, failure }: ChildCall,
  cancel: (ids: readonly number[]) => void,
): { readonly value: Ends } | null {
  const failed = failure === "collect" ? undefined : [...ends.values()].find(({ status }) => status !== "completed");
  if (failed && failure === "cancel") cancel([...ids].filter((id) => !ends.has(id)));
  if (failed) throw failureOf(failed);
  return ends.size < runs.length ? null : { value: [...ids].map((id) => ends.get(id)!) };
}

/** How to run work in a transaction.
 *  @throws {InvalidInput} if that gives none */
function withinOf(db: TxSource<Tx>): Within {
  if (typeof db === "function") return db;
  if (isRecord(db) && "transaction" in db) return (work) => db.transaction().execute(work);
  if (isRecord(db) && "connect" in db) return (work) => onClient(db, work);
  throw new InvalidInput(
    "ctx.tx takes a pool of pg, a Kysely, or a function that runs work in a transaction, such as (work) => db.transaction(work)",
  );
}

/** What is used of a client of pg. */
interface PgClient {
  query(text: string): Promise<unknown>;
  release(broken?: boolean): void;
}

async function onClient(
  pool: Extract<TxSource<Tx>, { connect: unknown }>,
  work: (tx: Tx) => Promise<void>,
): Promise<void> {
  const client = (await pool.connect()) as Tx & PgClient;
  let broken = true;
  try {
    await client.query("begin");
    try {
      await work(client);
      await client.query("commit");
      broken = false;
    } catch (error) {
      await client.query("rollback");
      broken = false;
      throw error;
    }
  } finally {
    client.release(broken);
  }
}

/** Makes a call, and the promise of its answer. */
export function ask<T, K extends Call["kind"]>(
  flow: Workflow,
  verb: (...args: never[]) => unknown,
  kind: K,
  name: string,
  more: Omit<Extract<Call, { kind: K }>, "kind" | "key" | "place" | "since" | "untilMs" | "resolve" | "reject">,
): Promise<T> {
  const promise = new Promise<T>((resolve, reject) => {
    const call = {
      ...{ kind, key: flow.script.keyOf(kind, name), place: placeOf(verb), since: 0, untilMs: null },
      ...{ resolve, reject },
      ...more,
    };
    flow.ask(call as unknown as Call);
  });
  promise.catch(() => undefined); // the loser of a race may fail unheard
  return promise;
}

/** What a wait makes of mail. What its schema refuses, or throws over, is a bad signal, not a fault of the workflow. */
function accepting(event: EventSpec | string, { match, schema: own }: WaitOptions<unknown>): WaitCall["accept"] {
  const schema = typeof event === "string" ? own : event.schema;
  const id = eventId(event);
  const name = isTokenName(id) ? "token" : id;
  if (schema !== undefined) checkSchema(`event "${name}"`, schema);
  const refused = (why: unknown): Verdict => ({ to: "refused", why });
  const verdictOn = (checked: Checked<unknown>): Verdict => {
    if (checked.issues) return refused(new InvalidPayload(name, checked.issues, "event"));
    return !match || match(checked.value) ? { to: "taken", value: checked.value } : { to: "left" };
  };
  return (mail) => {
    let checked: ReturnType<typeof check>;
    try {
      const value = valueOf(mail);
      checked = schema ? check(schema, value) : { value };
    } catch (error) {
      return refused(error);
    }
    return checked instanceof Promise ? checked.then(verdictOn, refused) : verdictOn(checked);
  };
}
