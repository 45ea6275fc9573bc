import { eventsOf, type EventQuery } from "../../sdk/client/events.ts";
import { eventTypes } from "../../sdk/port/event.ts";
import { present } from "../../sdk/port/option.ts";
import { statuses } from "../../sdk/port/status.ts";
import type { Command } from "../command.ts";
import { withStore } from "../database.ts";
import { numbers, oneOf, whole } from "../filter.ts";
import type { Given } from "../given.ts";
import { eventLine } from "../view/event.ts";

/** `tasker events`: what happens on all nodes, as it happens. */
export const events: Command = {
  usage: "events",
  about: "Follow what happens on all nodes, until Ctrl-C; with --json a line of JSON each",
  flags: [
    { flag: "--type <list>", about: "Of these types, such as run.failed" },
    { flag: "--status <list>", about: `After which a run is any of ${statuses.join(", ")}` },
    { flag: "--job <list>", about: "Of these jobs" },
    { flag: "--queue <list>", about: "In these queues" },
    { flag: "--run <list>", about: "Of these runs" },
    { flag: "--tag <tag>", about: "With this tag; given twice: with both" },
    { flag: "--since <id>", about: "Begin after this event, by its id; events are kept for five minutes" },
    { flag: "--limit <n>", about: "End after so many events" },
  ],
  examples: [
    "tasker events",
    "tasker events --status failed --job remind",
    "tasker events --type run.completed,run.failed --json",
  ],
  run: async ({ given, out, settings }) => {
    const query = queryOf(given);
    const most = whole("--limit", given.text("limit"), 1, 999_999_999) ?? Infinity;
    const leaving = new AbortController();
    const leave = (): void => leaving.abort();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, leave);
    try {
      await withStore(await settings(), async (store) => {
        const following = eventsOf(() => Promise.resolve(store), { ...query, signal: leaving.signal });
        let count = 0;
        for await (const event of following) {
          await out.line(event, () => eventLine(event, out.colors));
          if (++count >= most) return;
        }
      });
    } finally {
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, leave);
    }
  },
};

function queryOf(given: Given): EventQuery {
  const some = <T>(values: readonly T[]): readonly T[] | null => (values.length > 0 ? values : null);
  const ids = given.list("run");
  numbers(ids); // refuses what is no id
  return present({
    types: some(given.list("type").map((text) => oneOf("--type", text, eventTypes))),
    statuses: some(given.list("status").map((text) => oneOf("--status", text, statuses))),
    jobs: some(given.list("job")),
    queues: some(given.list("queue")),
    ids: some(ids),
    tags: some(given.each("tag")),
    since: given.text("since"),
  });
}
