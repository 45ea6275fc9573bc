import type { DurationText } from "../../sdk/port/duration.ts";
import { RunFailed, WaitTimeout } from "../../sdk/port/error.ts";
import { parseId } from "../../sdk/port/id.ts";
import type { TriggerOptions } from "../../sdk/client/option.ts";
import { triggerOf } from "../../sdk/client/trigger.ts";
import { natural } from "../../sdk/port/codec.ts";
import type { RunHandle } from "../../sdk/client/handle.ts";
import type { Command } from "../command.ts";
import type { Given } from "../given.ts";
import { withStore } from "../database.ts";
import { document, exit } from "../error.ts";
import { priorityOf } from "../filter.ts";
import type { Output } from "../view/output.ts";
import { atOf, payloadOf } from "../payload.ts";
import type { Find } from "../../sdk/port/target.ts";

/** `tasker trigger`: adds one run of a job that some process has published. */
export const trigger: Command = {
  usage: "trigger <job> [payload]",
  about: "Add a run of a job; the payload is JSON, or - to read it from stdin",
  flags: [
    { flag: "--file <path>", about: "Read the payload from a file" },
    { flag: "--delay <duration>", about: 'Start this much later, like "5m"' },
    { flag: "--at <time>", about: "Start at this ISO time; one in the past means now" },
    { flag: "--key <key>", about: "Idempotency key: while it is taken, no second run is made" },
    { flag: "--priority <n>", about: "0 to 9, higher first (default: the job's)" },
    { flag: "--queue <name>", about: "Queue (default: the job's)" },
    { flag: "--tag <tag>", about: "Add a tag; may be given more than once" },
    { flag: "--ttl <duration>", about: "Fail as expired if it has not started this long after it was due" },
    { flag: "--wait [duration]", about: "Wait for the end and print the result; for ever, unless a time is given" },
  ],
  examples: [
    `tasker trigger hello '{"name":"Ada"}' --wait`,
    "tasker trigger remind --file payload.json --delay 5m --key order-7",
    "echo '{}' | tasker trigger hello -",
  ],
  run: async ({ args: [job, text], given, out, settings }) => {
    const payload = payloadOf(text, given);
    const options = optionsOf(given);
    return withStore(
      await settings(),
      async (store) => {
        const run = await triggerOf(async () => store)(job!, payload, options);
        return given.on("wait") ? await ended(run, store.find, given, out) : added(run, out);
      },
      true,
    );
  },
};

function added(run: RunHandle, out: Output): void {
  const { id, created, conflict } = run;
  const also = conflict ? ", with another payload" : "";
  out.answer(
    { id, created, conflict },
    () =>
      `${out.colors.cyan(id)}  ${created ? "added" : `was there already${also}`}; look at it with: tasker run ${id}`,
  );
}

async function ended(run: RunHandle, find: Find, given: Given, out: Output): Promise<number> {
  const timeout = given.text("wait");
  const { id, created, conflict } = run;
  out.note(`${out.colors.cyan(id)}  ${created ? "added" : "was there already"}; waiting for its end`);
  const failure = await failureOf(run, timeout);
  const record = await find.get(parseId(id));
  if (failure) {
    if (!out.json) throw failure;
    const { status, reason } = record ?? {};
    out.answer({ id, created, conflict, status, reason, result: null, ...document(failure) }, () => failure.message);
    return exit.failed;
  }
  const result = record?.result ? natural(record.result) : undefined;
  out.answer({ id, created, conflict, status: record?.status, reason: record?.reason, result: result ?? null }, () =>
    result === undefined ? "completed without a result" : JSON.stringify(result, null, 2),
  );
  return exit.ok;
}

/** Waits; why there is no result to print, or null. */
async function failureOf(run: RunHandle, timeout: string | null): Promise<RunFailed | WaitTimeout | null> {
  try {
    await run.result(timeout ? { timeout: timeout as DurationText } : {}); // checked by result
    return null;
  } catch (error) {
    if (error instanceof RunFailed || error instanceof WaitTimeout) return error;
    throw error;
  }
}

function optionsOf(given: Given): TriggerOptions {
  const span = (name: string): DurationText | undefined => (given.text(name) ?? undefined) as DurationText | undefined; // checked by trigger
  const tags = given.each("tag");
  return {
    delay: span("delay"),
    runAt: atOf(given),
    ttl: span("ttl"),
    idempotencyKey: given.text("key") ?? undefined,
    queue: given.text("queue") ?? undefined,
    priority: priorityOf(given),
    tags: tags.length > 0 ? tags : undefined,
  };
}
