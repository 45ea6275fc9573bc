/** The feed, as a client of tasker reads it. People and pages take the streams of events. */
import { z } from "zod";
import { checkDuration } from "../../../sdk/port/option.ts";
import { route, type Route } from "../route.ts";
import { feedPage, watched } from "../schema/fact.ts";
import { about, span } from "../schema/value.ts";

const group = "Events" as const;
const longestWaitMs = 60_000;
const longestWatchMs = 3_600_000;

export const feedRoutes: readonly Route[] = [
  route("watchFeed", "GET /api/v1/feed/watch", "read", {
    group,
    summary: "Have events written to the feed for a while",
    query: z.strictObject({
      for: about("From now on; at most 1h", span),
      since: about("`nowMs` of the last answer: names nodes that died from then on", z.number()).optional(),
    }),
    answers: { 200: watched },
    handler: async ({ query, server }) => {
      const forMs = Math.min(longestWatchMs, checkDuration("for", query.for));
      return { body: await (await server.open()).feed.watch(forMs, query.since) };
    },
  }),
  route("readFeed", "GET /api/v1/feed", "read", {
    group,
    summary: "Read what came to the feed after a place",
    query: z.strictObject({
      cursor: about("Of a page, or of the answer to the watch", z.string()),
      wait: about("Answers when there is something, or after this long; at most 1m", span).optional(),
    }),
    answers: { 200: feedPage },
    handler: async ({ query: { cursor, wait }, server, signal }) => {
      const waitMs = wait === undefined ? 0 : Math.min(longestWaitMs, checkDuration("wait", wait));
      return { body: await (await server.open()).feed.read(cursor, waitMs, signal) };
    },
  }),
];
