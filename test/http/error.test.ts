/** What goes wrong is told as problem+json, with a code, a status, and what to do. */
import { connect } from "node:net";
import { expect, test } from "vitest";
import * as errors from "../../sdk/port/error.ts";
import { statusOf } from "../../runtime/http/error.ts";
import { StoreUnavailable } from "../../sdk/port/error.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import { anApi } from "./kit.ts";

test("every code that a caller over HTTP can meet has a status", () => {
  const sources = Object.values(errors).filter(
    (made) => typeof made === "function" && made.prototype instanceof errors.TaskerError,
  );
  const codes = sources.map((made) => new (made as new (...args: unknown[]) => errors.TaskerError)("a", [], []).code);
  const inHandlers = ["ATTEMPT_TIMEOUT", "STEP_TIMEOUT", "ABORT"]; // thrown by and in handlers alone

  expect(codes.length).toBeGreaterThan(20);
  expect(codes.filter((code) => !(code in statusOf)).sort()).toEqual(inHandlers.sort());
});

test.each([
  ["an unknown address", "GET", "/api/v1/nothing", {}, 404, "NOT_FOUND"],
  ["an unknown page", "GET", "/nothing", {}, 404, "NOT_FOUND"],
  ["a wrong method", "PUT", "/api/v1/runs", {}, 405, "METHOD_NOT_ALLOWED"],
  ["an unknown method", "PURGE", "/api/v1/runs", {}, 405, "METHOD_NOT_ALLOWED"],
  [
    "another type",
    "POST",
    "/api/v1/batch",
    { text: "a=1", headers: { "Content-Type": "text/plain" } },
    415,
    "UNSUPPORTED_TYPE",
  ],
  [
    "JSON lines where they are not taken",
    "POST",
    "/api/v1/login",
    { text: "{}", headers: { "Content-Type": "application/x-ndjson" } },
    415,
    "UNSUPPORTED_TYPE",
  ],
  ["broken JSON", "POST", "/api/v1/batch", { text: '[{"job":1},\n}' }, 400, "INVALID_JSON"],
  [
    "no UTF-8",
    "POST",
    "/api/v1/batch",
    { text: Buffer.from([0x22, 0xff, 0x22]) as unknown as string },
    400,
    "INVALID_JSON",
  ],
  ["no body", "POST", "/api/v1/batch", {}, 400, "INVALID_INPUT"],
  ["a large body", "POST", "/api/v1/batch", { text: `["${"x".repeat(1024 * 1024)}"]` }, 413, "TOO_LARGE"],
  ["an unknown field", "POST", "/api/v1/jobs/any/trigger", { text: '{"payloda":1}' }, 400, "INVALID_INPUT"],
  [
    "a large payload",
    "POST",
    "/api/v1/jobs/any/trigger",
    { text: `{"payload":"${"x".repeat(300_000)}"}` },
    422,
    "NOT_STORABLE",
  ],
  [
    "a deep payload",
    "POST",
    "/api/v1/jobs/any/trigger",
    { text: `{"payload":${"[".repeat(99_999)}${"]".repeat(99_999)}}` },
    422,
    "NOT_STORABLE",
  ],
  [
    "a deep note",
    "POST",
    "/api/v1/jobs/any/trigger",
    { text: `{"payload":1,"payloadMeta":${"[".repeat(99_999)}${"]".repeat(99_999)}}` },
    422,
    "NOT_STORABLE",
  ],
  [
    "a note that is none",
    "POST",
    "/api/v1/jobs/any/trigger",
    { text: '{"payload":1,"payloadMeta":["evil"]}' },
    400,
    "INVALID_INPUT",
  ],
  ["a bad escape in the address", "GET", "/api/v1/jobs/%E0%A4%A", {}, 400, "INVALID_INPUT"],
])("%s", async (_, method, path, how, status, code) => {
  const api = await anApi();

  const reply = await api.call(method, path, how);

  expect(reply.body).toMatchObject({ status, code });
  expect(reply.status).toBe(status);
  expect(reply.headers.get("content-type")).toBe("application/problem+json");
  expect(reply.body.detail).toMatch(/./);
});

test("a wrong method is told those that are allowed, and broken JSON its place", async () => {
  const api = await anApi();

  const wrong = await api.call("PUT", "/api/v1/jobs");
  const broken = await api.call("POST", "/api/v1/batch", { text: '[{"job":1},\n}' });
  const cut = await api.call("POST", "/api/v1/batch", { text: '[{"job" 1}]' });

  expect(wrong.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
  expect(broken.body.detail).toContain('Unexpected token \'}\', "[{"job":1},\n}"');
  expect(cut.body.detail).toContain("at position 8");
});

test("a body that does not say its length is cut off where it is too large", async () => {
  const api = await anApi();
  const { port } = new URL(api.url);
  const socket = connect(Number(port), "127.0.0.1");
  const answer = new Promise<string>((resolve) => {
    let text = "";
    socket.on("data", (chunk) => (text += String(chunk)));
    socket.on("close", () => resolve(text));
    socket.on("error", () => resolve(text));
  });
  socket.write(
    "POST /api/v1/batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin-secret-of-tests\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
  );
  const chunk = "x".repeat(64 * 1024);
  for (let i = 0; i < 32; i++) socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);

  expect(await answer).toMatch(/^HTTP\/1\.1 413 /);
});

test("HEAD answers as GET does, without a body", async () => {
  const api = await anApi();

  expect(await api.call("HEAD", "/api/v1/runs")).toMatchObject({ status: 200, body: "" });
});

test("what fails inside is told without a word of it, and logged", async () => {
  const store = memory();
  const broken = { ...store, find: { ...store.find, list: () => Promise.reject(new Error("password=hunter2")) } };
  const api = await anApi({ store: broken });

  const { status, body } = await api.get("/api/v1/runs");

  expect(status).toBe(500);
  expect(body.code).toBe("INTERNAL");
  expect(JSON.stringify(body)).not.toContain("hunter2");
  expect(api.lines.some(({ level, message }) => level === "error" && message === "A request over HTTP failed")).toBe(
    true,
  );
});

test("while the store is away, calls answer 503 and the process is not ready", async () => {
  const store = memory();
  let away = false;
  const get: typeof store.find.get = async (id) => {
    if (away) throw new StoreUnavailable("the store", "gone");
    return store.find.get(id);
  };
  const api = await anApi({ store: { ...store, find: { ...store.find, get } } });
  expect(await api.get("/readyz", { token: null })).toMatchObject({ status: 200, body: { status: "ok" } });

  away = true;
  const call = await api.get("/api/v1/runs/run_1");

  expect(call).toMatchObject({ status: 503, body: { code: "STORE_UNAVAILABLE" } });
  expect(call.headers.get("retry-after")).toBe("1");
  await expect.poll(async () => (await api.get("/readyz", { token: null })).status, { timeout: 5000 }).toBe(503);
  expect((await api.get("/readyz", { token: null })).body.why).toContain("can't be reached");
  expect(await api.get("/healthz", { token: null })).toMatchObject({ status: 200 });
});

test("a runtime that has stopped is not ready", async () => {
  const api = await anApi();

  await api.runtime.stop({ grace: "0ms" });

  expect(await api.get("/readyz", { token: null })).toMatchObject({
    status: 503,
    body: { why: "the runtime is stopped" },
  });
});
