import type { RunHandle } from "tasker";
import { remind } from "./remind.ts";

const hourMs = 3_600_000;

/** Reminds of an event an hour before it starts; at once, if that has passed. Moving the event moves the reminder. */
export async function remindOf(event: { id: string; name: string; at: Date }, to: string): Promise<RunHandle> {
  return remind.trigger(
    { to, event: event.name, at: event.at },
    {
      runAt: new Date(event.at.getTime() - hourMs),
      idempotencyKey: { key: `${event.id}:${to}`, onConflict: "replace" },
      tags: [`event:${event.id}`],
    },
  );
}
