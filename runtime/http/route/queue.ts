/** Queues, nodes, and figures. */
import { z } from "zod";
import { nodesOf, queuesOf, runsOf, statsOf } from "../../../sdk/client/runs.ts";
import { checkDuration } from "../../../sdk/port/option.ts";
import { route, type Route } from "../route.ts";
import { attempts } from "../schema/run.ts";
import { about, count, instant, jobId, name, paging, priority, span, when } from "../schema/value.ts";

const queue = name("Queue", z.object({ name: z.string(), paused: z.boolean() }));
const lane = { queue: z.string(), job: z.string() };
const number = z.number();

const node = name(
  "Node",
  z.object({
    id: z.int(),
    name: z.string(),
    startedAt: instant,
    seenAt: instant,
    alive: about("Its lease stands", z.boolean()),
    draining: z.boolean(),
    asleep: about("It has nothing to do, and beats again when it has", z.boolean()),
    slots: count,
    busy: count,
    heap: about("Leased runs that have not started", count),
    jobs: z.array(z.string()),
  }),
);

const stats = name(
  "Stats",
  z.object({
    at: about("The store's clock", instant),
    queues: z.array(queue),
    lanes: about(
      "Due and waiting, due later, and held by nodes; each capped at 10,000",
      z.array(
        z.object({
          ...lane,
          priority,
          ready: count,
          delayed: count,
          leased: count,
          readyAt: about("Since when the oldest of those that are due waits", instant.nullable()),
        }),
      ),
    ),
    rates: about(
      "What ended in the window; `waitMs` and `runMs` are sums over completed and failed",
      z.array(
        z.object({
          ...{ ...lane, completed: number, failed: number, canceled: number, retried: number },
          ...{ waitMs: number, runMs: number },
        }),
      ),
    ),
    windowMs: number,
    nodes: z.array(node),
  }),
);

const spans = name("Percentiles", z.object({ p50: number, p95: number, p99: number }).nullable());
const counts = {
  ...{ completed: count, failed: count, canceled: count, retried: count },
  wait: about("From due to the start of the last attempt, ms; null where nothing completed or failed", spans),
  run: about("From the start of the last attempt to its end, ms", spans),
};
const series = name(
  "Series",
  z.object({
    ...{ from: instant, to: instant, stepMs: count },
    points: about("By step, from the first to the last", z.array(z.object({ at: instant, ...counts }))),
    total: about("Of all steps", z.object(counts)),
  }),
);

const classes = about("Durations by class: class 0 is under 1 ms, class n ends at 2^(n/4) ms", z.array(count));
const buckets = name(
  "Buckets",
  z.object({
    items: z.array(
      z.object({
        at: instant,
        ...{ completed: count, failed: count, canceled: count, retried: count, waits: classes, runs: classes },
      }),
    ),
  }),
);

const turn = (verb: "pause" | "resume"): Route =>
  route(`${verb}Queue`, `POST /api/v1/queues/{queue}/${verb}`, "operate", {
    group: "Queues",
    summary: verb === "pause" ? "Let the runs of a queue wait, on all nodes" : "Let the runs of a queue start again",
    params: z.object({ queue: z.string() }),
    answers: { 200: queue },
    handler: async ({ params, server }) => {
      await queuesOf(server.open)[verb](params.queue);
      return { body: { name: params.queue, paused: verb === "pause" } };
    },
  });

export const queueRoutes: readonly Route[] = [
  route("listQueues", "GET /api/v1/queues", "read", {
    group: "Queues",
    summary: "List queues",
    answers: { 200: name("Queues", z.object({ items: z.array(queue) })) },
    handler: async ({ server }) => ({ body: { items: await queuesOf(server.open).list() } }),
  }),
  turn("pause"),
  turn("resume"),
  route("listNodes", "GET /api/v1/nodes", "read", {
    group: "Nodes",
    summary: "List nodes: those that live, and those that ended lately",
    answers: { 200: name("Nodes", z.object({ items: z.array(node) })) },
    handler: async ({ server }) => ({ body: { items: await nodesOf(server.open).list() } }),
  }),
  route("getStats", "GET /api/v1/stats", "read", {
    group: "Figures",
    summary: "Depth by queue, job and priority, what ended in the last minutes, and the nodes",
    query: z.strictObject({
      lanes: about("False: without the counts, which take longest", z.boolean()).optional(),
      look: about("False: nodes are not asked to record starts", z.boolean()).optional(),
    }),
    answers: { 200: stats },
    handler: async ({ query, server }) => ({
      body: await (await server.open()).find.stats({ lanes: query.lanes ?? true, look: query.look ?? true }),
    }),
  }),
  route("getSeries", "GET /api/v1/stats/series", "read", {
    group: "Figures",
    summary: "What ended over time, by step: counts, and percentiles of waits and runs",
    about: "Steps begin at multiples of their length, by UTC. Minutes are kept for a day, hours for 90 days.",
    query: z.strictObject({
      from: when,
      to: about("Now by default", when).optional(),
      step: about("Whole minutes, or whole hours; 2500 steps at most", span),
      queue: z.array(z.string()).optional(),
      job: z.array(jobId).optional(),
    }),
    answers: { 200: series },
    handler: async ({ query, server }) => ({ body: await statsOf(server.open).series(query) }),
  }),
  route("getBuckets", "GET /api/v1/stats/buckets", "read", {
    group: "Figures",
    summary: "What a series is made of, for clients that do that themselves",
    query: z.strictObject({
      ...{ from: when, to: when, step: span },
      queue: z.array(z.string()).optional(),
      job: z.array(jobId).optional(),
    }),
    answers: { 200: buckets },
    handler: async ({ query: { step, ...same }, server }) => {
      const filter = { ...same, stepMs: checkDuration("step", step) };
      return { body: { items: await (await server.open()).find.series(filter) } };
    },
  }),
  route("listFailures", "GET /api/v1/attempts", "read", {
    group: "Figures",
    summary: "List attempts that did not complete their runs, over all runs, newest first",
    query: z.strictObject({ job: z.array(jobId).optional(), ...paging }),
    answers: { 200: attempts },
    handler: async ({ query: { job, ...page }, server }) => ({
      body: await runsOf(server.open).failures({ job }, page),
    }),
  }),
];
