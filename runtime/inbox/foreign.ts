/** Items of files that were written for other schedulers: `name`, `trigger_at`, `cron_expr`, `max_retries` and their like. */
import { InvalidInput, invalid } from "../../sdk/port/error.ts";
import type { DurationText } from "../../sdk/port/duration.ts";
import { checkKeys, checkText, checkWhole, present, shown, wrong } from "../../sdk/port/option.ts";
import { mostAttempts } from "../../sdk/define/retry.ts";
import { instant, type Item, type When } from "./item.ts";

const keys = [
  ...["id", "name", "payload", "trigger_at", "delay", "cron_expr", "is_repeat"],
  ...["max_retries", "retry_delay", "tags", "description"],
] as const;
const known = new Set<string>(keys);
const theirs = ["name", "trigger_at", "cron_expr", "is_repeat", "max_retries", "retry_delay"];

/** How such an item spells our options. */
const names = {
  job: "name",
  runAt: "trigger_at",
  cron: "cron_expr",
  "retry.attempts": "max_retries",
  "retry.delay": "retry_delay",
};

/** Whether the item has none of our names for the job, and at least one of theirs. */
export function isForeign(value: object): boolean {
  return !Object.hasOwn(value, "job") && theirs.some((key) => Object.hasOwn(value, key));
}

/** @throws {InvalidInput} naming the field */
export function foreign(value: object): Item {
  checkKeys("an item", value, known);
  const given: Readonly<Partial<Record<(typeof keys)[number], unknown>>> = filled(value);
  const { name, id, tags, max_retries: retries = 3, retry_delay: delay = "1m" } = given;
  if (typeof name !== "string")
    throw invalid("name", 'name is missing; it is the id of the job, such as "name": "hello"');
  const key = typeof id === "number" ? String(id) : id;
  return {
    job: name,
    payload: (value as { readonly payload?: unknown }).payload,
    id: key === undefined ? null : checkText("id", key, 256),
    ...whenOf(given),
    retry: {
      attempts: checkWhole("max_retries", retries, 0, mostAttempts - 1) + 1,
      backoff: "fixed",
      delay: span("retry_delay", delay),
      jitter: false,
    },
    tags: tags as Item["tags"], // checked where they are used
    names,
  };
}

/** What was given. Go writes the zero value of a field that was not. */
function filled(value: object): object {
  const isZero = (one: unknown): boolean =>
    one === "" || (typeof one === "string" && one.startsWith("0001-01-01T00:00:00"));
  return present(Object.fromEntries(Object.entries(value).filter(([, one]) => !isZero(one))));
}

function whenOf(given: Readonly<Partial<Record<(typeof keys)[number], unknown>>>): Pick<Item, "when" | "notes"> {
  const { cron_expr: cron, trigger_at: at, delay, is_repeat: repeats = false } = given;
  if (typeof repeats !== "boolean") throw wrong("is_repeat", repeats, "is neither true nor false");
  const later = delay === undefined ? "0ms" : span("delay", delay);
  const rest = { trigger_at: at !== undefined, delay: later !== "0ms" };
  const unused = (kind: string): string[] =>
    (["trigger_at", "delay"] as const)
      .filter((one) => rest[one] && one !== kind)
      .map((one) => `${one} does not count: the item has ${kind}`);
  if (cron !== undefined) {
    const when: When = { kind: repeats ? "cron" : "next", cron: cron as string }; // checked as a rule
    return { when, notes: unused("cron_expr") };
  }
  const notes = repeats ? ["is_repeat does not count: the item has no cron_expr"] : [];
  if (at !== undefined)
    return { when: { kind: "runAt", runAt: instant("trigger_at", at) }, notes: [...notes, ...unused("trigger_at")] };
  return { when: rest.delay ? { kind: "delay", delay: later } : { kind: "now" }, notes };
}

const unitMs: Readonly<Record<string, number>> = {
  ...{ ns: 1e-6, us: 1e-3, "\u00b5s": 1e-3, "\u03bcs": 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 },
};
const goText = /^(?:\d+(?:\.\d*)?(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h|d)){1,8}$/;

/** Nanoseconds, or a text such as `1h30m` or `1.5s`; up to the next millisecond. */
function span(what: string, value: unknown): DurationText {
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return whole(value * unitMs["ns"]!);
  if (typeof value !== "string" || value.length > 64 || !goText.test(value))
    throw new InvalidInput(`${what} "${shown(value)}" is neither nanoseconds nor a text like "30s" or "1h30m"`, {
      path: what,
    });
  let ms = 0;
  for (const [, count, unit] of value.matchAll(/(\d+(?:\.\d*)?)([a-z\u00b5\u03bc]+)/g))
    ms += Number(count) * unitMs[unit!]!;
  return whole(ms);
}

function whole(ms: number): DurationText {
  return `${Math.ceil(Math.round(ms * 1e6) / 1e6)}ms`;
}
