/** Schedules: looking, making, and acts on them. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { scheduleDocument } from "../../../sdk/client/document.ts";
import { schedulesOf, toSchedule, type Schedule, type Upsert } from "../../../sdk/client/schedules.ts";
import { upsertAll } from "../../../sdk/client/upsert.ts";
import { authoredRetry } from "../../../sdk/define/retry.ts";
import { authored } from "../../../sdk/define/rule.ts";
import { newSchedule } from "../../../sdk/define/schedule.ts";
import { ScheduleNotFound } from "../../../sdk/port/error.ts";
import { parseScheduleId } from "../../../sdk/port/id.ts";
import { present, type Priority } from "../../../sdk/port/option.ts";
import type { NewSchedule, ScheduleRecord, Target } from "../../../sdk/port/target.ts";
import { invalidOf, problemOf, Refused } from "../error.ts";
import type { Header } from "../guard.ts";
import { route, v1, type Answer, type Call, type Route, type Server } from "../route.ts";
import { failed } from "../schema/problem.ts";
import { added } from "../schema/run.ts";
import { rule, schedule, settings, stored, tick, upsert } from "../schema/schedule.ts";
import { about, count, instant, jobId, name, pageOf, paging, runId, valueOf, when } from "../schema/value.ts";

const group = "Schedules" as const;
const named = z.object({
  id: about("`job@key`, or the job alone where the key is empty", z.string().min(1).max(300)),
});
const ifMatch = { "If-Match": "The ETag that was read: 412 if the schedule is another one by now" };
const one = { group, params: named, errors: ["SCHEDULE_NOT_FOUND"] } as const;
const ticks = name("Ticks", z.object({ items: z.array(tick) }));
const span = {
  from: about("Now by default", when).optional(),
  count: about("5 by default", z.int().min(1).max(1000)).optional(),
};

export const scheduleRoutes: readonly Route[] = [
  route("listSchedules", "GET /api/v1/schedules", "read", {
    group,
    summary: "List schedules, by job, then key",
    query: z.strictObject({
      job: z.array(jobId).optional(),
      key: about("Only together with one job", z.string()).optional(),
      paused: z.boolean().optional(),
      declared: z.boolean().optional(),
      ...paging,
    }),
    answers: { 200: pageOf("Schedules", schedule, { at: about("The store's clock", instant) }) },
    handler: async ({ query: { cursor, limit, job, key, paused, declared }, server }) => {
      const filter = {
        ...(job && { job }),
        ...(key !== undefined && { key }),
        ...(paused !== undefined && { paused }),
        ...(declared !== undefined && { declared }),
      };
      const { items, ...rest } = await (await server.open()).schedules.list(filter, { cursor, limit });
      return { body: { ...rest, items: items.map((record) => scheduleDocument(toSchedule(record))) } };
    },
  }),
  route("putSchedules", "POST /api/v1/schedules", "operate", {
    group,
    summary: "Make or replace many schedules",
    about:
      "Each item is answered with the schedule or with an error, in order. An item with a `rule` is as lists show it; any other as authors write it.",
    body: z.array(z.unknown()).min(1).max(1000),
    lines: z.union([upsert, stored]),
    answers: { 207: name("PutSchedules", z.object({ items: z.array(z.union([schedule, failed])) })) },
    handler: putAll,
  }),
  route("previewRule", "POST /api/v1/schedules/preview", "read", {
    group,
    summary: "Preview the ticks of a rule that need not be stored",
    body: z.strictObject({ rule, ...span }),
    answers: { 200: ticks },
    handler: async ({ body: { rule, ...span }, server }) => ({
      body: { items: await schedulesOf(server.open).preview(rule as Upsert, span) },
    }),
  }),
  route("getSchedule", "GET /api/v1/schedules/{id}", "read", {
    ...one,
    summary: "Get a schedule",
    answers: { 200: schedule },
    handler: async ({ params, server }) => answer(await needed(server, params.id)),
  }),
  route("putSchedule", "PUT /api/v1/schedules/{id}", "operate", {
    ...one,
    summary: "Make a schedule, or replace it as a whole",
    about: "What is left out gets its default. A paused one stays paused. `If-None-Match: *` makes a new one alone.",
    headers: { ...ifMatch, "If-None-Match": "`*`: 412 if there is one" },
    body: settings,
    answers: { 200: schedule, 201: schedule },
    errors: ["JOB_NOT_FOUND", "INVALID_PAYLOAD", "CHANGED"],
    handler: put,
  }),
  route("deleteSchedule", "DELETE /api/v1/schedules/{id}", "operate", {
    ...one,
    summary: "Delete a schedule; its runs stay",
    headers: ifMatch,
    answers: { 204: null },
    errors: ["SCHEDULE_NOT_FOUND", "CHANGED"],
    handler: async ({ params, header, server }) => {
      const isGone = await alone(params.id, async () => {
        await checkMatch(header, () => schedulesOf(server.open).get(params.id));
        return schedulesOf(server.open).remove(params.id);
      });
      if (!isGone) throw new ScheduleNotFound(params.id);
      return { status: 204 };
    },
  }),
  ...(["pause", "resume"] as const).map((verb) =>
    route(`${verb}Schedule`, `POST /api/v1/schedules/{id}/${verb}`, "operate", {
      ...one,
      summary:
        verb === "pause" ? "Let it make no runs until it is resumed" : "Let it go on with its next tick from now",
      answers: { 200: schedule },
      handler: async ({ params, server }) => answer(await schedulesOf(server.open)[verb](params.id)),
    }),
  ),
  route("triggerSchedule", "POST /api/v1/schedules/{id}/trigger", "operate", {
    ...one,
    summary: "Add a run of it now, beside its ticks",
    answers: { 201: added },
    handler: async ({ params, server, base }) => {
      const { id, created, conflict } = await schedulesOf(server.open).trigger(params.id);
      return { status: 201, body: { id, created, conflict }, headers: { Location: `${base}${v1}/runs/${id}` } };
    },
  }),
  route("backfillSchedule", "POST /api/v1/schedules/{id}/backfill", "operate", {
    ...one,
    summary: "Add a run for each tick of a range that has none yet",
    body: z.strictObject({ from: when, to: about("Now by default", when).optional() }),
    answers: { 200: name("Backfilled", z.object({ ticks: count, runs: z.array(runId) })) },
    handler: async ({ params, body, server }) => ({ body: await schedulesOf(server.open).backfill(params.id, body) }),
  }),
  route("previewSchedule", "GET /api/v1/schedules/{id}/preview", "read", {
    ...one,
    summary: "Preview its coming ticks",
    query: z.strictObject(span),
    answers: { 200: ticks },
    handler: async ({ params, query, server }) => ({
      body: { items: await schedulesOf(server.open).preview(params.id, query) },
    }),
  }),
];

function answer(made: Schedule, status = 200): Answer {
  return { status, body: scheduleDocument(made), headers: { ETag: etagOf(made) } };
}

/** Tells one definition from another: what people change, and no tick does. */
function etagOf({ rule, payload, queue, priority, tags, declared, paused, createdAt }: Schedule): string {
  const text = JSON.stringify([
    rule,
    scheduleDocument({ payload } as Schedule),
    queue,
    priority,
    tags,
    declared,
    paused,
    createdAt,
  ]);
  return `"${createHash("sha256").update(text).digest("base64url").slice(0, 16)}"`;
}

async function needed(server: Server, id: string): Promise<Schedule> {
  const found = await schedulesOf(server.open).get(id);
  if (found) return found;
  throw new ScheduleNotFound(id);
}

/** Changes of one schedule that are made under a condition, one after the other. */
const under = new Map<string, Promise<unknown>>();

async function alone<T>(id: string, work: () => Promise<T>): Promise<T> {
  const before = under.get(id) ?? Promise.resolve();
  const mine = before.catch(() => undefined).then(work);
  under.set(id, mine);
  return mine.finally(() => under.get(id) === mine && under.delete(id));
}

/** @throws {Refused} if the schedule is not the one that the request is about */
async function checkMatch(header: Header, read: () => Promise<Schedule | null>): Promise<void> {
  const [match, none] = [header("if-match"), header("if-none-match")];
  if (match === null && none === null) return;
  const now = await read();
  const tags = match?.split(",").map((tag) => tag.trim());
  const isMet = tags === undefined || (now !== null && (tags.includes("*") || tags.includes(etagOf(now))));
  if (isMet && !(none?.trim() === "*" && now)) return;
  const why = now ? "is not the one that was read: somebody has changed it" : "does not exist any more";
  throw new Refused(
    "CHANGED",
    none
      ? "the schedule exists already; get it, and send its ETag as If-Match"
      : `the schedule ${why}; get it, and change that`,
    now ? { ETag: etagOf(now) } : {},
  );
}

async function put({
  params,
  body,
  header,
  server,
}: Call<z.output<typeof named>, undefined, z.output<typeof settings>>): Promise<Answer> {
  const schedules = schedulesOf(server.open);
  return alone(params.id, async () => {
    await checkMatch(header, () => schedules.get(params.id));
    const made = await schedules.upsert(upsertOf({ ...parseScheduleId(params.id), ...body }));
    return answer(made, made.createdAt.getTime() === made.updatedAt.getTime() ? 201 : 200);
  });
}

function upsertOf({ payload, payloadMeta, queue, priority, ...same }: z.output<typeof upsert>): Upsert {
  return { ...same, ...present({ queue, priority }), payload: valueOf(payload, payloadMeta) } as Upsert; // its rule is checked where it is made
}

async function putAll({ body, lines, server }: Call<undefined, undefined, readonly unknown[]>): Promise<Answer> {
  const to = await server.open();
  const given: unknown[] = [];
  for await (const item of lines ?? body) given.push(item);
  const made = await Promise.all(given.map((item) => scheduleFrom(to, item)));
  return { status: 207, body: { items: made.map(itemOf) } };
}

function itemOf(made: ScheduleRecord | Error): object {
  return made instanceof Error ? { error: problemOf(made) } : scheduleDocument(toSchedule(made));
}

async function scheduleFrom(to: Target, given: unknown): Promise<ScheduleRecord | Error> {
  if (given instanceof Error) return given;
  try {
    const isStored = typeof given === "object" && given !== null && "rule" in given;
    const [made] = isStored ? await to.schedules.put([storedOf(given)]) : await upsertAll(to, [authoredOf(given)]);
    return made!;
  } catch (thrown) {
    return thrown as Error;
  }
}

function authoredOf(given: unknown): Upsert {
  const { data, error } = upsert.safeParse(given);
  if (error) throw invalidOf("the schedule", error.issues);
  return upsertOf(data);
}

/** A schedule as lists show it: its rule is read as an author's, so that all of its checks are made. */
function storedOf(given: unknown): NewSchedule {
  const { data, error } = stored.safeParse(given);
  if (error) throw invalidOf("the schedule", error.issues);
  const { job, key, rule, payload, payloadMeta, queue, priority, tags } = data;
  const own = present({
    queue,
    priority: priority as Priority | null,
    tags,
    retry: rule.retry && authoredRetry(present(rule.retry)),
  });
  const options = { ...authored(rule), ...own, payload: valueOf(payload, payloadMeta) };
  return newSchedule({ job, key }, options, "UTC");
}
