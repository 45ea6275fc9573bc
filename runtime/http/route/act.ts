/** Acts on runs: on one, and on many. */
import { z } from "zod";
import { act, add, chunk, matching, taken, type Acted } from "../../../sdk/client/act.ts";
import { replayAll, type ReplayOptions } from "../../../sdk/client/replay.ts";
import { mend, type Fix } from "../../../sdk/client/mend.ts";
import { filterOf, runsOf, type Change, type PurgeQuery } from "../../../sdk/client/runs.ts";
import { encode } from "../../../sdk/port/codec.ts";
import { InvalidInput, WrongState } from "../../../sdk/port/error.ts";
import { formatId, parseId } from "../../../sdk/port/id.ts";
import { finals } from "../../../sdk/port/status.ts";
import type { NewRun, Target } from "../../../sdk/port/target.ts";
import { invalidOf, problemOf } from "../error.ts";
import { route, v1, type Answer, type Call, type Route } from "../route.ts";
import { acted, acts, change, fix, many, newRun, replay } from "../schema/act.ts";
import { entryFrom } from "./flow.ts";
import { failed } from "../schema/problem.ts";
import { added } from "../schema/run.ts";
import { about, count, jobId, name, runId, valueOf, when } from "../schema/value.ts";

const group = "Acts" as const;
const id = z.object({ id: runId });
const one = { group, params: id, errors: ["RUN_NOT_FOUND", "WRONG_STATE"] } as const;
const done = { body: { done: "done" } } as const;

/** What is done with runs, by the last part of its address. */
const verbs = {
  cancel: "Cancel runs: waiting ones will not start, running ones hear it",
  resume: "Make canceled runs pending again",
  retry: "Make failed runs pending again, with all their attempts",
  replay: "Make new runs from the input of old ones",
  fix: "Let workflows that wait go on, with their journals mended, or as they are",
} as const;

export const actRoutes: readonly Route[] = [
  route("cancelRun", "POST /api/v1/runs/{id}/cancel", "operate", {
    ...one,
    summary: "Cancel a run",
    about: "`asked`: it runs, and the node that runs it was told.",
    answers: { 200: acted },
    handler: async ({ params: { id }, server }) => ({ body: { id, done: await runsOf(server.open).cancel(id) } }),
  }),
  ...(["resume", "retry"] as const).map((verb) =>
    route(`${verb}Run`, `POST /api/v1/runs/{id}/${verb}`, "operate", {
      ...one,
      summary: verb === "resume" ? "Make a canceled run pending again" : "Make a failed run pending again, now",
      answers: { 200: acted },
      handler: async ({ params: { id }, server }) => {
        await runsOf(server.open)[verb](id);
        return { body: { id, ...done.body } };
      },
    }),
  ),
  route("replayRun", "POST /api/v1/runs/{id}/replay", "operate", {
    ...one,
    summary: "Make a new run, now, from the input of an old one",
    ...{ body: replay, bare: true },
    answers: { 201: added },
    errors: [...one.errors, "INVALID_PAYLOAD"],
    handler: async ({ params, body = {}, server, base }) => {
      const { id, created, conflict } = await runsOf(server.open).replay(params.id, replayFrom(body));
      return { status: 201, body: { id, created, conflict }, headers: { Location: `${base}${v1}/runs/${id}` } };
    },
  }),
  route("runNow", "POST /api/v1/runs/{id}/run-now", "operate", {
    ...one,
    summary: "Start a pending run without waiting",
    answers: { 200: acted },
    handler: async ({ params: { id }, server }) => {
      await runsOf(server.open).runNow(id);
      return { body: { id, ...done.body } };
    },
  }),
  route("changeRun", "PATCH /api/v1/runs/{id}", "operate", {
    ...one,
    summary: "Change a run that has not started",
    body: change,
    answers: { 200: acted },
    handler: async ({ params: { id }, body: { payload, payloadMeta, ...same }, server }) => {
      const value =
        payload === undefined && payloadMeta === undefined ? {} : { payload: valueOf(payload, payloadMeta) };
      await runsOf(server.open).edit(id, { ...same, ...value } as Change);
      return { body: { id, ...done.body } };
    },
  }),
  route("deleteRun", "DELETE /api/v1/runs/{id}", "admin", {
    ...one,
    summary: "Delete a run that is over, with all that belongs to it",
    answers: { 204: null },
    handler: async ({ params: { id }, server }) => {
      const runs = runsOf(server.open);
      if ((await runs.purge(id)) > 0) return { status: 204 };
      const { status } = await runs.need(id);
      throw new WrongState(id, status, "deleted", "only a run that is over can be: cancel it first");
    },
  }),
  route("deleteAttempt", "DELETE /api/v1/runs/{id}/attempts/{token}", "admin", {
    group,
    summary: "Delete the record of an attempt",
    params: z.object({ id: runId, token: z.string().regex(/^\d{1,9}$/, "it is a number, the token of the attempt") }),
    answers: { 200: name("Deleted", z.object({ deleted: z.boolean() })) },
    errors: ["RUN_NOT_FOUND"],
    handler: async ({ params: { id, token }, server }) => ({
      body: { deleted: await runsOf(server.open).forget(id, Number(token)) },
    }),
  }),
  ...Object.entries(verbs).map(([verb, summary]) => bulk(verb as keyof typeof verbs, summary)),
  route("purgeRuns", "POST /api/v1/runs/purge", "admin", {
    group,
    summary: "Delete runs that are over",
    body: z.strictObject({
      ids: z.array(runId).min(1).max(10_000).optional(),
      status: z.array(z.enum(finals)).min(1).optional(),
      job: z.array(jobId).min(1).optional(),
      before: about("Those that ended before", when).optional(),
      limit: about("At most so many; all by default", z.int().min(1).max(10_000)).optional(),
      preview: many.preview,
    }),
    answers: { 200: name("Purged", z.object({ matched: count.optional(), purged: count })) },
    handler: async ({ body: { preview, limit, ...query }, server }) =>
      purge(await server.open(), query, { preview, limit }),
  }),
  route("addRuns", "POST /api/v1/runs", "operate", {
    group: "Runs",
    summary: "Add runs as a store takes them",
    about:
      "For clients that know the definitions of their jobs. Nothing is filled in, and payloads are checked where the run starts; anybody else triggers.",
    body: z.array(z.unknown()).min(1).max(1000),
    lines: newRun,
    answers: { 207: name("AddedRuns", z.object({ items: z.array(z.union([added, failed])) })) },
    handler: addAll,
  }),
];

function bulk(verb: keyof typeof verbs, summary: string): Route {
  return route(`${verb}Runs`, `POST /api/v1/runs/${verb}`, "operate", {
    group,
    summary,
    about:
      "By ids, or all that match a filter. With `Accept: application/x-ndjson` the answer comes as the work goes on: first `matched`, then each act.",
    body: z.strictObject({
      ...many,
      ...(verb === "fix" && { fix: fix.optional() }),
      ...(verb === "replay" && replay.shape),
    }),
    answers: { 200: acts },
    handler: async (call) => actOnMany(verb, call as unknown as Call<undefined, undefined, Many>),
  });
}

interface Many {
  readonly ids?: readonly string[];
  readonly filter?: object;
  readonly preview?: boolean;
  readonly fix?: Fix;
  readonly from?: string;
  readonly payload?: unknown;
  readonly payloadMeta?: unknown;
}

async function actOnMany(
  verb: keyof typeof verbs,
  { body, header, server }: Call<undefined, undefined, Many>,
): Promise<Answer | Response> {
  const to = await server.open();
  const ids = await chosen(to, verb, body);
  if (body.preview) return { body: { matched: ids.length, items: [] } };
  const parts = acting(to, verb, ids, body);
  if (header("accept")?.includes("application/x-ndjson")) return streamed({ matched: ids.length }, parts);
  const items: object[] = [];
  for await (const part of parts) items.push(...part);
  return { body: { matched: ids.length, items } };
}

async function chosen(to: Target, verb: keyof typeof verbs, { ids, filter }: Many): Promise<readonly number[]> {
  const given = filter && Object.keys(filter).length > 0 ? filterOf(filter) : undefined;
  if ((ids === undefined) === (given === undefined))
    throw new InvalidInput(`nothing says which runs; give either ids, or a filter with at least one field`, {
      path: "filter",
    });
  if (ids) return [...new Set(ids.map(parseId))];
  const status = given!.status ?? (given!.ids ? undefined : taken[verb]);
  return matching(to, { ...given, ...(status && { status }) });
}

/** Acts part by part; what became of each run, as it is told. */
async function* acting(
  to: Target,
  verb: keyof typeof verbs,
  ids: readonly number[],
  body: Many,
): AsyncGenerator<readonly object[], void, undefined> {
  const does = (part: readonly number[]): Promise<readonly Acted[]> => {
    if (verb === "fix") return mend(to, part, body.fix ?? {});
    return verb === "replay" ? replayAll(to, part, replayFrom(body)) : act(to, verb, part);
  };
  for (let from = 0; from < ids.length; from += chunk)
    yield (await does(ids.slice(from, from + chunk))).map(actDocument);
}

function replayFrom({ from, payload, payloadMeta }: Pick<Many, "from" | "payload" | "payloadMeta">): ReplayOptions {
  const isGiven = payload !== undefined || payloadMeta !== undefined;
  return { ...(from !== undefined && { from }), ...(isGiven && { payload: valueOf(payload, payloadMeta) }) };
}

function actDocument({ id, made, ...same }: Acted): object {
  return { id: formatId(id), ...same, ...(made !== undefined && { made: formatId(made) }) };
}

/** JSON lines, written as they come. An error, once the answer has begun, is its last line. */
function streamed(first: object, parts: AsyncGenerator<readonly object[], void, undefined>): Response {
  const line = (item: object): Uint8Array => utf8.encode(`${JSON.stringify(item)}\n`);
  const body = new ReadableStream<Uint8Array>({
    start: (to) => to.enqueue(line(first)),
    async pull(to) {
      try {
        const { value, done } = await parts.next();
        if (done) return to.close();
        for (const item of value) to.enqueue(line(item));
      } catch (error) {
        to.enqueue(line({ error: problemOf(error) }));
        to.close();
      }
    },
  });
  return new Response(body, { headers: { "Content-Type": "application/x-ndjson", "Cache-Control": "no-store" } });
}
const utf8 = new TextEncoder();

async function purge(
  to: Target,
  { before, ...query }: PurgeQuery,
  { preview, limit }: { readonly preview?: boolean | undefined; readonly limit?: number | undefined },
): Promise<Answer> {
  const which = { ...query, ...(before && { before }) };
  if (Object.keys(which).length === 0)
    throw new InvalidInput("nothing says which runs; give ids, status, job or before", { path: "status" });
  if (preview) {
    const ids = await matching(to, filterOf({ status: finals, hooks: true, ...query, finishedBefore: before }));
    return { body: { matched: ids.length, purged: 0 } };
  }
  if (limit === undefined) return { body: { purged: await runsOf(async () => to).purge(which) } };
  const { ids, ...same } = which;
  return { body: { purged: await to.desk.purge({ ...same, ...(ids && { ids: ids.map(parseId) }) } as object, limit) } };
}

async function addAll({ body, lines, server }: Call<undefined, undefined, readonly unknown[]>): Promise<Answer> {
  const to = await server.open();
  const given: unknown[] = [];
  for await (const item of lines ?? body)
    if (given.push(item) > 1000)
      throw new InvalidInput("at most 1000 runs are added at once; send the rest in another request");
  const runs = given.map(runFrom);
  const answers = await add(
    to,
    runs.filter((run): run is NewRun => !(run instanceof Error)),
  );
  let next = 0;
  const items = runs.map((run) => {
    const answer = run instanceof Error ? run : answers[next++]!;
    return answer instanceof Error ? { error: problemOf(answer) } : { ...answer, id: formatId(answer.id) };
  });
  return { status: 207, body: { items } };
}

function runFrom(given: unknown): NewRun | Error {
  if (given instanceof Error) return given;
  const { data, error } = newRun.safeParse(given);
  if (error) return invalidOf("the run", error.issues);
  try {
    const { payload, payloadMeta, replayOf, journal, ...same } = data;
    const input = encode(valueOf(payload, payloadMeta), "payload");
    const of = replayOf === null ? null : parseId(replayOf);
    return { ...same, input, replayOf: of, ...(journal && { journal: journal.map(entryFrom) }) };
  } catch (thrown) {
    return thrown as Error;
  }
}
