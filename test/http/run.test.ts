/** Jobs and runs over HTTP, against a real server. */
import { expect, test } from "vitest";
import { memory } from "../../runtime/store/memory/index.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { admin, anApi } from "./kit.ts";

test("a run is triggered, and its result is waited for", async () => {
  const api = await anApi();

  const reply = await api.post("/api/v1/jobs/hello/trigger?wait=10s", { payload: { name: "Ada" } });

  expect(reply.status).toBe(201);
  expect(reply.headers.get("location")).toBe(`/api/v1/runs/${reply.body.id}`);
  expect(reply.body).toMatchObject({ created: true, conflict: false });
  expect(reply.body.run).toMatchObject({
    status: "completed",
    result: { text: "hello Ada" },
    payload: { name: "Ada" },
  });
});

test("a wait that is too short answers with 202 and the id", async () => {
  const api = await anApi();

  const reply = await api.post("/api/v1/jobs/any/trigger?wait=50ms", { payload: 1, options: { delay: "1h" } });

  expect(reply.status).toBe(202);
  expect(reply.body).toEqual({ id: expect.stringMatching(/^run_/), created: true, conflict: false });
});

test("types that JSON lacks come back with a note, and go in with one", async () => {
  const api = await anApi();
  const at = "2030-01-01T00:00:00.000Z";

  const plain = await api.post("/api/v1/jobs/hello/trigger?wait=10s", { payload: { name: "Ada", at } });
  const noted = await api.post("/api/v1/jobs/any/trigger?wait=10s", {
    payload: { n: "12" },
    payloadMeta: { n: ["bigint"] },
  });

  expect(plain.body.run).toMatchObject({ payload: { name: "Ada", at }, payloadMeta: { at: ["Date"] } });
  expect(plain.body.run).toMatchObject({ result: { at }, resultMeta: { at: ["Date"] } });
  expect(noted.body.run).toMatchObject({
    payload: { n: "12" },
    payloadMeta: { n: ["bigint"] },
    resultMeta: { n: ["bigint"] },
  });
});

test("a payload that its job refuses names the field", async () => {
  const api = await anApi();

  const { status, headers, body } = await api.post("/api/v1/jobs/hello/trigger", { payload: { name: 7 } });

  expect(status).toBe(422);
  expect(headers.get("content-type")).toBe("application/problem+json");
  expect(body).toMatchObject({
    status: 422,
    title: "Unprocessable Content",
    code: "INVALID_PAYLOAD",
    path: "payload.name",
  });
  expect(body.detail).toContain('payload of job "hello" does not match its schema');
});

test("an unknown job answers 404 with what is near", async () => {
  const api = await anApi();

  const { status, body } = await api.post("/api/v1/jobs/helo/trigger", { payload: {} });

  expect(status).toBe(404);
  expect(body).toMatchObject({ code: "JOB_NOT_FOUND", detail: expect.stringContaining('did you mean "hello"') });
});

test("a key makes one run, given in the header or in the options", async () => {
  const api = await anApi();
  const trigger = (headers: Record<string, string>, options?: object) =>
    api.post("/api/v1/jobs/any/trigger", { payload: 1, ...(options && { options }) }, { headers });

  const first = await trigger({ "Idempotency-Key": "order-7" });
  const quoted = await trigger({ "Idempotency-Key": '"order-7"' });
  const inside = await trigger({}, { idempotencyKey: "order-7" });
  const both = await trigger({ "Idempotency-Key": "order-7" }, { idempotencyKey: "order-8" });

  expect(first).toMatchObject({ status: 201, body: { created: true } });
  expect(quoted).toMatchObject({ status: 200, body: { id: first.body.id, created: false } });
  expect(inside).toMatchObject({ status: 200, body: { id: first.body.id, created: false } });
  expect(both).toMatchObject({ status: 400, body: { code: "INVALID_INPUT", path: "Idempotency-Key" } });
});

test("jobs are listed with the JSON Schema of their payloads", async () => {
  const api = await anApi();

  const { body } = await api.get("/api/v1/jobs");
  const one = await api.get("/api/v1/jobs/hello");

  expect(body.items.map(({ id }) => id)).toEqual(["any", "hello"]);
  expect(one.body).toMatchObject({ id: "hello", description: "Greets", queue: "default" });
  expect(one.body.schema).toMatchObject({ type: "object", required: ["name"] });
  expect(await api.get("/api/v1/jobs/nope")).toMatchObject({ status: 404, body: { code: "JOB_NOT_FOUND" } });
});

test("a batch answers each item, and a bad one stops no other", async () => {
  const api = await anApi();

  const { status, body } = await api.post("/api/v1/batch", [
    { job: "hello", payload: { name: "Ada" } },
    { job: "hello", payload: {} },
    { job: "nope" },
    { payload: 1 },
    7,
    { job: "any", payload: 1, options: { delay: "soon" } },
    { job: "any", payload: null },
  ]);

  expect(status).toBe(207);
  const said = body.items.map((item) => (item.error ? item.error.code : "ok"));
  expect(said).toEqual([
    "ok",
    "INVALID_PAYLOAD",
    "JOB_NOT_FOUND",
    "INVALID_INPUT",
    "INVALID_INPUT",
    "INVALID_INPUT",
    "ok",
  ]);
  expect((await api.get("/api/v1/runs")).body.items).toHaveLength(2);
});

test("a batch of JSON lines may be longer than any other body, and names its bad lines", async () => {
  const api = await anApi();
  const line = JSON.stringify({ job: "any", payload: "x".repeat(1000), options: { delay: "1h" } });
  const text = [...Array<string>(1500).fill(line), "{", "", line].join("\n");

  const { status, body } = await api.call("POST", "/api/v1/batch", {
    text,
    headers: { "Content-Type": "application/x-ndjson" },
  });

  expect(status).toBe(207);
  expect(body.items).toHaveLength(1502);
  expect(body.items.filter((item) => "error" in item)).toEqual([
    { error: expect.objectContaining({ code: "INVALID_INPUT", path: "1501" }) },
  ]);
});

test("runs are listed by filters, page by page", async () => {
  const api = await anApi();
  for (const name of ["a", "b", "c"])
    await api.post("/api/v1/jobs/any/trigger", {
      payload: { user: name },
      options: { delay: "1h", tags: ["x,y", name] },
    });
  await api.post("/api/v1/jobs/any/trigger?wait=10s", { payload: "fail" });
  const names = async (query: string): Promise<unknown> =>
    (await api.get(`/api/v1/runs?${query}`)).body.items.map(({ payload }) => (payload as { user?: string }).user);

  expect(await names("")).toEqual([undefined, "c", "b", "a"]);
  expect(await names("status=pending,leased&job=any")).toEqual(["c", "b", "a"]);
  expect(await names("status=failed&status=canceled")).toEqual([undefined]);
  expect(await names("tags=x,y&tags=b")).toEqual(["b"]);
  expect(await names("payload[user]=c")).toEqual(["c"]);
  expect(await names("createdAfter=2999-01-01T00:00:00Z")).toEqual([]);
  const first = await api.get("/api/v1/runs?limit=3");
  expect(await names(`cursor=${first.body.next}`)).toEqual(["a"]);
});

test.each([
  ["state=failed", "state"],
  ["status=done", "status.0"],
  ["limit=0", "limit"],
  ["limit=1&limit=2", "limit"],
  ["hooks=maybe", "hooks"],
  ["ids=7", "ids.0"],
])("a query with %s is refused, for a filter that is passed over would find too much", async (query, path) => {
  const api = await anApi();

  const { status, body } = await api.get(`/api/v1/runs?${query}`);

  expect(status).toBe(400);
  expect(body).toMatchObject({ code: "INVALID_INPUT", path });
});

test("a run is shown with its attempts and logs", async () => {
  const api = await anApi();
  const { body } = await api.post("/api/v1/jobs/any/trigger?wait=10s", { payload: "fail" });

  const run = await api.get(`/api/v1/runs/${body.id}`);
  const attempts = await api.get(`/api/v1/runs/${body.id}/attempts`);
  const logs = await api.get(`/api/v1/runs/${body.id}/logs`);

  expect(run.body).toMatchObject({ status: "failed", reason: "error", error: { message: "as it was told" } });
  expect(attempts.body.items).toMatchObject([{ run: body.id, n: 1, outcome: "error" }]);
  expect(logs.body.items).toMatchObject([{ message: "called", data: { payload: "fail" } }]);
  expect(await api.get("/api/v1/runs/run_zzzz")).toMatchObject({ status: 404, body: { code: "RUN_NOT_FOUND" } });
  expect(await api.get("/api/v1/runs/7")).toMatchObject({ status: 400, body: { code: "INVALID_INPUT", path: "id" } });
});

test("a run that is waited for is answered when it ends", async () => {
  const api = await anApi();
  const { body } = await api.post("/api/v1/jobs/any/trigger", { payload: 1, options: { delay: "300ms" } });

  const ended = await api.get(`/api/v1/runs/${body.id}?wait=10s`);

  expect(ended.body).toMatchObject({ status: "completed", result: 1 });
});

test("a wait ends when the server stops", async () => {
  const store = memory();
  let waits = false;
  const awaited: typeof store.find.awaited = (...how) => ((waits = true), store.find.awaited(...how));
  const api = await anApi({ store: { ...store, find: { ...store.find, awaited } } });
  const { body } = await api.post("/api/v1/jobs/any/trigger", { payload: 1, options: { delay: "1h" } });
  const asked = api.get(`/api/v1/runs/${body.id}?wait=1m`);
  await until(() => waits, { what: "the request is waiting" });

  await api.close();

  expect(await asked).toMatchObject({ status: 200, body: { status: "pending" } });
});

test("the store alone is served, without a runtime, on Postgres", async () => {
  const database = await freshDatabase();
  const api = await anApi({ store: postgres({ url: database.url }), works: false });

  const triggered = await api.post("/api/v1/jobs/hello/trigger?wait=10s", { payload: { name: "Ada" } });
  const listed = await api.get("/api/v1/runs?status=completed", { token: admin });

  expect(triggered.body.run).toMatchObject({ status: "completed", result: { text: "hello Ada" } });
  expect(listed.body.items).toMatchObject([{ id: triggered.body.id }]);
  await api.close();
  await database.drop();
});
