import { context, propagation, SpanKind, SpanStatusCode, trace, type Span } from "@opentelemetry/api";
import { AlwaysOffSampler } from "@opentelemetry/sdk-trace-base";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { createRuntime } from "../../runtime/runtime.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { close, configure } from "../../sdk/client/config.ts";
import { runs } from "../../sdk/client/runs.ts";
import { slot } from "../../sdk/client/scope.ts";
import { defineJob } from "../../sdk/job.ts";
import { telemetry } from "../../sdk/trace/index.ts";
import { StoreUnavailable } from "../../sdk/port/error.ts";
import { only } from "../kit/build.ts";
import { freshDatabase } from "../kit/database.ts";
import { attributesOf, linksOf, openTelemetry, placeOf, type Spans } from "../kit/trace.ts";
import { until } from "../kit/until.ts";
import { aBench, deferred, idleBench, turns, withRuns, type Bench } from "./kit.ts";

let spans: Spans;
let off: () => void;
beforeEach(() => {
  spans = openTelemetry();
  off = telemetry();
});
afterEach(async () => {
  off();
  spans.stop();
  await close();
});

/** A job, and a runtime that runs it, to which `trigger` goes. */
async function traced(
  handler: Parameters<typeof defineJob>[0]["handler"],
  overrides: Partial<Parameters<typeof defineJob>[0]> = {},
  more: Parameters<typeof aBench>[0]["jobs"] = [],
) {
  const retry = { attempts: 3, delay: "1s", jitter: false } as const;
  const job = defineJob({ id: "mail", schema: z.any(), retry, handler, ...overrides });
  const bench = await aBench({ jobs: [job, ...more], grace: "1s" });
  configure({ store: bench.runtime.store });
  return { job, bench };
}

/** Work of an application, within a span of its own. */
function inApp<T>(work: (span: Span) => Promise<T>): Promise<T> {
  return trace.getTracer("app").startActiveSpan("GET /", async (span) => {
    try {
      return await work(span);
    } finally {
      span.end();
    }
  });
}

describe("a trigger and its run", () => {
  test("are spans of one trace, by the conventions for messaging", async () => {
    const { job } = await traced(() => 1, { tags: ["a"] });

    const run = await inApp(() => job.trigger({}, { priority: 7, tags: ["b"] }));
    await turns();

    const [app, send, process] = [spans.one("GET /"), spans.one("send mail"), spans.one("process mail")];
    const about = {
      "messaging.system": "tasker",
      "messaging.destination.name": "mail",
      "messaging.message.id": run.id,
      "tasker.queue": "default",
      "tasker.priority": 7,
      "tasker.tags": ["a", "b"],
    };
    expect([send.kind, process.kind]).toEqual([SpanKind.PRODUCER, SpanKind.CONSUMER]);
    expect(placeOf(send)).toMatchObject({ trace: placeOf(app).trace, parent: placeOf(app).id });
    expect(placeOf(process)).toMatchObject({ trace: placeOf(app).trace, parent: placeOf(send).id });
    expect(attributesOf(send)).toEqual({
      ...about,
      "messaging.operation.name": "send",
      "messaging.operation.type": "send",
    });
    expect(attributesOf(process)).toEqual({
      ...about,
      "messaging.operation.name": "process",
      "messaging.operation.type": "process",
      "tasker.attempt": 1,
      "tasker.outcome": "completed",
    });
    expect([send, process].map(({ status }) => status.code)).toEqual([SpanStatusCode.UNSET, SpanStatusCode.UNSET]);
  });

  test("of another process, on Postgres, are in one trace, too", async () => {
    const database = await freshDatabase();
    onTestFinished(() => database.drop());
    const job = defineJob({ id: "mail", schema: z.any(), handler: () => 1 });
    const [app, worker] = [postgres({ url: database.url }), postgres({ url: database.url })];
    configure({ store: app });
    await app.open();
    const runtime = createRuntime({ store: worker, jobs: [job] });
    onTestFinished(() => runtime.stop());

    const run = await inApp(() => job.trigger({}));
    await runtime.start();
    await run.result();

    expect(placeOf(spans.one("process mail"))).toMatchObject({
      trace: placeOf(spans.one("GET /")).trace,
      parent: placeOf(spans.one("send mail")).id,
    });
  });

  test("make a trace where nothing is active, and what a handler triggers goes on with it", async () => {
    const other = defineJob({ id: "other", schema: z.any(), handler: () => 1 });
    const { job } = await traced(async () => void (await other.trigger({})), {}, [other]);

    await job.trigger({});
    await turns();

    const [first, second] = [spans.one("send mail"), spans.one("send other")];
    expect(placeOf(first).parent).toBe(null);
    expect(placeOf(second)).toMatchObject({
      trace: placeOf(first).trace,
      parent: placeOf(spans.one("process mail")).id,
    });
    expect(placeOf(spans.one("process other")).parent).toBe(placeOf(second).id);
  });

  test("that comes late are two traces: the attempt links to its trigger", async () => {
    const { job, bench } = await traced(() => 1);
    await job.trigger({}, { delay: "29s" });
    await job.trigger({}, { delay: "31s" });

    await bench.pass(40_000);

    const [near, far] = spans.named("process mail");
    const [first, second] = spans.named("send mail");
    expect(placeOf(near!).parent).toBe(placeOf(first!).id);
    expect(linksOf(near!)).toEqual([]);
    expect(placeOf(far!).parent).toBe(null);
    expect(placeOf(far!).trace).not.toBe(placeOf(second!).trace);
    expect(linksOf(far!)).toEqual([placeOf(second!).id]);
  });

  test("that was asked for by `follow` is in its trace however late", async () => {
    const { job, bench } = await traced(() => 1);
    onTestFinished(telemetry({ follow: "1h" }));
    await job.trigger({}, { delay: "30m" });

    await bench.pass(1_900_000);

    expect(placeOf(spans.one("process mail")).parent).toBe(placeOf(spans.one("send mail")).id);
  });

  test("of which nobody takes samples are not recorded, and the worker knows", async () => {
    spans.stop();
    spans = openTelemetry({ sampler: new AlwaysOffSampler() });
    onTestFinished(telemetry());
    const { job, bench } = await traced(() => trace.getActiveSpan()?.spanContext().traceFlags);

    const { id } = await job.trigger({});
    await turns();

    expect(spans.all()).toEqual([]);
    expect((await runs.get(id))?.result).toBe(0);
    const { items } = await bench.store.find.list({});
    expect(only(items).options?.trace?.["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  });
});

describe("a batch", () => {
  test("is one span, to which its runs link", async () => {
    const { job } = await traced(() => 1);

    await inApp(() => job.batchTrigger([{ payload: 1 }, { payload: 2 }, { payload: 3 }]));
    await turns();

    const send = spans.one("send mail");
    expect(attributesOf(send)).toMatchObject({
      "messaging.batch.message_count": 3,
      "messaging.destination.name": "mail",
    });
    expect(spans.named("process mail").map(linksOf)).toEqual(Array(3).fill([placeOf(send).id]));
    expect(spans.named("process mail").map((span) => placeOf(span).parent)).toEqual([null, null, null]);
  });
});

describe("a trigger that makes no run", () => {
  test("says that its key has one", async () => {
    const { job } = await traced(() => 1);

    await job.trigger({}, { idempotencyKey: "a" });
    await job.trigger({}, { idempotencyKey: "a" });

    const [first, second] = spans.named("send mail").map(attributesOf);
    expect(first).not.toHaveProperty("tasker.deduplicated");
    expect(second).toMatchObject({
      "tasker.deduplicated": true,
      "messaging.message.id": first!["messaging.message.id"],
    });
  });

  test("is a span that failed, where the store is away, and where it refuses one run", async () => {
    const store = memory();
    const job = defineJob({ id: "mail", schema: z.any(), handler: () => 1 });
    configure({ store: { ...store, add: () => Promise.reject(new StoreUnavailable("x", "gone")) } });
    await expect(job.trigger({})).rejects.toThrow();
    configure({ store: { ...store, add: async () => [new TypeError("not this one")] } });
    await expect(job.trigger({})).rejects.toThrow();

    const failed = spans.named("send mail");

    expect(failed.map(({ status }) => status.code)).toEqual([SpanStatusCode.ERROR, SpanStatusCode.ERROR]);
    expect(failed.map((span) => attributesOf(span)["error.type"])).toEqual(["StoreUnavailable", "TypeError"]);
  });
});

describe("an attempt", () => {
  test("that fails says why, and when the next one comes; each has its span", async () => {
    const { job, bench } = await traced((_, ctx) => {
      if (ctx.attempt < 3) throw new TypeError(`no luck ${ctx.attempt}`);
    });
    await job.trigger({});

    await bench.pass(40_000);

    const attempts = spans.named("process mail");
    expect(attempts.map((span) => attributesOf(span)["tasker.attempt"])).toEqual([1, 2, 3]);
    expect(attempts.map((span) => attributesOf(span)["tasker.outcome"])).toEqual(["error", "error", "completed"]);
    const [first, second, third] = attempts;
    expect(first!.status).toEqual({ code: SpanStatusCode.ERROR, message: "no luck 1" });
    expect(attributesOf(first!)["error.type"]).toBe("TypeError");
    expect(first!.events.map(({ name, attributes }) => [name, attributes])).toEqual([
      ["exception", expect.objectContaining({ "exception.type": "TypeError", "exception.message": "no luck 1" })],
      ["tasker.retry", { "tasker.retry.delay": 1 }],
    ]);
    expect(second!.events[1]!.attributes).toEqual({ "tasker.retry.delay": 2 });
    expect(third!.status.code).toBe(SpanStatusCode.UNSET);
    expect(new Set(attempts.map((span) => placeOf(span).trace)).size).toBe(1);
  });

  test.each([
    ["skips", "skipped", SpanStatusCode.UNSET, (_: unknown, ctx: { skip(why: string): never }) => ctx.skip("no need")],
    ["snoozes", "snoozed", SpanStatusCode.UNSET, (_: unknown, ctx: { snooze(delay: "1h"): never }) => ctx.snooze("1h")],
  ])("that %s has not failed", async (_, outcome, code, handler) => {
    const { job } = await traced(handler);

    await job.trigger({});
    await turns();

    const span = spans.one("process mail");
    expect(attributesOf(span)["tasker.outcome"]).toBe(outcome);
    expect(span.status.code).toBe(code);
  });

  test("that takes too long, or is canceled, ends there and then, whatever its handler does", async () => {
    const ends = [deferred(), deferred()];
    const { job, bench } = await traced((i) => ends[i as number]!.promise, { timeout: "10s", retry: { attempts: 1 } });
    await job.trigger(0);
    await bench.pass(11_000);
    const canceled = await job.trigger(1);
    await turns();
    await runs.cancel(canceled.id);
    await bench.pass(5000);

    const [late, stopped] = spans.named("process mail");

    expect(attributesOf(late!)).toMatchObject({ "tasker.outcome": "timeout", "error.type": "AttemptTimeout" });
    expect(attributesOf(stopped!)["tasker.outcome"]).toBe("canceled");
    ends.forEach((end) => end.resolve());
  });

  test("whose lease is lost ends", async () => {
    const job = defineJob({ id: "mail", schema: z.any(), handler: (_, ctx) => (ctx.progress(1), deferred().promise) });
    const bench = await aBench({ jobs: [job] }, (store) => withRuns(store, () => ({ note: async (batch) => batch })));
    configure({ store: bench.runtime.store });

    await job.trigger({});
    await bench.pass(1000);

    const lost = { "tasker.outcome": "lost", "error.type": "LeaseLost" };
    expect(attributesOf(spans.one("process mail"))).toMatchObject(lost);
  });

  test("whose handler is left behind at the end of its process ends", async () => {
    const { job, bench } = await traced(() => deferred().promise);
    await job.trigger({});
    await bench.pass(1000);

    await bench.stop();

    const left = { "tasker.outcome": "lost", "error.type": "Stopping" };
    expect(attributesOf(spans.one("process mail"))).toMatchObject(left);
  });

  test("of a schedule, or of a hook, says so", async () => {
    const { job, bench } = await traced(() => 1, {
      schema: z.void(),
      schedule: { every: "1m" } as never,
      hooks: { onSuccess: () => undefined },
    });

    await bench.pass(61_000);

    const all = spans.named(`process ${job.id}`).map(attributesOf);
    expect(all).toContainEqual(expect.objectContaining({ "tasker.schedule.id": "mail" }));
    expect(all).toContainEqual(expect.objectContaining({ "tasker.hook": "success", "tasker.queue": "$hooks" }));
  });
});

describe("a workflow", () => {
  test("has a span for each step that it runs, below what is active where it asks, and none for what it replays", async () => {
    const { job, bench } = await traced(async (_, ctx) => {
      await ctx.step("load", () => 1);
      await trace.getTracer("app").startActiveSpan("phase", async (phase) => {
        await ctx.step("save", async () => void (await turns(1)));
        phase.end();
      });
      await ctx.sleep("2s");
      await ctx.step("load", () => 2);
    });

    await job.trigger({});
    await bench.pass(5000);

    const [before, after] = spans.named("process mail");
    const [first, second] = spans.named("step load");
    expect(attributesOf(before!)["tasker.outcome"]).toBe("waiting");
    expect(attributesOf(after!)["tasker.outcome"]).toBe("completed");
    expect(spans.named("step load")).toHaveLength(2);
    expect(placeOf(first!).parent).toBe(placeOf(before!).id);
    expect(placeOf(second!).parent).toBe(placeOf(after!).id);
    const inPhase = spans.named("phase").find((span) => placeOf(spans.one("step save")).parent === placeOf(span).id);
    expect(inPhase).toBeDefined();
    expect(attributesOf(spans.one("step save"))).toEqual({ "tasker.step.name": "save", "tasker.step.attempt": 1 });
  });

  test("has spans of steps that fail, are tried again, and take too long; what a step starts is below it", async () => {
    const never = new Promise<never>(() => undefined);
    const { job, bench } = await traced(
      async (_, ctx) => {
        const call = (step: { readonly attempt: number }): void => {
          trace.getTracer("app").startSpan("fetch").end();
          if (step.attempt === 1) throw new RangeError("down");
        };
        await ctx.step("call", call, { retry: { attempts: 2, delay: "1s" } });
        await ctx.step("hang", () => never, { timeout: "5s", retry: { attempts: 1 } });
      },
      { retry: { attempts: 1 } },
    );

    await job.trigger({});
    await bench.pass(10_000);

    const [bad, good] = spans.named("step call");
    expect(attributesOf(bad!)).toMatchObject({ "error.type": "RangeError", "tasker.step.attempt": 1 });
    expect(attributesOf(good!)).not.toHaveProperty("error.type");
    expect(spans.named("fetch").map((span) => placeOf(span).parent)).toEqual(
      [bad, good].map((span) => placeOf(span!).id),
    );
    expect(attributesOf(spans.one("step hang"))["error.type"]).toBe("StepTimeout");
  });

  test("gives its children its trace", async () => {
    const child = defineJob({ id: "child", schema: z.any(), handler: () => 1 });
    const { job, bench } = await traced(
      async () => {
        await child.triggerAndWait({});
        await child.batchTriggerAndWait([{ payload: 1 }, { payload: 2 }]);
      },
      {},
      [child],
    );

    await job.trigger({});
    await bench.pass(10_000);

    const [one, many] = spans.named("send child");
    const [first, ...rest] = spans.named("process child");
    expect(spans.named("send child")).toHaveLength(2);
    expect(spans.named("process mail").map((span) => placeOf(span).id)).toContain(placeOf(one!).parent);
    expect(placeOf(first!)).toMatchObject({ trace: placeOf(one!).trace, parent: placeOf(one!).id });
    expect(attributesOf(many!)["messaging.batch.message_count"]).toBe(2);
    expect(rest.map(linksOf)).toEqual([[placeOf(many!).id], [placeOf(many!).id]]);
    expect((await bench.store.find.list({ status: ["completed"], job: ["mail"] })).items).toHaveLength(1);
  });
});

describe("lines of the log", () => {
  test("name the trace and the span that is active, or that of their attempt", async () => {
    const { job, bench } = await traced(async (_, ctx) => {
      ctx.log.info("outside");
      await ctx.step("load", () => ctx.log.info("inside"));
    });

    await job.trigger({});
    await turns(40);

    const line = (message: string) => bench.lines.find((each) => each.message === message)!.fields;
    const [process, step] = [spans.one("process mail"), spans.one("step load")].map(placeOf);
    const ofAttempt = { trace_id: process!.trace, span_id: process!.id };
    expect(line("outside")).toMatchObject(ofAttempt);
    expect(line("Run started")).toMatchObject(ofAttempt);
    expect(line("Run completed")).toMatchObject(ofAttempt);
    expect(line("inside")).toMatchObject({ trace_id: process!.trace, span_id: step!.id });
  });
});

describe("what is carried", () => {
  const bag = propagation.createBaggage({ tenant: { value: "7" } });
  const handler = () => propagation.getActiveBaggage()?.getEntry("tenant")?.value ?? "none";
  const optionsOf = async (bench: Bench) => only((await bench.store.find.list({})).items).options;

  test("is the trace context, and no baggage", async () => {
    const { job, bench } = await traced(handler);

    const { id } = await context.with(propagation.setBaggage(context.active(), bag), () => job.trigger({}));
    await turns();

    const { trace: carried } = (await optionsOf(bench))!;
    expect(carried).toEqual({ traceparent: expect.stringMatching(/^00-/) as string });
    expect((await runs.get(id))?.result).toBe("none");
  });

  test("is baggage, too, where that is wanted: handlers see it", async () => {
    onTestFinished(telemetry({ baggage: true }));
    const { job } = await traced(handler);

    const { id } = await context.with(propagation.setBaggage(context.active(), bag), () => job.trigger({}));
    await turns();

    expect((await runs.get(id))?.result).toBe("7");
  });

  test("is not taken over by a replay, which has a trigger of its own", async () => {
    const { job, bench } = await traced(() => 1);
    const { id } = await job.trigger({});
    await turns();
    off();

    const again = await runs.replay(id);
    await turns();

    expect(again.id).not.toBe(id);
    const { items } = await bench.store.find.list({});
    expect(items[0]!.options).toBe(null);
  });

  test("is nothing while nobody traces, even within a span, and then no span is made", async () => {
    off();
    const { job, bench } = await traced((_, ctx) => ctx.step("load", () => 1));

    await inApp(() => job.trigger({}));
    await turns(40);

    expect(await optionsOf(bench)).toBe(null);
    expect(spans.all().map(({ name }) => name)).toEqual(["GET /"]);
    expect(bench.lines.filter(({ fields }) => "trace_id" in fields)).toEqual([]);
  });

  test("is nothing, and nothing breaks, while the application has no SDK", async () => {
    spans.stop();
    onTestFinished(telemetry());
    const { job, bench } = await traced((_, ctx) => ctx.step("load", () => 1));

    const { id } = await job.trigger({});
    await turns(40);

    expect((await runs.get(id))?.result).toBe(1);
    expect(await optionsOf(bench)).toBe(null);
  });
});

describe("telemetry", () => {
  test("is turned on by a runtime that is told to, and keeps what the application has chosen", async () => {
    off();
    const bench = idleBench({ telemetry: true });
    expect(slot().tracer).toBe(null);
    const starting = bench.runtime.start();
    await until(() => slot().tracer !== null, { what: "it traces" });
    await starting;

    onTestFinished(telemetry({ follow: "1h" }));
    const chosen = slot().tracer;
    await idleBench({ telemetry: true }).runtime.start();

    expect(slot().tracer).toBe(chosen);
  });

  test.each([
    [{ follow: "soon" }, /"soon"/],
    [{ baggage: "yes" }, /"yes"/],
    [{ folow: "1s" }, /"folow"/],
  ])("refuses %j", (options, message) => {
    expect(() => telemetry(options as never)).toThrow(message);
  });
});
