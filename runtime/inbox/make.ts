/** From the text of an item to what stores take, or to what is wrong with it. */
import { createHash } from "node:crypto";
import { newRun, type Base } from "../../sdk/client/option.ts";
import { encodeNatural, encodePublished, published } from "../../sdk/client/trigger.ts";
import { ruleOf, ticking, timingOf } from "../../sdk/define/rule.ts";
import { checkKey, newSchedule } from "../../sdk/define/schedule.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import type { Wire } from "../../sdk/port/codec.ts";
import { InvalidInput, InvalidPayload, JobNotFound, NotStorable, TaskerError, invalid } from "../../sdk/port/error.ts";
import { isRecord, present, shown } from "../../sdk/port/option.ts";
import type { NewRun, NewSchedule, Target } from "../../sdk/port/target.ts";
import { saidOf } from "../../sdk/port/text.ts";
import { foreign, isForeign } from "./foreign.ts";
import type { Item } from "./item.ts";
import { own } from "./own.ts";
import { breakOf, linesTo } from "./place.ts";

/** Where items go, and by what they are checked. */
export interface Making {
  readonly to: Target;
  /** The zone of cron texts that name none. */
  readonly timezone: string;
  /** A job that this process has. Others are checked by what nodes published. */
  readonly spec: (id: string) => JobSpec | undefined;
}

/** What is wrong with an item, in one sentence. `path`: the field, dotted; "" for the whole. */
export interface Problem {
  readonly line: number;
  readonly path: string;
  readonly message: string;
}

/** An item that can be loaded: a run or a schedule. */
export interface Made {
  readonly line: number;
  readonly item: Item;
  readonly run: NewRun | null;
  readonly schedule: NewSchedule | null;
  /** Bytes of its payload. */
  readonly bytes: number;
}

/** Checks an item and makes it. Of a store that is away it throws. */
export async function make(making: Making, line: number, text: string): Promise<Made | readonly Problem[]> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const { lines, why } = breakOf(text, error);
    return [{ line: line + lines, path: "", message: `this is not JSON: ${why}` }];
  }
  try {
    return await madeOf(making, line, itemOf(value));
  } catch (error) {
    return complaints(error).map(({ path, message }) => ({
      line: line + linesTo(text, path),
      path: path.join("."),
      message,
    }));
  }
}

function itemOf(value: unknown): Item {
  if (!isRecord(value))
    throw new InvalidInput(`"${shown(value)}" is not an item; write { "job": "hello", "payload": {} }`);
  return isForeign(value) ? foreign(value) : own(value);
}

async function madeOf(making: Making, line: number, item: Item): Promise<Made> {
  try {
    const { base, encode } = await jobOf(making, item.job);
    const input = await encode(item.payload).catch(unthrown);
    const isSchedule = item.when.kind === "cron" || item.when.kind === "every";
    const schedule = isSchedule ? scheduleOf(item, input, making.timezone) : null;
    const run = isSchedule ? null : newRun(base, input, runOptions(item, making.timezone));
    return { line, item, run, schedule, bytes: input.json.length };
  } catch (error) {
    throw respelled(error, item);
  }
}

async function jobOf(
  { to, spec }: Making,
  id: string,
): Promise<{ readonly base: Base; encode(payload: unknown): Promise<Wire> }> {
  const own = spec(id);
  if (own) return { base: own, encode: (payload) => encodeNatural(own, payload) };
  const record = await published(to, id);
  return { base: record, encode: (payload) => encodePublished(record, payload) };
}

/** What a schema's own code throws is about the payload. */
function unthrown(error: unknown): never {
  throw error instanceof TaskerError ? error : invalid("payload", `the schema of the job threw: ${saidOf(error)}`);
}

function runOptions({ when, id, retry, tags, priority }: Item, timezone: string) {
  const shared = { ...present({ retry, tags, priority }), ...(id !== null && { idempotencyKey: id }) };
  if (when.kind === "runAt") return { ...shared, runAt: when.runAt };
  if (when.kind === "delay") return { ...shared, delay: when.delay };
  return when.kind === "next" ? { ...shared, runAt: nextTick(when, timezone) } : shared;
}

function nextTick(
  { cron, timezone }: { readonly cron: string; readonly timezone?: string | undefined },
  zone: string,
): Date {
  const tick = ticking(ruleOf({ cron, timezone }, zone)).next(Date.now());
  if (tick === null) throw invalid("cron", `cron "${cron}" does not tick again`);
  return new Date(tick);
}

function scheduleOf({ job, id, when, retry, tags, priority }: Item, input: Wire, zone: string): NewSchedule {
  const { kind: _, ...rule } = when as Extract<Item["when"], { readonly kind: "cron" | "every" }>;
  const options = { ...present({ ...rule, retry, tags, priority }) } as Parameters<typeof newSchedule>[1];
  const made = { ...newSchedule({ job, key: "" }, options, zone), input };
  return { ...made, key: id === null ? contentKey(made) : checkKey(id) };
}

/** The key of a schedule that has no id: what says the same is the same schedule, in whatever file. */
function contentKey({ job, rule, input }: NewSchedule): string {
  const text = JSON.stringify([job, timingOf(rule), input.json, input.meta]);
  return `file:${createHash("sha256").update(text).digest("hex").slice(0, 16)}`;
}

/** The error with the field's name as the item spells it. */
function respelled(error: unknown, { names }: Item): unknown {
  if (!(error instanceof InvalidInput || error instanceof JobNotFound)) return error;
  const named = error instanceof JobNotFound ? "job" : error.path;
  const path = spelt[named ?? ""] ?? named ?? "";
  return new InvalidInput(error.message, { path: names[path] ?? path, cause: error });
}
const spelt: Readonly<Record<string, string>> = { tag: "tags", key: "id", idempotencyKey: "id" };

function complaints(error: unknown): readonly { readonly path: readonly string[]; readonly message: string }[] {
  const parts = (path: string): readonly string[] => (path === "" ? [] : path.split("."));
  if (error instanceof InvalidPayload)
    return error.issues.map(({ path, message }) => ({
      path: ["payload", ...parts(path)],
      message: `${["payload", ...parts(path)].join(".")}: ${message}`,
    }));
  if (error instanceof InvalidInput) return [{ path: parts(error.path ?? ""), message: error.message }];
  if (error instanceof NotStorable) return [{ path: parts(error.path), message: error.message }];
  throw error;
}
