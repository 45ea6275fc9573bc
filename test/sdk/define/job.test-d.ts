/** Types, both ways: what must compile, and what must not. `tsc -p tsconfig.json` is the check; nothing here runs. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { NodePgDatabase } from "drizzle-orm/node-postgres";
import type { Sql } from "postgres";
import { expectTypeOf } from "vitest";
import { z } from "zod";
import {
  configure,
  defineConfig,
  defineJob,
  defineMiddleware,
  defineService,
  runs,
  schedules,
  trigger,
  type AnyJob,
  type Context,
  type ContextSchedule,
  type InputOf,
  type Job,
  type ResultOf,
  type RunHandle,
  type Schedule,
} from "../../../sdk/index.ts";
import type { JobSpec } from "../../../sdk/define/spec.ts";

const remind = defineJob({
  id: "remind",
  schema: z.object({
    userId: z.string().brand<"user">(),
    at: z.coerce.date(),
    tries: z.number().default(1),
    size: z.string().transform(Number),
  }),
  output: z.object({ messageId: z.string().transform((id) => id.length) }),
  handler: async (payload, ctx) => {
    expectTypeOf(payload.userId).toEqualTypeOf<string & z.core.$brand<"user">>();
    expectTypeOf(payload.at).toEqualTypeOf<Date>();
    expectTypeOf(payload.tries).toEqualTypeOf<number>();
    expectTypeOf(payload.size).toEqualTypeOf<number>();
    expectTypeOf(ctx.attempt).toEqualTypeOf<number>();
    expectTypeOf(ctx.signal).toEqualTypeOf<AbortSignal>();
    return { messageId: "m1" };
  },
});

const rich = defineJob({
  id: "rich",
  schema: z.object({
    at: z.date(),
    big: z.bigint(),
    map: z.map(z.string(), z.set(z.number())),
    note: z.string().optional(),
  }),
  handler: async ({ big, map }) => [big, map] as const,
});

const bare = defineJob({ id: "bare", schema: z.void(), handler: () => undefined });
const loose = defineJob({
  id: "loose",
  schema: z.object({ a: z.number() }).optional(),
  handler: (payload) => payload?.a,
});

// the id is a literal; the schema's input is what trigger takes, and the result is the output's output
expectTypeOf(remind.id).toEqualTypeOf<"remind">();
expectTypeOf<InputOf<typeof remind>>().toEqualTypeOf<{
  userId: string;
  at: unknown;
  tries?: number | undefined;
  size: string;
}>();
expectTypeOf<ResultOf<typeof remind>>().toEqualTypeOf<{ messageId: number }>();
expectTypeOf(remind.trigger({ userId: "u", at: "2030-01-01", size: "7" })).toEqualTypeOf<
  Promise<RunHandle<{ messageId: number }>>
>();

// without output, the result is what the handler returns
expectTypeOf<ResultOf<typeof rich>>().toEqualTypeOf<readonly [bigint, Map<string, Set<number>>]>();
expectTypeOf<ResultOf<typeof bare>>().toEqualTypeOf<undefined>();
expectTypeOf<ResultOf<typeof loose>>().toEqualTypeOf<number | undefined>();

// any job is a JobSpec, and an AnyJob
expectTypeOf(remind).toExtend<JobSpec>();
expectTypeOf(remind).toExtend<AnyJob>();
expectTypeOf(rich).toExtend<Job<"rich">>();
const specs: readonly JobSpec[] = [remind, rich, bare, loose];
const jobs: readonly AnyJob[] = [remind, rich, bare, loose];
void [specs, jobs];

// a payload that may be undefined may be left out, and no other
void bare.trigger();
void bare.trigger(undefined, { delay: "5m" });
void loose.trigger();
void loose.trigger({ a: 1 });
void loose.batchTrigger([{}, { payload: { a: 1 } }]);
// @ts-expect-error a payload is missing
void remind.trigger();
// @ts-expect-error a field is missing
void remind.trigger({ userId: "u", at: 1 });
// @ts-expect-error the schema's input is a string, not its output
void remind.trigger({ userId: "u", at: 1, size: 7 });
// @ts-expect-error an unknown field
void rich.trigger({ at: new Date(), big: 1n, map: new Map(), other: 1 });
// @ts-expect-error an instant as text is no Date
void rich.trigger({ at: "2030-01-01", big: 1n, map: new Map() });
// @ts-expect-error an item without its payload
void remind.batchTrigger([{ options: { delay: "1s" } }]);
// @ts-expect-error an item has no transaction of its own
void bare.batchTrigger([{ options: { tx: {} } }]);

// options
void bare.trigger(undefined, {
  runAt: new Date(),
  idempotencyKey: { key: "k", keep: "24h", onConflict: "error" },
  priority: 9,
  tags: ["a"],
  ttl: "1h",
  timeout: "1m",
  retry: { attempts: 2 },
  tx: { query: () => undefined },
});
// @ts-expect-error a pool is no transaction
void bare.trigger(undefined, { tx: { query: () => undefined, totalCount: 1 } });
// @ts-expect-error nor is a Kysely database
void bare.trigger(undefined, { tx: { isTransaction: false as boolean, executeQuery: () => undefined } });
// @ts-expect-error nor is a Drizzle database
void bare.trigger(undefined, { tx: {} as NodePgDatabase });
// @ts-expect-error nor is postgres.js itself
void bare.trigger(undefined, { tx: {} as Sql });
// @ts-expect-error not a duration
void bare.trigger(undefined, { delay: "5 minutes" });
// @ts-expect-error raw milliseconds are no duration
void bare.trigger(undefined, { delay: 5000 });
// @ts-expect-error an instant is a Date
void bare.trigger(undefined, { runAt: "2030-01-01" });
// @ts-expect-error an unknown option
void bare.trigger(undefined, { dealy: "5m" });
// @ts-expect-error none of return, replace and error
void bare.trigger(undefined, { idempotencyKey: { key: "k", onConflict: "ignore" } });
// @ts-expect-error beyond 9
void bare.trigger(undefined, { priority: 12 });
// @ts-expect-error some number: check it, then give it its type
void bare.trigger(undefined, { priority: Number("3") });
void bare.trigger(undefined, { priority: (await runs.need("run_1")).priority });
// @ts-expect-error a run's retry is data, not a function
void bare.trigger(undefined, { retry: () => "1s" });

// by id, with the type alone
expectTypeOf(trigger<typeof remind>("remind", { userId: "u", at: 1, size: "7" })).toEqualTypeOf<
  Promise<RunHandle<{ messageId: number }>>
>();
void trigger<typeof bare>("bare");
void trigger<typeof remind | typeof bare>("bare");
void trigger("anything", { of: "any shape" }, { delay: "1s" });
// @ts-expect-error another job's id
void trigger<typeof remind>("remnid", { userId: "u", at: 1, size: "7" });
// @ts-expect-error the payload of another job
void trigger<typeof remind | typeof bare>("bare", { userId: "u", at: 1, size: "7" });
// @ts-expect-error a payload is missing
void trigger<typeof remind>("remind");

// results
const handle = await remind.trigger({ userId: "u", at: 1, size: "7" });
expectTypeOf(await handle.result({ timeout: "1m" })).toEqualTypeOf<{ messageId: number }>();
expectTypeOf((await handle.get())!.result).toEqualTypeOf<{ messageId: number } | undefined>();
expectTypeOf(await handle.cancel()).toEqualTypeOf<"done" | "asked">();
// @ts-expect-error a timeout is a duration
void handle.result({ timeout: 60 });
expectTypeOf((await remind.batchTrigger([]))[0]!).toEqualTypeOf<RunHandle<{ messageId: number }> | Error>();
expectTypeOf((await runs.need("run_1")).result).toEqualTypeOf<unknown>();

// a handler must return what `output` takes
// @ts-expect-error n is a text
defineJob({ id: "x", schema: z.void(), output: z.object({ n: z.number() }), handler: () => ({ n: "1" }) });
// @ts-expect-error nothing is returned
defineJob({ id: "x", schema: z.void(), output: z.object({ messageId: z.string() }), handler: async () => undefined });
defineJob({ id: "x", schema: z.void(), output: z.object({ n: z.number() }), handler: async () => ({ n: 1 }) });

// definitions
// @ts-expect-error no schema
defineJob({ id: "x", handler: () => 1 });
// @ts-expect-error no handler
defineJob({ id: "x", schema: z.void() });
// @ts-expect-error an unknown option
defineJob({ id: "x", schema: z.void(), timeuot: "1s", handler: () => 1 });
// @ts-expect-error a schema must be a Standard Schema
defineJob({ id: "x", schema: { type: "object" }, handler: () => 1 });
// @ts-expect-error an unknown backoff
defineJob({ id: "x", schema: z.void(), retry: { backoff: "linear" }, handler: () => 1 });
defineJob({
  id: "x",
  schema: z.object({ n: z.number().transform(String) }),
  retry: (attempt, error) => (error.message === "no" ? false : `${attempt}s`),
  hooks: {
    onStart: ({ n }, ctx) => ctx.log.info(n),
    onSuccess: ({ n }, ended) => expectTypeOf([n, ended.result]).toEqualTypeOf<unknown[]>(),
    onFailure: (_, ended) => expectTypeOf(ended.run).toEqualTypeOf<string>(),
  },
  handler: () => 1,
});
const hooked = defineJob({
  id: "hooked",
  schema: z.void(),
  output: z.object({ n: z.number().transform(String) }),
  hooks: { onSuccess: (_, ended) => expectTypeOf(ended.result).toEqualTypeOf<{ n: string }>() },
  handler: () => ({ n: 1 }),
});
expectTypeOf<ResultOf<typeof hooked>>().toEqualTypeOf<{ n: string }>();

// any Standard Schema
declare const other: StandardSchemaV1<{ in: string }, { out: number }>;
const standard = defineJob({ id: "standard", schema: other, handler: ({ out }) => out });
void standard.trigger({ in: "x" });
expectTypeOf<ResultOf<typeof standard>>().toEqualTypeOf<number>();
// @ts-expect-error the output is not what trigger takes
void standard.trigger({ out: 1 });

// schedules of a job: the payload is the schema's input, and may be left out where that may be undefined
const shape = { id: "x", schema: z.object({ n: z.string().transform(Number) }), handler: () => 1 } as const;
const empty = { id: "x", schema: z.void(), handler: () => 1 } as const;
const maybe = { id: "x", schema: z.object({ n: z.number() }).optional(), handler: () => 1 } as const;
defineJob({ ...empty, schedule: { cron: "0 9 * * MON-FRI", timezone: "Europe/Paris", dst: { gap: "skip" } } });
defineJob({ ...empty, schedule: { cron: () => "@daily", timezone: () => "UTC" } });
defineJob({ ...empty, schedule: [] });
defineJob({ ...empty, schedule: undefined });
defineJob({ ...maybe, schedule: [{ every: "1h" }, { runAt: new Date(), key: "once", payload: { n: 1 } }] });
defineJob({
  ...shape,
  schedule: [
    { every: "1h30m", anchor: new Date(), subSecond: true, payload: { n: "1" }, queue: "q", priority: 1, tags: ["a"] },
    {
      runAt: new Date(),
      key: "once",
      payload: { n: "1" },
      overlap: "cancel",
      catchUp: { max: 5, within: "1h" },
      spread: "1m",
      startsAt: new Date(),
      endsAt: new Date(),
      limit: 1,
    },
  ],
});
// @ts-expect-error a payload is missing
defineJob({ ...shape, schedule: { every: "1h" } });
const one = { every: "1h", payload: { n: "1" } } as const;
// @ts-expect-error a payload is missing from one of them
defineJob({ ...shape, schedule: [one, { every: "2h", key: "k" }] });
// @ts-expect-error the schema's input is a string, not its output
defineJob({ ...shape, schedule: { every: "1h", payload: { n: 1 } } });
// @ts-expect-error a payload that the job does not take
defineJob({ ...empty, schedule: { every: "1h", payload: { n: 1 } } });
// @ts-expect-error both cron and every
defineJob({ ...empty, schedule: { cron: "@daily", every: "1h" } });
// @ts-expect-error both every and runAt
defineJob({ ...empty, schedule: { every: "1h", runAt: new Date() } });
const several = [{ cron: "@daily", every: "1h" }] as const;
// @ts-expect-error both cron and every, in a list
defineJob({ ...empty, schedule: several });
// @ts-expect-error a priority beyond 9
defineJob({ ...empty, schedule: { every: "1h", priority: 12 } });
// @ts-expect-error a set is not a list
defineJob({ ...empty, schedule: new Set([{ every: "1h" }]) });
// @ts-expect-error neither
defineJob({ ...empty, schedule: { overlap: "skip" } });
// @ts-expect-error a zone belongs to cron
defineJob({ ...empty, schedule: { every: "1h", timezone: "UTC" } });
// @ts-expect-error an anchor belongs to every
defineJob({ ...empty, schedule: { cron: "@daily", anchor: new Date() } });
// @ts-expect-error a key is a text
defineJob({ ...empty, schedule: { every: "1h", key: 7 } });
// @ts-expect-error an unknown option
defineJob({ ...empty, schedule: { every: "1h", catchup: "none" } });
// @ts-expect-error an unknown catchUp
defineJob({ ...empty, schedule: { every: "1h", catchUp: "all" } });
// @ts-expect-error not a duration
defineJob({ ...empty, schedule: { every: 60_000 } });
// @ts-expect-error an instant is a Date
defineJob({ ...empty, schedule: { runAt: "2030-01-01" } });
// @ts-expect-error a function answers at once
defineJob({ ...empty, schedule: { cron: async () => "@daily" } });
// the handler and its result are typed as without a schedule
const planned = defineJob({
  id: "planned",
  schema: z.object({ n: z.string().transform(Number) }),
  schedule: { cron: "@daily", payload: { n: "1" } },
  handler: async ({ n }, ctx) => {
    expectTypeOf(n).toEqualTypeOf<number>();
    expectTypeOf(ctx.schedule).toEqualTypeOf<ContextSchedule | null>();
    expectTypeOf(ctx.schedule!.tick).toEqualTypeOf<Date>();
    expectTypeOf(ctx.schedule!.previous).toEqualTypeOf<Date | null>();
    return { n };
  },
});
expectTypeOf<ResultOf<typeof planned>>().toEqualTypeOf<{ n: number }>();

// schedules at run time: the payload is that of the job
expectTypeOf(schedules.upsert({ job: planned, key: "k", cron: "@daily", payload: { n: "1" } })).toEqualTypeOf<
  Promise<Schedule>
>();
void schedules.upsert({ job: bare, key: "k", runAt: new Date() });
void schedules.upsert({ job: loose, key: "k", every: "1h", overlap: "skip" });
void schedules.upsert({ job: "any", key: "k", every: "1h", payload: { of: "any shape" } });
void schedules.upsert<typeof planned>({ job: "planned", key: "k", every: "1h", payload: { n: "1" } });
// @ts-expect-error the schema's input is a string, not its output
void schedules.upsert({ job: planned, key: "k", every: "1h", payload: { n: 1 } });
// @ts-expect-error a payload is missing
void schedules.upsert({ job: planned, key: "k", every: "1h" });
// @ts-expect-error a key is missing
void schedules.upsert({ job: bare, every: "1h" });
// @ts-expect-error both cron and every
void schedules.upsert({ job: bare, key: "k", cron: "@daily", every: "1h" });
// @ts-expect-error an unknown option
void schedules.upsert({ job: bare, key: "k", every: "1h", catchup: "none" });
// @ts-expect-error another job's id
void schedules.upsert<typeof planned>({ job: "plannde", key: "k", every: "1h", payload: { n: "1" } });
// @ts-expect-error the payload of another shape, by id
void schedules.upsert<typeof planned>({ job: "planned", key: "k", every: "1h", payload: { n: 1 } });
expectTypeOf(
  schedules.upsertMany([1, 2].map((n) => ({ job: planned, key: `${n}`, every: "1h", payload: { n: "1" } }) as const)),
).toEqualTypeOf<Promise<readonly (Schedule | Error)[]>>();
// many may be of several jobs, each with its own payload
const minutely = { job: bare, key: "k", every: "1m" } as const;
void schedules.upsertMany([minutely, { job: planned, key: "k", every: "1h", payload: { n: "1" } }]);
void schedules.upsertMany([minutely, { job: "any", key: "k", every: "1h", payload: 7 }]);
void schedules.upsertMany<(typeof planned)[]>([{ job: "planned", key: "k", every: "1h", payload: { n: "1" } }]);
// @ts-expect-error the payload of one is missing
void schedules.upsertMany([minutely, { job: planned, key: "k", every: "1h" }]);
// @ts-expect-error a wrong payload among them
void schedules.upsertMany([{ job: planned, key: "k", every: "1h", payload: { n: 1 } }]);

// acts on them take an id, or job and key
expectTypeOf(schedules.trigger<typeof planned>({ job: planned, key: "k" })).toEqualTypeOf<
  Promise<RunHandle<{ n: number }>>
>();
expectTypeOf(schedules.trigger("planned@k")).toEqualTypeOf<Promise<RunHandle>>();
expectTypeOf(schedules.get({ job: "planned" })).toEqualTypeOf<Promise<Schedule | null>>();
void schedules.preview({ cron: "@daily" }, { from: new Date(), count: 3 });
// @ts-expect-error a key is not enough
void schedules.pause({ key: "k" });
// @ts-expect-error both cron and every
void schedules.preview({ cron: "@daily", every: "1h" });
void schedules.backfill("planned", { from: new Date() });

// services and middleware
class Pool {
  readonly size = 1;
}
const withDb = defineService({
  name: "db",
  open: async () => new Pool(),
  close: (pool) => expectTypeOf(pool).toEqualTypeOf<Pool>(),
});
const withUser = defineMiddleware(async ({ ctx }, next) => {
  expectTypeOf(ctx).toEqualTypeOf<Context>();
  return next({ user: { name: "Ada" }, tenant: 7 });
});
const withTimer = defineMiddleware(async (_, next) => {
  const passed = await next();
  return passed;
});
const used = defineJob({
  id: "used",
  schema: z.object({ n: z.number() }),
  use: [withDb, withUser, withTimer],
  handler: async ({ n }, ctx) => {
    expectTypeOf(ctx.db).toEqualTypeOf<Pool>();
    expectTypeOf(ctx.user).toEqualTypeOf<{ name: string }>();
    expectTypeOf(ctx.tenant).toEqualTypeOf<number>();
    expectTypeOf(ctx.attempt).toEqualTypeOf<number>();
    // @ts-expect-error nothing gives it
    void ctx.mailer;
    return n;
  },
});
expectTypeOf<ResultOf<typeof used>>().toEqualTypeOf<number>();
expectTypeOf(used).toExtend<JobSpec>();
// @ts-expect-error "log" is a field of every context
defineService({ name: "log", open: () => 1 });
// @ts-expect-error "run" is a field of every context
defineMiddleware(async (_, next) => next({ run: 1 }));
// @ts-expect-error a middleware must answer what next answers
defineMiddleware(async () => 1);
// @ts-expect-error neither a service nor middleware
defineJob({ id: "x", schema: z.void(), use: [{ db: 1 }], handler: () => 1 });

// configuration
configure({ url: "postgres://127.0.0.1/app", schema: "jobs" });
// @ts-expect-error neither a store nor a url
configure({});
// @ts-expect-error both
configure({ url: "memory:", store: {} });
defineConfig({
  jobs: ["jobs/"],
  slots: 10,
  poll: "500ms",
  queues: { mail: { concurrency: 5 } },
  keep: { completed: "1d" },
});
// @ts-expect-error an unknown key
defineConfig({ slot: 10 });
// @ts-expect-error not a duration
defineConfig({ grace: 30 });
