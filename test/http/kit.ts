/** A real server of the API, beside a runtime on a store in memory, or on whatever store. */
import { request, type Agent } from "node:http";
import { onTestFinished } from "vitest";
import { z } from "zod";
import { defineJob } from "../../sdk/job.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import { createRuntime, type Runtime } from "../../runtime/runtime.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { serve, type ServeOptions } from "../../runtime/http/serve.ts";
import type { Line } from "../runtime/kit.ts";

/** A body as tests look into it: each takes the fields that are there. */
export interface Body {
  readonly [field: string]: unknown;
  readonly id: string;
  readonly items: readonly Body[];
  readonly next: string;
  readonly run: Body;
  readonly error?: Body;
  readonly code: string;
  readonly detail: string;
  readonly why: string;
  readonly schema: object;
}
export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  /** The body as JSON, or as text where it is none. */
  readonly body: Body;
}
export interface Call {
  readonly body?: unknown;
  /** A body as it is. */
  readonly text?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly token?: string | null;
  readonly agent?: Agent;
}
export interface Api {
  readonly url: string;
  readonly store: Guarded;
  readonly runtime: Runtime;
  readonly lines: Line[];
  call(method: string, path: string, call?: Call): Promise<Reply>;
  get(path: string, call?: Call): Promise<Reply>;
  post(path: string, body?: unknown, call?: Call): Promise<Reply>;
  close(): Promise<void>;
}

export const admin = "admin-secret-of-tests";
export const tokens = [
  { name: "looker", role: "read", token: "read-secret-of-tests" },
  { name: "operator", role: "operate", token: "operate-secret-of-tests" },
  { name: "boss", role: "admin", token: admin },
] as const;

export interface ApiOf extends Partial<Omit<ServeOptions, "target" | "runtime">> {
  readonly store?: Guarded;
  readonly jobs?: readonly JobSpec[];
  /** False: the store alone is served. */
  readonly works?: boolean;
}

/** Greets. */
export const hello = defineJob({
  id: "hello",
  description: "Greets",
  schema: z.object({ name: z.string(), at: z.date().optional() }),
  output: z.object({ text: z.string(), at: z.date().optional() }),
  handler: ({ name, at }) => ({ text: `hello ${name}`, ...(at && { at }) }),
});
/** Takes anything, and fails if it is told to. */
export const any = defineJob({
  id: "any",
  schema: z.any(),
  retry: { attempts: 1 },
  handler: (payload: unknown, ctx) => {
    ctx.log.info("called", { payload });
    if (payload === "fail") throw new Error("as it was told");
    return payload;
  },
});

/** Starts a server on a port of its own; it stops when the test has ended. */
export async function anApi({
  store = memory(),
  jobs = [hello, any],
  works = true,
  ...options
}: ApiOf = {}): Promise<Api> {
  const lines: Line[] = [];
  const write = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, message, fields: fields as Line["fields"] });
  const logger = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  const runtime = createRuntime({ store, jobs, logger, slots: 10 });
  await runtime.start();
  const target = works ? runtime.store : store;
  const served = await serve({
    listen: "0",
    tokens,
    logger,
    target,
    ...(works && { runtime }),
    ...options,
  });
  const close = async (): Promise<void> => {
    await served.close(500);
    await runtime.stop({ grace: "0ms" });
  };
  onTestFinished(close);
  const call = (method: string, path: string, how: Call = {}): Promise<Reply> => send(served.url, method, path, how);
  return {
    ...{ url: served.url, store: runtime.store, runtime, lines, call, close },
    get: (path, how) => call("GET", path, how),
    post: (path, body, how) => call("POST", path, { body, ...how }),
  };
}

/** Sends a request as it is written: Node's client, unlike fetch, takes any header. */
export async function send(
  url: string,
  method: string,
  path: string,
  { body, text, headers, token = admin, agent }: Call = {},
): Promise<Reply> {
  const sent = text ?? (body === undefined ? undefined : JSON.stringify(body));
  return new Promise((resolve, reject) => {
    const outgoing = request(
      new URL(url),
      {
        method,
        path,
        agent,
        headers: {
          ...(sent !== undefined && { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(sent) }),
          ...(token !== null && { Authorization: `Bearer ${token}` }),
          ...headers,
        },
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        if (/event-stream/.test(incoming.headers["content-type"] ?? "")) setImmediate(() => incoming.destroy()); // it has no end
        incoming.on("close", () => incoming.emit("end"));
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
        incoming.on("error", reject);
        incoming.on("end", () => {
          const got = new Headers();
          for (let i = 0; i < incoming.rawHeaders.length; i += 2)
            got.append(incoming.rawHeaders[i]!, incoming.rawHeaders[i + 1]!);
          resolve({
            status: incoming.statusCode!,
            headers: got,
            body: parsed(Buffer.concat(chunks).toString()) as Body,
          });
        });
      },
    );
    outgoing.on("error", reject);
    outgoing.end(sent);
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
