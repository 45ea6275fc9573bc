/** Looking at runs. */
import { z } from "zod";
import { runDocument } from "../../../sdk/client/document.ts";
import { filterOf, runsOf, type RunQuery } from "../../../sdk/client/runs.ts";
import { checkDuration } from "../../../sdk/port/option.ts";
import { RunNotFound } from "../../../sdk/port/error.ts";
import { formatId, parseId } from "../../../sdk/port/id.ts";
import type { Paging, RunRecord, Target } from "../../../sdk/port/target.ts";
import { route, type Answer, type Route } from "../route.ts";
import { attempts, logs, run, runs } from "../schema/run.ts";
import { filterFields } from "../schema/act.ts";
import { about, paging, runId, span } from "../schema/value.ts";
import { facts } from "../schema/fact.ts";
import { why } from "../schema/why.ts";

const group = "Runs" as const;
const listed = {
  ...filterFields,
  holds: about("Only the run that holds the key of the one job now", z.boolean()).optional(),
  ...paging,
};
const id = z.object({ id: runId });

type Listed = RunQuery & Paging & { readonly holds?: boolean | undefined };

/** Longest wait of a request. */
const longestWaitMs = 60_000;

/** A run once it has ended, or as it is when the wait is over, or the client has gone away.
 *  @throws {RunNotFound} */
export async function awaited(
  to: Target,
  id: string,
  wait: string | undefined,
  signal: AbortSignal,
): Promise<RunRecord> {
  const number = parseId(id);
  const endMs = performance.now() + (wait === undefined ? 0 : Math.min(longestWaitMs, checkDuration("wait", wait)));
  for (;;) {
    const leftMs = endMs - performance.now();
    const ended = leftMs > 0 && !signal.aborted ? await to.find.awaited(number, leftMs, signal) : null;
    const record = ended ?? (await to.find.get(number));
    if (!record) throw new RunNotFound(id);
    if (ended || leftMs <= 0 || signal.aborted) return record;
    if (endMs > performance.now()) await new Promise((later) => setTimeout(later, 20)); // a store that does not wait is asked again
  }
}

export const runRoutes: readonly Route[] = [
  route("listRuns", "GET /api/v1/runs", "read", {
    group,
    summary: "List runs, newest first",
    about: "Fields are combined with AND, lists with OR, but for tags. `payload[user.id]=42` looks into payloads.",
    query: z.strictObject(listed),
    answers: { 200: runs },
    handler: async ({ query, server }) => list(await server.open(), query),
  }),
  route("searchRuns", "POST /api/v1/runs/search", "read", {
    group,
    summary: "List runs by a filter that is too long for an address",
    body: z.strictObject(listed),
    answers: { 200: runs },
    handler: async ({ body, server }) => list(await server.open(), body),
  }),
  route("getRun", "GET /api/v1/runs/{id}", "read", {
    group,
    summary: "Get a run, at once or when it has ended",
    params: id,
    query: z.strictObject({
      wait: about("Answers when the run has ended, or as it is after this long; at most 1m", span).optional(),
    }),
    answers: { 200: run },
    errors: ["RUN_NOT_FOUND"],
    handler: async ({ params, query: { wait }, server, signal }) => ({
      body: runDocument(await awaited(await server.open(), params.id, wait, signal)),
    }),
  }),
  route("whyRun", "GET /api/v1/runs/{id}/why", "read", {
    group,
    summary: "Tell why a run has not started, has not gone on, or ended as it did",
    params: id,
    answers: { 200: why },
    errors: ["RUN_NOT_FOUND"],
    handler: async ({ params, server }) => ({ body: await runsOf(server.open).why(params.id) }),
  }),
  route("getFacts", "GET /api/v1/runs/{id}/facts", "read", {
    group,
    summary: "Read what decides where a run stands",
    about: "What `why` is worked out from, for clients that do that themselves.",
    params: id,
    answers: { 200: facts },
    errors: ["RUN_NOT_FOUND"],
    handler: async ({ params, server }) => {
      const found = await (await server.open()).find.facts(parseId(params.id));
      if (!found) throw new RunNotFound(params.id);
      const nodes = found.nodes.map((node) => ({ ...node, runs: node.runs.map(formatId) }));
      return { body: { ...found, run: runDocument(found.run), nodes } };
    },
  }),
  route("listAttempts", "GET /api/v1/runs/{id}/attempts", "read", {
    group,
    summary: "List the attempts of a run that did not complete it",
    params: id,
    query: z.strictObject(paging),
    answers: { 200: attempts },
    handler: async ({ params, query, server }) => ({ body: await runsOf(server.open).attempts(params.id, query) }),
  }),
  route("listLogs", "GET /api/v1/runs/{id}/logs", "read", {
    group,
    summary: "List what a run's handler logged",
    params: id,
    query: z.strictObject(paging),
    answers: { 200: logs },
    handler: async ({ params, query, server }) => ({ body: await runsOf(server.open).logs(params.id, query) }),
  }),
];

async function list(to: Target, { cursor, limit, holds, ...filter }: Listed): Promise<Answer> {
  const found = await to.find.list({ ...filterOf(filter), ...(holds && { holds }) }, { cursor, limit });
  return { body: { ...found, items: found.items.map(runDocument) } };
}
