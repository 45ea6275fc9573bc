/** Watching what happens on all nodes. */
import { z } from "zod";
import { route, type Route } from "../route.ts";
import { socket } from "../socket.ts";
import { sse } from "../sse.ts";
import { eventFields } from "../stream.ts";
import { about } from "../schema/value.ts";

const group = "Events" as const;
const ticket = about("Of `POST /api/v1/tickets`, where no header can be sent", z.string().max(100)).optional();

export const eventRoutes: readonly Route[] = [
  route("watchEvents", "GET /api/v1/events", "read", {
    group,
    summary: "Follow events of all nodes, as server-sent events",
    about:
      "Each event is JSON in `data`, with its id. After a break `Last-Event-ID` (or `since`) goes on after it: without a hole, or a `gap` says how many events are missing. A comment comes every 20 s where nothing happens. A reader that takes nothing for 30 s is cut off; one that is 1000 events behind loses the oldest, which a `gap` says.",
    query: z.strictObject({ ...eventFields, ticket }),
    headers: { "Last-Event-ID": "The id of the last event that was read; wins over `since`" },
    answers: { 200: "text/event-stream" },
    errors: ["TOO_MANY_STREAMS", "NOT_SUPPORTED"],
    isStream: true,
    handler: async (call) => {
      const { ticket: _, since, ...query } = call.query;
      return sse(call, { ...query, since: call.header("last-event-id") || since });
    },
  }),
  route("openSocket", "GET /ws", "read", {
    group,
    summary: "Follow events over a WebSocket",
    about:
      'Send `{"type":"subscribe","subscription":"a"}` with the fields of `watchEvents`, up to 20 of them; events come as `{"type":"events","subscription":"a","events":[…]}`. `unsubscribe` ends one, `stats` answers figures, `ping` answers `pong`. What is wrong is answered as `{"type":"error","code":…}`. The server pings every 20 s.',
    query: z.strictObject({ ticket }),
    answers: { 101: null },
    errors: ["TOO_MANY_STREAMS", "UPGRADE_REQUIRED", "NOT_SUPPORTED"],
    isStream: true,
    handler: socket,
  }),
];
