/** Types, both ways: what must compile, and what must not. `tsc -p tsconfig.json` is the check; nothing here runs. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { expectTypeOf } from "vitest";
import { z } from "zod";
import {
  configure,
  defineConfig,
  defineJob,
  defineMiddleware,
  defineService,
  runs,
  trigger,
  type AnyJob,
  type Context,
  type InputOf,
  type Job,
  type ResultOf,
  type RunHandle,
} from "../../sdk/index.ts";
import type { JobSpec } from "../../sdk/spec.ts";

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
