import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { InvalidInput } from "../../../sdk/port/error.ts";
import { defineJob } from "../../../sdk/job.ts";
import { defineMiddleware, defineService } from "../../../sdk/define/use.ts";
import type { Context } from "../../../sdk/define/context.ts";

const handler = (): void => undefined;

/** Defines a job with one option that types would refuse. */
function define(overrides: object): unknown {
  return defineJob({ id: "job", schema: z.void(), handler, ...overrides });
}

describe("defineJob", () => {
  test("fills in the defaults", () => {
    const job = defineJob({ id: "job", schema: z.void(), handler });

    expect(job).toMatchObject({
      id: "job",
      description: null,
      output: null,
      queue: "default",
      priority: 0,
      tags: [],
      timeoutMs: 900_000,
      ttlMs: null,
      retry: { attempts: 3, backoff: "exponential", delayMs: 1000, maxDelayMs: 600_000, jitter: true },
      hooks: { onStart: null, onSuccess: null, onFailure: null, onCancel: null },
      use: [],
      handler,
    });
  });

  test("keeps what it is given", () => {
    const onFailure = (): void => undefined;

    const job = defineJob({
      id: "a/b:c.d-e_1",
      schema: z.void(),
      output: z.void(),
      queue: "mail",
      priority: 9,
      tags: ["a", "b", "a"],
      timeout: "30s",
      ttl: "1h",
      description: "Sends",
      hooks: { onFailure },
      handler,
    });

    expect(job).toMatchObject({
      queue: "mail",
      priority: 9,
      tags: ["a", "b"],
      timeoutMs: 30_000,
      ttlMs: 3_600_000,
      description: "Sends",
      hooks: { onFailure, onStart: null },
    });
  });

  test("knows the file that defined it", () => {
    expect(defineJob({ id: "job", schema: z.void(), handler }).file).toBe(fileURLToPath(import.meta.url));
  });

  test("makes its JSON Schema when it is first read, once", () => {
    let reads = 0;
    const schema = z.string();
    const input = (): object => (reads++, { type: "string" });
    const spied = { "~standard": { ...schema["~standard"], jsonSchema: { input } } } as unknown as typeof schema;
    const job = defineJob({ id: "job", schema: spied, handler });
    const before = reads;

    const texts = [job.jsonSchema, job.jsonSchema];

    expect([before, reads, texts]).toEqual([0, 1, ['{"type":"string"}', '{"type":"string"}']]);
  });

  test.each<[string, object, string]>([
    ["an empty id", { id: "" }, "id"],
    ["an id with a space", { id: "a b" }, "id"],
    ["a long id", { id: "a".repeat(129) }, "id"],
    ["an id that is no text", { id: 7 }, "id"],
    ["no schema", { schema: undefined }, "schema"],
    ["a schema that is none", { schema: { type: "object" } }, "schema"],
    ["an output that is none", { output: {} }, "output"],
    ["no handler", { handler: undefined }, "handler"],
    ["a reserved queue", { queue: "$hooks" }, "queue"],
    ["a priority of 10", { priority: 10 }, "priority"],
    ["a fractional priority", { priority: 1.5 }, "priority"],
    ["a priority as text", { priority: "5" }, "priority"],
    ["eleven tags", { tags: Array.from({ length: 11 }, (_, i) => `t${i}`) }, "tags"],
    ["a long tag", { tags: ["a".repeat(129)] }, "tag"],
    ["an empty tag", { tags: [""] }, "tag"],
    ["a tag with NUL", { tags: ["a\0"] }, "tag"],
    ["tags that are no list", { tags: "a" }, "tags"],
    ["a timeout of zero", { timeout: "0s" }, "timeout"],
    ["a timeout in raw milliseconds", { timeout: 5000 }, "timeout"],
    ["a ttl that is none", { ttl: "soon" }, "ttl"],
    ["a retry out of range", { retry: { attempts: 0 } }, "retry.attempts"],
    ["a hook that is no function", { hooks: { onSuccess: 1 } }, "hooks.onSuccess"],
    ["an unknown hook", { hooks: { onSucces: handler } }, "onSucces"],
    ["an unknown option", { timeuot: "1s" }, "timeuot"],
    ["use that is no list", { use: {} }, "use"],
    ["use of something else", { use: [{ db: 1 }] }, "use"],
    ["a description that is too long", { description: "x".repeat(1001) }, "description"],
  ])("refuses %s", (_, overrides, path) => {
    expect(() => define(overrides)).toThrow(expect.objectContaining({ code: "INVALID_INPUT", path }));
  });

  test("says which job, what was given, and what to do", () => {
    expect(() => define({ timeuot: "1s" })).toThrow(
      'job "job": defineJob has no option "timeuot"; did you mean "timeout"?',
    );
    expect(() => define({ queue: "$x" })).toThrow(
      'job "job": queue "$x" begins with "$", which is reserved; choose another name',
    );
    expect(() => define({ priority: 12 })).toThrow('priority "12" is not a whole number from 0 to 9 (higher first)');
  });

  test("refuses what is no object", () => {
    expect(() => defineJob(undefined as never)).toThrow(InvalidInput);
  });
});

describe("use", () => {
  const args = { payload: 1, ctx: {} as Context };

  test("a service opens and closes by its own functions", async () => {
    const closed: unknown[] = [];
    const service = defineService({ name: "db", open: async () => "pool", close: (value) => closed.push(value) });

    const value = await service.open();
    await service.close(value);

    expect([service.kind, service.name, value, closed]).toEqual(["service", "db", "pool", ["pool"]]);
  });

  test.each(["log", "run", "signal", "", "a-b", "1a", "constructor", "__proto__"])(
    "a service can't be named %j",
    (name) => {
      expect(() => defineService({ name: name as "db", open: () => 1 })).toThrow(InvalidInput);
    },
  );

  test("two services of one job can't have one name", () => {
    const service = defineService({ name: "db", open: () => 1 });

    expect(() => define({ use: [service, service] })).toThrow('two services named "db"');
  });

  test("middleware hands its extras on and gets the outcome back", async () => {
    const middleware = defineMiddleware(async ({ payload }, next) => next({ user: payload }));
    const extras: unknown[] = [];

    const outcome = await middleware.run(args, async (extra) => (extras.push(extra), "outcome"));

    expect([outcome, extras]).toEqual(["outcome", [{ user: 1 }]]);
  });

  test("middleware can't replace a field of the context", async () => {
    const middleware = defineMiddleware(async (_, next) => next(Object.fromEntries([["signal", 1]])));

    await expect(middleware.run(args, async () => 1)).rejects.toThrow('"signal" is a field of every context');
  });
});
