/** Webhooks as they are configured, checked. */
import { createHash } from "node:crypto";
import type { BlockList } from "node:net";
import type { Webhook } from "../../sdk/client/webhook.ts";
import { invalid } from "../../sdk/port/error.ts";
import { hint } from "../../sdk/port/near.ts";
import { checkKeys, checkText, isList, isRecord, shown, wrong } from "../../sdk/port/option.ts";
import type { Event, Filter } from "../../sdk/port/event.ts";
import { listOf } from "./address.ts";
import { keyOf } from "./sign.ts";

export interface Hook {
  readonly id: string;
  readonly url: URL;
  readonly filter: Filter;
  /** The first is the newest. */
  readonly keys: readonly Buffer[];
  /** Addresses that are not on the internet, and may be used. */
  readonly allowed: BlockList;
}

const types = [
  ...(["run.scheduled", "run.started", "run.progress", "run.completed", "run.retrying", "run.failed"] as const),
  ...(["run.canceled", "run.waiting", "run.resumed", "step.completed", "schedule.ticked", "schedule.skipped"] as const),
  ...(["node.started", "node.stopping", "node.stopped"] as const),
] as const satisfies readonly Event["type"][];

const keys = new Set<keyof Webhook>(["id", "url", "events", "filter", "secret", "allow"]);
const filterKeys = new Set(["jobs", "queues", "tags"]);

/** @throws {InvalidInput} naming the field; no secret is in its message */
export function hooksOf(given: unknown): readonly Hook[] {
  if (!isList(given)) throw invalid("webhooks", "webhooks are not a list; write webhooks: [{ url, events, secret }]");
  const hooks = (given as readonly Webhook[]).map((one, i) => hookOf(one, `webhooks.${i}`));
  const twice = hooks.find(({ id }, i) => hooks.findIndex((other) => other.id === id) !== i);
  if (twice) throw invalid("webhooks", `two webhooks have the id "${twice.id}"; give one of them another id`);
  return hooks;
}

function hookOf(given: Webhook, path: string): Hook {
  if (!isRecord(given)) throw invalid(path, `${path} is not an object; write { url, events, secret }`); // whose text may be a secret
  checkKeys(path, given, keys);
  const { events, filter = {}, secret, allow = [] } = given;
  const allowed = isList(allow) && allow.every((one) => typeof one === "string") ? listOf(allow) : null;
  if (!allowed)
    throw invalid(
      `${path}.allow`,
      `${path}.allow is not a list of addresses and networks; write allow: ["10.0.0.0/8"]`,
    );
  const url = urlOf(given.url, path, allow.length > 0);
  const id = given.id === undefined ? `${url.host}-${shortHash(url.href)}` : given.id;
  return {
    id: checkText(`${path}.id`, id, 100),
    url,
    filter: { types: typesOf(events, `${path}.events`), ...filterOf(filter, `${path}.filter`) },
    keys: keysOf(secret, path),
    allowed,
  };
}

/** Tells URLs of one host apart, without what may be secret in them. */
function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 6);
}

function urlOf(given: unknown, path: string, isAllowing: boolean): URL {
  const url = typeof given === "string" && URL.canParse(given) ? new URL(given) : null;
  if (!url || !/^https?:$/.test(url.protocol))
    throw invalid(`${path}.url`, `${path}.url is not an address like https://example.com/hook`);
  if (url.username || url.password)
    throw invalid(
      `${path}.url`,
      `${path}.url has a password in it; deliveries are signed, so the receiver can check them by ${path}.secret`,
    );
  if (url.protocol === "http:" && !isAllowing)
    throw invalid(
      `${path}.url`,
      `${path}.url is http, which anybody on the way can read; use https, or name the addresses of your own network in ${path}.allow`,
    );
  url.hash = "";
  return url;
}

function typesOf(given: unknown, path: string): readonly Event["type"][] {
  const known: readonly string[] = types;
  const named = (one: unknown): readonly string[] => {
    const found = known.filter(
      (type) => type === one || (typeof one === "string" && one.endsWith(".*") && type.startsWith(one.slice(0, -1))),
    );
    if (found.length === 0)
      throw invalid(
        path,
        `${path}: "${shown(one)}" is no event${hint(shown(one), [...known, "run.*"]) || `; they are ${known.join(", ")}`}`,
      );
    return found;
  };
  if (!isList(given) || (given as readonly unknown[]).length === 0)
    throw invalid(path, `${path} are not a list of events; write events: ["run.failed"]`);
  return [...new Set((given as readonly unknown[]).flatMap(named))] as readonly Event["type"][];
}

function filterOf(given: NonNullable<Webhook["filter"]>, path: string): Omit<Filter, "types"> {
  checkKeys(path, given, filterKeys);
  for (const [key, list] of Object.entries(given) as [string, unknown][])
    if (list !== undefined && !(isList(list) && (list as readonly unknown[]).every((one) => typeof one === "string")))
      throw wrong(`${path}.${key}`, list, `is not a list of texts; write ${key}: ["…"]`);
  return given;
}

function keysOf(given: unknown, path: string): readonly Buffer[] {
  const all = (isList(given) ? given : [given]) as readonly unknown[];
  const found = all.map(keyOf);
  if (found.length > 0 && found.every((key) => key !== null)) return found;
  throw invalid(
    `${path}.secret`,
    `${path}.secret is not "whsec_" and 24 to 64 random bytes in base64, or a list of such; make one with: node -e 'console.log("whsec_" + crypto.randomBytes(32).toString("base64"))'`,
  );
}
