import type { Item } from "../../sdk/client/hub.ts";
import { humanMs } from "../../sdk/port/duration.ts";
import type { RunEvent } from "../../sdk/port/event.ts";
import { oneLine, type Colors, type Paint } from "./color.ts";

/** An event in a line: when, what, of what, and what else there is to say. */
export function eventLine(event: Item, paint: Colors): string {
  const about = [subject(event), ...details(event)].filter((part) => part !== "").map(oneLine);
  return `${paint.dim(event.at.toISOString())}  ${paintOf(event, paint)(event.type.padEnd(16))}  ${about.join("  ")}`;
}

function subject(event: Item): string {
  if (event.type === "gap") return event.lost === null ? "events are missing" : `${event.lost} events are missing`;
  if ("schedule" in event) return event.schedule;
  if ("run" in event) return `${event.run}  ${event.job}`;
  if ("node" in event) return event.node;
  return "queue" in event ? event.queue : `${event.count} runs`;
}

function details(event: Item): readonly string[] {
  if (event.type === "gap") return [event.node === undefined ? "" : `of ${event.node}, which ended without a word`];
  if ("tick" in event) {
    const tick = `tick ${event.tick.toISOString()}`;
    return "run" in event ? [tick, event.run] : [tick, event.reason];
  }
  return "attempt" in event ? ofRun(event) : [];
}

function ofRun(event: RunEvent): readonly string[] {
  const { attempt, reason, step, progress, durationMs, retryInMs, error } = event;
  return [
    attempt > 0 ? `attempt ${attempt}` : "",
    step ?? "",
    reason ?? "",
    progress ? `${Number(progress.value.toFixed(2))}${progress.detail ? ` ${progress.detail}` : ""}` : "",
    durationMs === undefined ? "" : `took ${humanMs(Math.round(durationMs))}`,
    retryInMs === undefined ? "" : `again in ${humanMs(retryInMs)}`,
    error ? `${error.name}: ${error.message}` : "",
  ];
}

function paintOf({ type }: Item, paint: Colors): Paint {
  if (type === "gap" || type === "run.failed") return paint.red;
  if (type === "run.completed") return paint.green;
  if (type === "run.retrying" || type === "run.waiting") return paint.yellow;
  if (type === "run.canceled") return paint.dim;
  return paint.cyan;
}
