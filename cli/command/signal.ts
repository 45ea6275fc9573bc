import { hostname, userInfo } from "node:os";
import { completeOf, signalOf } from "../../sdk/client/signal.ts";
import type { RunRef } from "../../sdk/client/runs.ts";
import { formatId, parseId, parseToken } from "../../sdk/port/id.ts";
import { checkName } from "../../sdk/port/option.ts";
import type { Command } from "../command.ts";
import { parsed } from "../config.ts";
import { withStore } from "../database.ts";
import type { Flag } from "../given.ts";
import { payloadOf } from "../payload.ts";
import { oneLine } from "../view/color.ts";

const flags: readonly Flag[] = [{ flag: "--file <path>", about: "Read the payload from a file" }];

/** `tasker signal`: sends an event to a run. */
export const signal: Command = {
  usage: "signal <run> <event> [payload]",
  about: "Send an event to a run, by its id or as job@key; the payload is JSON, or - to read it from stdin",
  flags,
  examples: [
    `tasker signal run_2n9c approved '{"by":"Ada"}'`,
    "tasker signal order@order-7 paid",
    "tasker signal run_2n9c approved --file answer.json",
  ],
  run: async ({ args: [ref, event, text], given, out, settings }) => {
    const run = refOf(ref!);
    const name = parsed("event", () => checkName("event", event));
    const payload = payloadOf(text, given);
    await withStore(await settings(), (store) => signalOf(async () => store)(run, name, payload, { by: sender() }));
    const next = typeof run === "string" ? `; look at it with: tasker run ${run}` : "";
    out.answer({ run: ref, event: name, sent: true }, () => `${out.colors.cyan(oneLine(ref!))}  sent ${name}${next}`);
  },
};

/** `tasker complete`: answers a token. */
export const complete: Command = {
  usage: "complete <token> [payload]",
  about: "Answer a token that a run has made; the payload is JSON, or - to read it from stdin",
  flags,
  examples: [`tasker complete tok_2n9c.x3s… '{"approved":true}'`, "tasker complete tok_2n9c.x3s… --file answer.json"],
  run: async ({ args: [token, text], given, out, settings }) => {
    const run = formatId(parsed("token", () => parseToken(token!)).run);
    const payload = payloadOf(text, given);
    await withStore(await settings(), (store) => completeOf(async () => store)(token!, payload, { by: sender() }));
    out.answer({ run, sent: true }, () => `${out.colors.cyan(run)}  answered; look at it with: tasker run ${run}`);
  },
};

function refOf(text: string): RunRef {
  const [, job, key] = /^([^@]+)@(.+)$/s.exec(text) ?? [];
  return job !== undefined && key !== undefined ? { job, key } : formatId(parsed("run", () => parseId(text)));
}

/** Whom the run's timeline names as the sender. */
function sender(): string {
  try {
    return `${userInfo().username}@${hostname()}`.slice(0, 128);
  } catch {
    return hostname(); // a container's user may have no name
  }
}
