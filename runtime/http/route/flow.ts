/** Workflows: what is sent to them, and their journals. */
import { z } from "zod";
import { valueDocument } from "../../../sdk/client/document.ts";
import { completeOf, signalOf } from "../../../sdk/client/signal.ts";
import { runsOf } from "../../../sdk/client/runs.ts";
import { encode } from "../../../sdk/port/codec.ts";
import { InvalidInput } from "../../../sdk/port/error.ts";
import type { Entry, Mail } from "../../../sdk/port/flow.ts";
import { formatId, parseId } from "../../../sdk/port/id.ts";
import { toData } from "../../../sdk/port/note.ts";
import { route, type Route } from "../route.ts";
import { act, acted, entry, fix } from "../schema/act.ts";
import { about, count, jobId, meta, name, runId, valueOf } from "../schema/value.ts";

const group = "Workflows" as const;
const id = z.object({ id: runId });
const sent = {
  payload: about("Natural JSON", z.unknown()).optional(),
  payloadMeta: meta.optional(),
  by: about("Who sends it, for those who look at the run", z.string().min(1).max(128)).optional(),
};
const one = { group, errors: ["RUN_NOT_FOUND", "WRONG_STATE"] } as const;
const journal = name("Journal", z.object({ items: z.array(entry) }));

const mail = z.strictObject({
  to: z.union([runId, z.strictObject({ job: jobId, key: z.string().min(1).max(1024) })]),
  name: about("That of the event, or of a token", z.string().min(1).max(128)),
  ...sent,
});

export const flowRoutes: readonly Route[] = [
  route("signalRun", "POST /api/v1/runs/{id}/signals/{event}", "operate", {
    ...one,
    summary: "Send an event to a workflow",
    about: "A `ctx.waitFor` of it gets the payload, now or later: it is kept until the run takes it or ends.",
    params: z.object({ id: runId, event: z.string() }),
    ...{ body: z.strictObject(sent), bare: true },
    answers: { 204: null },
    handler: async ({ params: { id, event }, body = {}, server }) => {
      await signalOf(server.open)(id, event, valueOf(body.payload, body.payloadMeta), { by: body.by });
      return { status: 204 };
    },
  }),
  route("signalRuns", "POST /api/v1/signals", "operate", {
    group,
    summary: "Send events to many workflows",
    body: z.array(mail).min(1).max(1000),
    answers: {
      200: name(
        "Sent",
        z.object({
          items: z.array(z.object({ id: runId.nullable(), done: z.enum(["sent", "ended", "missing"]) })),
        }),
      ),
    },
    handler: async ({ body, server }) => {
      const items = await (await server.open()).flow.send(body.map(mailFrom));
      return { body: { items: items.map(({ id, done }) => ({ id: id === null ? null : formatId(id), done })) } };
    },
  }),
  route("completeToken", "POST /api/v1/complete", "operate", {
    ...one,
    summary: "Answer a token that `ctx.token()` made",
    about: "A token takes one answer; later ones change nothing.",
    body: z.strictObject({ token: z.string(), ...sent }),
    answers: { 204: null },
    handler: async ({ body: { token, payload, payloadMeta, by }, server }) => {
      await completeOf(server.open)(token, valueOf(payload, payloadMeta), { by });
      return { status: 204 };
    },
  }),
  route("getSteps", "GET /api/v1/runs/{id}/steps", "read", {
    group,
    summary: "Read the journal of a run",
    params: id,
    answers: { 200: journal },
    handler: async ({ params, server }) => {
      const entries = await (await server.open()).flow.read(parseId(params.id));
      return { body: { items: entries.map(entryDocument) } };
    },
  }),
  route("putSteps", "PUT /api/v1/runs/{id}/steps", "admin", {
    group,
    summary: "Replace the journal of a workflow that waits, and let it go on",
    params: id,
    body: z.strictObject({
      items: z.array(entry).max(100_000),
      last: about("The place of its last entry, 0 for none", count),
      pin: about(
        "From now on only nodes with this version of the code take the run; null: all do",
        z.string().max(128).nullable(),
      ).optional(),
    }),
    answers: { 200: act },
    handler: async ({ params, body: { items, last, pin }, server }) => {
      const { id, ...rest } = await (
        await server.open()
      ).flow.mend(parseId(params.id), items.map(entryFrom), last, pin);
      return { body: { id: formatId(id), ...rest } };
    },
  }),
  route("fixRun", "POST /api/v1/runs/{id}/fix", "operate", {
    ...one,
    summary: "Let a workflow that waits go on, with its journal mended, or as it is",
    ...{ params: id, body: fix, bare: true },
    answers: { 200: acted },
    handler: async ({ params: { id }, body = {}, server }) => {
      await runsOf(server.open).fix(id, body);
      return { body: { id, done: "done" } };
    },
  }),
  route("getHistory", "GET /api/v1/runs/{id}/history", "read", {
    group,
    summary: "Read a run with its journal, as `replay` of tasker/testing takes it",
    params: id,
    answers: {
      200: name("History", z.object({ run: z.looseObject({ id: runId }), entries: z.array(z.looseObject({})) })),
    },
    errors: ["RUN_NOT_FOUND"],
    handler: async ({ params, server }) => ({ body: await runsOf(server.open).history(params.id) }),
  }),
];

function mailFrom({ to, name, payload, payloadMeta, by }: z.output<typeof mail>): Mail {
  return {
    to: typeof to === "string" ? parseId(to) : to,
    name,
    value: encode(valueOf(payload, payloadMeta), "payload"),
    data: by === undefined ? null : toData({ by }),
  };
}

function entryDocument({ n, kind, key, atMs, value, data, runs }: Entry): object {
  return {
    ...{ n, kind, key, at: new Date(atMs) },
    ...(value && valueDocument("value", value)),
    data: data === null ? null : (JSON.parse(data) as unknown),
    runs: runs && runs.map(formatId),
  };
}

export function entryFrom({ n, kind, key, at, value, valueMeta, data, runs }: z.output<typeof entry>): Entry {
  const isEmpty = value === undefined && valueMeta === undefined;
  return {
    ...{ n, kind, key, atMs: new Date(at).getTime(), data: data && dataOf(data) },
    value: isEmpty ? null : encode(valueOf(value, valueMeta, "value"), "value"),
    runs: runs && runs.map(parseId),
  };
}

/** @throws {InvalidInput} for text that a store can't keep */
function dataOf(data: object): string {
  const text = JSON.stringify(data);
  if (!/(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i.test(text)) return text;
  throw new InvalidInput("the data of an entry has NUL or a lone surrogate; remove it", { path: "items.data" });
}
