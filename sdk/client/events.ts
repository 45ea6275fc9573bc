/** Watching what happens on all nodes. */
import { eventTypes, type Event, type Filter, type Gap } from "../port/event.ts";
import type { FeedView } from "../port/feed.ts";
import { parseId } from "../port/id.ts";
import { checkKeys, checkOneOf, isList, present, wrong } from "../port/option.ts";
import { type Status, statuses } from "../port/status.ts";
import type { Open } from "./config.ts";
import { chosenOf, type FeedEvent, hubOf, itemsOf, type Item } from "./hub.ts";

/** Which events. Fields are combined with AND, their values with OR, except `tags`, which must all be there. Events of nodes have no job, queue,
 *  run or tags, and so on: a filter that asks for what an event has not leaves it out. */
export interface EventQuery {
  readonly types?: readonly Event["type"][] | undefined;
  /** Those after which a run has one of these statuses. */
  readonly statuses?: readonly Status[] | undefined;
  /** Ids of jobs. */
  readonly jobs?: readonly string[] | undefined;
  readonly queues?: readonly string[] | undefined;
  /** `run_…` */
  readonly ids?: readonly string[] | undefined;
  /** All of them must be there. */
  readonly tags?: readonly string[] | undefined;
  /** The `id` of an event: begins with what came after it. Events are kept for five minutes. */
  readonly since?: string | undefined;
  /** Ends the iteration when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

/** Events as they come, several at a time. */
export type Batches = AsyncGenerator<readonly Item[], void, undefined>;

/** `runs.events`, bound to a given target, in batches as they come. The first comes once it watches, and may be empty.
 *  @throws {InvalidInput} naming the field of the query that is wrong */
export function batchesOf(open: Open, query: EventQuery = {}): Batches {
  return read(open, filterOf(query), query);
}

/** `runs.events`, bound to a given target. */
export function eventsOf(open: Open, query: EventQuery = {}): AsyncGenerator<FeedEvent | Gap, void, undefined> {
  return each(batchesOf(open, query), query.signal);
}

async function* each(batches: Batches, signal: AbortSignal | undefined): AsyncGenerator<Item, void, undefined> {
  for await (const items of batches)
    for (const item of items) {
      if (signal?.aborted) return;
      yield item;
    }
}

async function* read(open: Open, filter: Filter, { since, signal }: EventQuery): Batches {
  if (signal?.aborted) return;
  const { feed } = await open();
  const hub = hubOf(feed);
  const leave = await hub.enter();
  try {
    const behind = since === undefined ? null : { filter, at: since, signal };
    if (behind) while ((yield* catchUp(feed, behind)) && !signal?.aborted); // before it sits: it may take long
    if (signal?.aborted) return;
    const { from, ring } = hub.sit(filter);
    if (!behind) yield [];
    const close = (): void => ring.close();
    signal?.addEventListener("abort", close, { once: true });
    try {
      if (behind) while (behind.at < from && (yield* catchUp(feed, behind)));
      yield* rest(ring.read(), behind?.at);
    } finally {
      signal?.removeEventListener("abort", close);
      ring.close();
    }
  } finally {
    leave();
  }
}

interface Behind {
  readonly filter: Filter;
  at: string;
  readonly signal: AbortSignal | undefined;
}

/** Reads a page for one reader alone. Answers whether there may be more. */
async function* catchUp(feed: FeedView, behind: Behind): AsyncGenerator<readonly Item[], boolean, undefined> {
  const page = await feed.read(behind.at, 0, behind.signal);
  yield chosenOf(behind.filter, itemsOf(page));
  behind.at = page.cursor;
  return page.lines.length > 0;
}

/** What the hub brings, without what was read before. */
async function* rest(
  reading: ReturnType<ReturnType<ReturnType<typeof hubOf>["sit"]>["ring"]["read"]>,
  after: string | undefined,
): Batches {
  for await (const { batches, lost } of reading) {
    if (lost > 0) yield [{ type: "gap", at: batches[0]![0]!.at, lost }];
    for (const items of batches) {
      const first = items[0]!.id;
      const isKnown = after !== undefined && first !== undefined && first <= after; // else it is shared as it is
      yield isKnown ? items.filter(({ id }) => id === undefined || id > after) : items;
    }
  }
}

const queryKeys = new Set(["types", "statuses", "jobs", "queues", "ids", "tags", "since", "signal"]);

/** @throws {InvalidInput} for an unknown field, type or status, which would silently match nothing */
function filterOf(query: EventQuery): Filter {
  checkKeys("a query of events", query, queryKeys);
  const { types, statuses: wanted, jobs, queues, ids, tags, since, signal } = query;
  if (since !== undefined && typeof since !== "string") throw wrong("since", since, "is not the id of an event");
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw wrong("signal", signal, "is not an AbortSignal");
  return present({
    types: listOf("types", types)?.map((type) => checkOneOf("types", type, eventTypes)),
    statuses: listOf("statuses", wanted)?.map((status) => checkOneOf("statuses", status, statuses)),
    jobs: listOf("jobs", jobs),
    queues: listOf("queues", queues),
    runs: listOf("ids", ids)?.map((id) => (parseId(id), id)),
    tags: listOf("tags", tags),
  });
}

function listOf<T extends string>(what: string, list: readonly T[] | undefined): readonly T[] | undefined {
  if (list === undefined) return undefined;
  if (!isList(list) || !list.every((one) => typeof one === "string"))
    throw wrong(what, list, `is not a list of texts; write ${what}: ["…"]`);
  return list;
}
