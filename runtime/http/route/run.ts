/** Looking at runs. */
import { z } from "zod";
import { runDocument } from "../../../sdk/client/document.ts";
import { filterOf, runsOf } from "../../../sdk/client/runs.ts";
import { checkDuration } from "../../../sdk/port/option.ts";
import { RunNotFound } from "../../../sdk/port/error.ts";
import { parseId } from "../../../sdk/port/id.ts";
import type { RunRecord, Target } from "../../../sdk/port/target.ts";
import { route, v1, type Route } from "../route.ts";
import { attempts, logs, run, runs } from "../schema/run.ts";
import { about, jobId, paging, reason, runId, span, status, when } from "../schema/value.ts";

const group = "Runs";
export const id = z.object({ id: runId });

/** Which runs: fields are combined with AND, lists with OR, but for tags, which must all be there. */
export const query = {
  ids: z.array(runId).optional(),
  status: z.array(status).optional(),
  reason: z.array(reason).optional(),
  job: z.array(jobId).optional(),
  queue: z.array(z.string()).optional(),
  tags: about("All of them must be there", z.array(z.string())).optional(),
  key: about("The idempotency key", z.string()).optional(),
  createdAfter: when.optional(),
  createdBefore: when.optional(),
  finishedAfter: when.optional(),
  finishedBefore: when.optional(),
  payload: about(
    "Fields of the payload by dotted path, compared as text: `payload[user.id]=42`",
    z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  ).optional(),
  error: about("A part of the error's name or message", z.string()).optional(),
  hooks: about("With the runs that execute hooks", z.boolean()).optional(),
};

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
  route({
    ...{ method: "GET", path: `${v1}/runs`, role: "read", group, summary: "List runs, newest first" },
    query: z.strictObject({ ...query, ...paging }),
    answers: { 200: runs },
    handler: async ({ query: { cursor, limit, ...filter }, server }) =>
      list(await server.open(), filter, { cursor, limit }),
  }),
  route({
    ...{
      method: "GET",
      path: `${v1}/runs/{id}`,
      role: "read",
      group,
      summary: "Get a run, at once or when it has ended",
    },
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
  route({
    ...{ method: "GET", path: `${v1}/runs/{id}/attempts`, role: "read", group },
    summary: "List the attempts of a run that did not complete it",
    params: id,
    query: z.strictObject(paging),
    answers: { 200: attempts },
    handler: async ({ params, query, server }) => ({ body: await runsOf(server.open).attempts(params.id, query) }),
  }),
  route({
    ...{
      method: "GET",
      path: `${v1}/runs/{id}/logs`,
      role: "read",
      group,
      summary: "List what a run's handler logged",
    },
    params: id,
    query: z.strictObject(paging),
    answers: { 200: logs },
    handler: async ({ params, query, server }) => ({ body: await runsOf(server.open).logs(params.id, query) }),
  }),
];

async function list(to: Target, filter: object, page: object): Promise<{ readonly body: unknown }> {
  const { items, ...rest } = await to.find.list(filterOf(filter), page);
  return { body: { ...rest, items: items.map(runDocument) } };
}
