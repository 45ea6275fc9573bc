/** The API within other servers, below a path of theirs. */
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { close, configure } from "../../sdk/client/config.ts";
import { api } from "../../runtime/http/app.ts";
import { handler } from "../../runtime/http/handler.ts";
import { anApi, send, tokens, type Api } from "./kit.ts";

const [, operator] = tokens;

async function listening(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A request to whatever serves the API below `/tasker`. */
type Ask = (
  method: string,
  path: string,
  body?: object,
) => Promise<{ status: number; headers: Headers; body: unknown }>;

const hosts: Readonly<Record<string, (of: Api) => Promise<Ask>>> = {
  async Hono({ store }) {
    const app = new Hono().get("/", (c) => c.text("home"));
    app.route("/tasker", api({ target: store, tokens }));
    return fetching((request) => app.fetch(request));
  },
  async "a function of Request, as Next.js has routes"({ store }) {
    const { fetch } = api({ target: store, tokens, base: "/tasker" });
    return fetching((request) => fetch(request, { params: {} }));
  },
  async Express({ store }) {
    const app = express().use("/tasker", handler({ target: store, tokens }));
    return sending(await listening(app));
  },
  async "Express that has read the body"({ store }) {
    const app = express()
      .use(express.json())
      .use("/tasker", handler({ target: store, tokens, base: "/tasker" }));
    return sending(await listening(app));
  },
  async Fastify({ store }) {
    const app = fastify();
    const serve = handler({ target: store, tokens, base: "/tasker" });
    void app.register(async (own) => {
      own.removeAllContentTypeParsers();
      own.addContentTypeParser("*", (_request, _payload, done) => done(null));
      own.all("/tasker/*", (request, reply) => {
        reply.hijack();
        serve(request.raw, reply.raw);
      });
    });
    await app.listen({ port: 0, host: "127.0.0.1" });
    onTestFinished(() => app.close());
    return sending(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`);
  },
  async "a server of Node"({ store }) {
    return sending(await listening(handler({ target: store, tokens, base: "/tasker" })));
  },
};

function fetching(fetch: (request: Request) => Response | Promise<Response>): Ask {
  return async (method, path, body) => {
    const headers = { Authorization: `Bearer ${operator.token}`, ...(body && { "Content-Type": "application/json" }) };
    const request = new Request(`http://app.example${path}`, {
      method,
      headers,
      ...(body && { body: JSON.stringify(body) }),
    });
    const response = await fetch(request);
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === "" ? "" : (JSON.parse(text) as unknown),
    };
  };
}

function sending(url: string): Ask {
  return async (method, path, body) => send(url, method, path, { token: operator.token, ...(body && { body }) });
}

describe.each(Object.entries(hosts))("in %s", (_, made) => {
  test("runs are triggered and read, and all addresses that it tells begin with its path", async () => {
    const of = await anApi();
    const ask = await made(of);

    const added = await ask("POST", "/tasker/api/v1/jobs/hello/trigger?wait=10s", { payload: { name: "Ada" } });
    const document = await ask("GET", "/tasker/api/v1/openapi.json");
    const login = await ask("POST", "/tasker/api/v1/login", { token: operator.token });
    const missing = await ask("PUT", "/tasker/api/v1/jobs", {});

    const { id } = added.body as { id: string };
    expect(added).toMatchObject({ status: 201, body: { run: { result: { text: "hello Ada" } } } });
    expect(added.headers.get("location")).toBe(`/tasker/api/v1/runs/${id}`);
    expect((document.body as { servers: object }).servers).toEqual([{ url: "/tasker" }]);
    expect(login.headers.get("set-cookie")).toContain("; Path=/tasker; ");
    expect(missing).toMatchObject({ status: 405, body: { code: "METHOD_NOT_ALLOWED" } });
    expect(missing.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
    expect(await ask("GET", "/tasker/readyz")).toMatchObject({ status: 200 });
  });
});

test("another application keeps its own addresses, and what it answers for none", async () => {
  const { store } = await anApi();
  const app = new Hono().get("/", (c) => c.text("home")).notFound((c) => c.text("nothing of mine", 404));
  app.route("/", api({ target: store, tokens }));
  app.get("/later", (c) => c.text("later"));
  const get = async (path: string): Promise<string> => (await app.request(path)).text();

  expect(await get("/")).toBe("home");
  expect(await get("/later")).toBe("later");
  expect(await get("/nothing")).toBe("nothing of mine");
  expect(await get("/api/v1/nothing")).toContain('"code":"NOT_FOUND"');
});

test("without a target, calls go where trigger of the process goes", async () => {
  const { store } = await anApi();
  configure({ store });
  onTestFinished(close);
  const app = api({ tokens });

  const reply = await app.request("/api/v1/jobs", { headers: { Authorization: `Bearer ${operator.token}` } });

  expect(((await reply.json()) as { items: { id: string }[] }).items.map(({ id }) => id)).toEqual(["any", "hello"]);
});

test("within another server, open to anybody means to names of this machine", async () => {
  const { store } = await anApi();
  const app = api({ target: store, tokens: "none" });
  const get = async (host: string): Promise<number> =>
    (await app.request("http://x/api/v1/jobs", { headers: { Host: host } })).status;

  expect(await get("localhost:3000")).toBe(200);
  expect(await get("app.example")).toBe(421);
});

test.each([{ base: "tasker" }, { base: "/tasker/" }, { base: "/a?b" }, { port: 1 }])(
  "the options %j are refused",
  (options) => {
    expect(() => api({ ...options, tokens })).toThrow(/base|port/);
  },
);
