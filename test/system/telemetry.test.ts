/** Metrics and traces of real processes. */
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { launch, project } from "../cli/process.ts";
import { send } from "../http/kit.ts";
import { freshDatabase } from "../kit/database.ts";
import { has, promtool, scraped, valueOf } from "../kit/scrape.ts";
import { until } from "../kit/until.ts";
import { root } from "../deploy/kit.ts";

/** As an application sets OpenTelemetry up, but that spans are written to stderr. */
const instrumentation = `
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { BasicTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
const write = ({ name, parentSpanContext, spanContext }, { traceId, spanId }) =>
  process.stderr.write("span " + JSON.stringify({ name, parent: parentSpanContext?.spanId, traceId, spanId }) + "\\n");
const exporter = {
  export: (spans, done) => (spans.forEach((span) => write(span, span.spanContext())), done({ code: 0 })),
  shutdown: async () => undefined,
};
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
`;

interface Told {
  readonly name: string;
  readonly parent?: string;
  readonly traceId: string;
  readonly spanId: string;
}

test(
  "start --http --telemetry shows metrics, makes spans that the application's SDK gets, and names them in its log",
  { timeout: 90_000 },
  async () => {
    const { url, drop } = await freshDatabase();
    onTestFinished(drop);
    const cwd = project({ "instrumentation.mjs": instrumentation });
    symlinkSync(join(root, "node_modules/@opentelemetry"), join(cwd, "node_modules/@opentelemetry"));
    const env = {
      ...{ TASKER_DATABASE_URL: url, TASKER_TOKENS: "ops:operate:operate-secret-of-tests" },
      NODE_OPTIONS: "--import ./instrumentation.mjs",
    };
    const start = launch(["start", "--http", "0", "--telemetry", "true"], { cwd, env });
    await start.says("Runtime started");
    const at = await until(() => /http:\/\/127\.0\.0\.1:\d+/.exec(start.out())?.[0], { what: "the address is told" });
    const token = "operate-secret-of-tests";
    const scrape = async (): Promise<string> => String((await send(at, "GET", "/metrics", { token })).body);
    expect(scraped(await scrape()).types.get("tasker_worker_slots")).toBe("gauge");

    const payload = { name: "Ada" };
    await send(at, "POST", "/api/v1/jobs/hello/trigger?wait=20s", { body: { payload }, token });

    const labels = { job_name: "hello", outcome: "completed" };
    const text = await scrape();
    expect(valueOf(scraped(text).samples, "tasker_runs_finished_total", labels)).toBe(1);
    if (has("promtool")) expect(await promtool(["check", "metrics"], text)).toEqual({ code: 0, said: "" });
    await start.says('"name":"process hello"');
    const spans = [...start.err().matchAll(/^span (.*)$/gm)].map(([, json]) => JSON.parse(json!) as Told);
    const [sent, process] = ["send hello", "process hello"].map((name) => spans.find((span) => span.name === name)!);
    expect(process).toMatchObject({ traceId: sent!.traceId, parent: sent!.spanId });
    const lines = start
      .out()
      .split("\n")
      .filter((line) => line.includes('"trace_id"'));
    const said = lines.map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    expect(said.map(({ msg }) => msg)).toEqual(["greeting", "Run completed"]);
    for (const line of said) expect(line).toMatchObject({ trace_id: process!.traceId, span_id: process!.spanId });

    start.child.kill("SIGTERM");
    expect(await start.ended).toBe(0);
  },
);
