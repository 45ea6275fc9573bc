/** What decides where a run stands, for clients that say it themselves; and the feed, line by line. */
import { z } from "zod";
import { run } from "./run.ts";
import { about, count, instant, name, runId } from "./value.ts";

const node = name(
  "NodeFact",
  z.object({
    name: z.string(),
    version: z.string(),
    ...{ alive: z.boolean(), draining: z.boolean(), asleep: z.boolean() },
    seenAt: instant,
    leaseUntil: instant,
    slots: count,
    serves: about("It has the run's job, in the version that the run is pinned to, if it is", z.boolean()),
    holds: about("It has the run", z.boolean()),
    limit: about("How many runs of the queue it runs at once; null: as many as it has slots", count.nullable()),
    ...{ leased: count, ofQueue: count, crashed: count },
    runs: about("Some of the runs that it has", z.array(runId)),
  }),
);

export const facts = name(
  "Facts",
  z.object({
    at: about("The store's clock", instant),
    run,
    spent: about("How many of its attempts failed", count),
    attempts: about("How many its job lets fail; null where that is not known", count.nullable()),
    leaseUntil: instant.nullable(),
    pausedAt: about("Since when its queue has been paused", instant.nullable()),
    seen: about(
      "Which node had its job last",
      z.object({ node: z.string().nullable(), version: z.string().nullable(), at: instant }).nullable(),
    ),
    nodes: z.array(node),
    ahead: about("Due runs of its queue that go first; 10001: more than 10,000", count),
  }),
);

export const watched = name(
  "Watched",
  z.object({
    cursor: about("What comes from now on is after it", z.string()),
    nowMs: z.number(),
    dead: about("Nodes that died since `sinceMs`", z.array(z.string())),
  }),
);

export const feedPage = name(
  "FeedPage",
  z.object({
    lines: z.array(
      z.object({
        id: about("Its place: as texts, a later one is greater", z.string()),
        atMs: z.number(),
        text: about("An event, as JSON", z.string()),
      }),
    ),
    cursor: about("Goes on after the last of them", z.string()),
    lost: about("How many lines before these are gone; null: nobody knows", count.nullable()).optional(),
  }),
);
