/** Jobs, and triggering them. */
import { z } from "zod";
import { triggerAll, triggerOf, type NamedItem } from "../../../sdk/client/trigger.ts";
import type { TriggerOptions } from "../../../sdk/client/option.ts";
import type { RunHandle } from "../../../sdk/client/handle.ts";
import { runDocument } from "../../../sdk/client/document.ts";
import { InvalidInput, JobNotFound, invalid } from "../../../sdk/port/error.ts";
import { near } from "../../../sdk/port/near.ts";
import { isFinal } from "../../../sdk/port/status.ts";
import type { JobRecord } from "../../../sdk/port/target.ts";
import { invalidOf, problemOf } from "../error.ts";
import { route, v1, type Answer, type Call, type Route } from "../route.ts";
import { failed } from "../schema/problem.ts";
import { added } from "../schema/run.ts";
import { batchItem, trigger } from "../schema/trigger.ts";
import { about, count, instant, jobId, name, priority, span, valueOf } from "../schema/value.ts";
import { awaited } from "./run.ts";

const group = "Jobs" as const;
const schema = z.record(z.string(), z.unknown());
const named = z.object({ job: jobId });

const job = name(
  "Job",
  z.object({
    id: jobId,
    description: z.string().nullable(),
    queue: z.string(),
    priority,
    schema: about(
      "JSON Schema of the payload's natural JSON; null where the job's schema can't tell",
      schema.nullable(),
    ),
    tags: z.array(z.string()),
    ttlMs: count.nullable(),
    hooks: z.array(z.enum(["success", "failure", "cancel"])),
    attempts: about("How many attempts may fail; null where a function decides", count.nullable()),
    seenAt: instant,
  }),
);

function jobDocument({ schema, ...same }: JobRecord): object {
  return { ...same, schema: schema === null ? null : (JSON.parse(schema) as unknown) };
}

const batchAnswer = name("BatchAnswer", z.object({ items: z.array(z.union([added, failed])) }));
const key = { "Idempotency-Key": "One key makes one run of the job; as `options.idempotencyKey`" };
/** Items of one request; more are sent in several. */
const mostItems = 100_000;

export const jobRoutes: readonly Route[] = [
  route("listJobs", "GET /api/v1/jobs", "read", {
    group,
    summary: "List the jobs that nodes have published",
    answers: { 200: name("Jobs", z.object({ items: z.array(job) })) },
    handler: async ({ server }) => ({
      body: { items: (await (await server.open()).find.jobs()).map(jobDocument) },
    }),
  }),
  route("getJob", "GET /api/v1/jobs/{job}", "read", {
    group,
    summary: "Get a job",
    params: named,
    answers: { 200: job },
    errors: ["JOB_NOT_FOUND"],
    handler: async ({ params, server }) => {
      const jobs = await (await server.open()).find.jobs();
      const found = jobs.find(({ id }) => id === params.job);
      if (found) return { body: jobDocument(found) };
      const known = jobs.map(({ id }) => id);
      throw new JobNotFound(params.job, known, near(params.job, known));
    },
  }),
  route("triggerJob", "POST /api/v1/jobs/{job}/trigger", "operate", {
    group,
    summary: "Trigger a run",
    about: "The run is durable when this answers. The payload is checked against the JSON Schema of the job.",
    params: named,
    query: z.strictObject({
      wait: about("Answers when the run has ended, with it, or with 202 after this long; at most 1m", span).optional(),
    }),
    ...{ body: trigger, bare: true, headers: key },
    answers: { 200: added, 201: added, 202: added },
    errors: ["JOB_NOT_FOUND", "INVALID_PAYLOAD", "NOT_STORABLE", "KEY_CONFLICT"],
    handler: triggered,
  }),
  route("triggerBatch", "POST /api/v1/batch", "operate", {
    group,
    summary: "Trigger many runs, of one job or several",
    about:
      "A list, or JSON lines. Each item stands for itself: it is answered with an id or with an error, in order, and a bad one stops no other.",
    body: z.array(z.unknown()).max(mostItems),
    lines: batchItem,
    answers: { 207: batchAnswer },
    handler: async (call) => ({ status: 207, body: { items: await batch(call) } }),
  }),
];

async function triggered(
  call: Call<z.output<typeof named>, { readonly wait?: string | undefined }, z.output<typeof trigger> | undefined>,
): Promise<Answer> {
  const { server, params, body = {}, query } = call;
  const payload = valueOf(body.payload, body.payloadMeta);
  const options = keyed(body.options as TriggerOptions | undefined, call.header("idempotency-key"));
  const handle = await triggerOf(server.open)(params.job, payload, options);
  const answer = {
    status: handle.created ? 201 : 200,
    headers: { Location: `${call.base}${v1}/runs/${handle.id}` },
  };
  if (query.wait === undefined) return { ...answer, body: addedOf(handle) };
  const run = await awaited(await server.open(), handle.id, query.wait, call.signal);
  if (!isFinal(run.status)) return { ...answer, status: 202, body: addedOf(handle) };
  return { ...answer, body: { ...addedOf(handle), run: runDocument(run) } };
}

function addedOf({ id, created, conflict }: RunHandle): object {
  return { id, created, conflict };
}

/** With the key of the header, which may be quoted, as a structured field is. */
function keyed(options: TriggerOptions | undefined, header: string | null): TriggerOptions | undefined {
  if (header === null) return options;
  const idempotencyKey = /^"(?:[^"\\]|\\["\\])*"$/.test(header) ? header.slice(1, -1).replace(/\\(.)/g, "$1") : header;
  if (options?.idempotencyKey === undefined || options.idempotencyKey === idempotencyKey)
    return { ...options, idempotencyKey };
  throw invalid("Idempotency-Key", "the header Idempotency-Key and options.idempotencyKey differ; send one of them");
}

const chunk = 1000;

async function batch({ body, lines, server }: Call<unknown, unknown, readonly unknown[]>): Promise<readonly object[]> {
  const to = await server.open();
  const answers: object[] = [];
  let part: (NamedItem | Error)[] = [];
  const send = async (): Promise<void> => {
    const good = part.filter((item): item is NamedItem => !(item instanceof Error));
    const handles = await triggerAll(to, good);
    let next = 0;
    for (const item of part) answers.push(itemOf(item instanceof Error ? item : handles[next++]!));
    part = [];
  };
  for await (const given of lines ?? body) {
    if (answers.length + part.length >= mostItems)
      throw new InvalidInput(
        `a batch has at most ${mostItems} items; those before were added, so send the rest in another`,
      );
    part.push(itemFrom(given));
    if (part.length === chunk) await send();
  }
  await send();
  return answers;
}

function itemFrom(given: unknown): NamedItem | Error {
  if (given instanceof Error) return given;
  const { data, error } = batchItem.safeParse(given);
  if (error) return invalidOf("the item", error.issues);
  try {
    return { job: data.job, payload: valueOf(data.payload, data.payloadMeta), options: data.options as TriggerOptions };
  } catch (thrown) {
    return thrown as Error;
  }
}

function itemOf(answer: RunHandle | Error): object {
  return answer instanceof Error ? { error: problemOf(answer) } : addedOf(answer);
}
