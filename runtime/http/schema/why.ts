/** Why a run stands where it does, as it is shown. */
import { z } from "zod";
import { errorRecord } from "./run.ts";
import { about, count, instant, jobId, name, reason, runId, status } from "./value.ts";

const node = z.string();
const places = z.array(
  name(
    "Place",
    z.object({
      node,
      version: z.string(),
      slots: count,
      leased: about("Due runs that the node has leased", count),
      limit: about("How many runs of the queue it runs at once, where that is limited", count.nullable()),
      ofQueue: count,
    }),
  ),
);
const seen = z.object({ node: node.nullable(), version: z.string().nullable(), at: instant });
const code = <const C extends string>(...codes: readonly [C, ...C[]]) => ({ code: z.enum(codes) });

const blocks = [
  z.object({ ...code("paused"), queue: z.string(), pausedAt: instant }),
  z.object({
    ...code("unserved"),
    job: jobId,
    version: about("The version that the run is pinned to", z.string().nullable()),
    seen: about("Where its job was last", seen.nullable()),
    nodes: about("Those that live", z.array(z.object({ node, version: z.string() }))),
  }),
  z.object({ ...code("draining"), nodes: places }),
] as const;
const also = about("What would keep it waiting then", z.discriminatedUnion("code", blocks).nullable());
const ahead = about("Due runs of its queue that go first; 10001: more than 10,000", count);

/** The facts, by code. */
export const because = name(
  "Because",
  z.discriminatedUnion("code", [
    z.object({ ...code("delayed"), dueAt: instant, also }),
    z.object({
      ...code("retrying", "snoozed"),
      dueAt: instant,
      attempt: count,
      failed: count,
      attempts: about("How many may fail; null where that is not known", count.nullable()),
      error: errorRecord.nullable(),
      also,
    }),
    ...blocks,
    z.object({
      ...code("full"),
      nodes: places,
      runs: about("Some of those that take the places", z.array(runId)),
      ahead,
    }),
    z.object({ ...code("behind"), queue: z.string(), ahead }),
    z.object({ ...code("alone"), crashes: count, nodes: places }),
    z.object({ ...code("next"), nodes: places }),
    z.object({ ...code("ahead"), node, dueAt: instant }),
    z.object({ ...code("queued"), node, slots: count, leased: count }),
    z.object({ ...code("starting"), node }),
    z.object({
      ...code("running"),
      node,
      startedAt: instant,
      attempt: count,
      progress: z.object({ value: z.number(), detail: z.string().nullable() }).nullable(),
    }),
    z.object({ ...code("canceling"), node, startedAt: instant.nullable() }),
    z.object({ ...code("silent"), node, seenAt: instant, leaseUntil: instant }),
    z.object({ ...code("sleep"), until: instant, name: z.string().nullable() }),
    z.object({ ...code("step"), until: instant, name: z.string(), error: errorRecord.nullable() }),
    z.object({
      ...code("signal"),
      names: about("One of these will do", z.array(z.string())),
      token: about("Or the answer to a token", z.boolean()),
      until: instant.nullable(),
    }),
    z.object({
      ...code("child"),
      runs: about("Some of those that have not ended", z.array(z.object({ id: runId, status: status.nullable() }))),
      ended: count,
      count,
    }),
    z.object({ ...code("parked"), error: errorRecord.nullable() }),
    z.object({
      ...code("completed", "failed", "canceled"),
      reason: reason.nullable(),
      finishedAt: instant.nullable(),
      attempts: count,
      error: errorRecord.nullable(),
      note: z.string().nullable(),
    }),
  ]),
);

export const why = name(
  "Why",
  z.object({
    run: runId,
    status,
    at: about("When this was so", instant),
    text: about("A sentence, with what to do next where something can be done", z.string()),
    because,
  }),
);
