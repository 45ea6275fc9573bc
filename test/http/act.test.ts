/** Acts on runs over HTTP. */
import { expect, test } from "vitest";
import { formatId } from "../../sdk/port/id.ts";
import { aRun, addOne } from "../kit/build.ts";
import { anApi, tokens, type Api, type Body } from "./kit.ts";

const v1 = "/api/v1";
const later = { delay: "1h" };

async function trigger(api: Api, payload: unknown, options: object = later): Promise<string> {
  return (await api.post(`${v1}/jobs/any/trigger`, { payload, options })).body.id;
}
async function failed(api: Api): Promise<string> {
  return (await api.post(`${v1}/jobs/any/trigger?wait=10s`, { payload: "fail" })).body.id;
}
const statusOf = async (api: Api, id: string): Promise<unknown> => (await api.get(`${v1}/runs/${id}`)).body["status"];

test("a run is canceled and resumed, and an act that does not fit its state is refused with it", async () => {
  const api = await anApi();
  const id = await trigger(api, 1);

  expect(await api.post(`${v1}/runs/${id}/cancel`)).toMatchObject({ status: 200, body: { id, done: "done" } });
  expect(await statusOf(api, id)).toBe("canceled");
  expect(await api.post(`${v1}/runs/${id}/retry`)).toMatchObject({
    status: 409,
    body: {
      code: "WRONG_STATE",
      run: id,
      state: "canceled",
      detail: expect.stringContaining("so it can't be retried"),
    },
  });
  expect(await api.post(`${v1}/runs/${id}/resume`)).toMatchObject({ status: 200, body: { done: "done" } });
  expect(await statusOf(api, id)).toBe("pending");
  expect(await api.post(`${v1}/runs/run_zzzz/cancel`)).toMatchObject({ status: 404, body: { code: "RUN_NOT_FOUND" } });
});

test("a failed run is tried again, and replayed as another", async () => {
  const api = await anApi();
  const id = await failed(api);

  const replayed = await api.post(`${v1}/runs/${id}/replay`);
  await api.get(`${v1}/runs/${replayed.body.id}?wait=10s`);
  expect(replayed).toMatchObject({ status: 201, body: { created: true } });
  expect(replayed.headers.get("location")).toBe(`${v1}/runs/${replayed.body.id}`);
  expect((await api.get(`${v1}/runs/${replayed.body.id}`)).body).toMatchObject({ replayOf: id, payload: "fail" });

  const other = await api.post(`${v1}/runs/${id}/replay`, { payload: { n: "1" }, payloadMeta: { n: ["bigint"] } });
  expect((await api.get(`${v1}/runs/${other.body.id}?wait=10s`)).body).toMatchObject({
    result: { n: "1" },
    replayOf: id,
  });

  expect(await api.post(`${v1}/runs/${id}/retry`)).toMatchObject({ status: 200 });
  expect((await api.get(`${v1}/runs/${id}?wait=10s`)).body).toMatchObject({ status: "failed", attempt: 2 });
});

test("a run that has not started is changed, and started at once", async () => {
  const api = await anApi();
  const id = await trigger(api, 1);

  const changed = await api.call("PATCH", `${v1}/runs/${id}`, {
    body: { payload: { n: "7" }, payloadMeta: { n: ["bigint"] }, priority: 9 },
  });
  expect(changed).toMatchObject({ status: 200, body: { id, done: "done" } });
  expect((await api.get(`${v1}/runs/${id}`)).body).toMatchObject({
    payload: { n: "7" },
    payloadMeta: { n: ["bigint"] },
    priority: 9,
  });

  expect(await api.post(`${v1}/runs/${id}/run-now`)).toMatchObject({ status: 200 });
  expect((await api.get(`${v1}/runs/${id}?wait=10s`)).body).toMatchObject({ status: "completed" });
  expect(await api.call("PATCH", `${v1}/runs/${id}`, { body: { delay: "1h" } })).toMatchObject({ status: 409 });
});

test("many runs are acted on by a filter, counted before, and told one by one", async () => {
  const api = await anApi();
  for (let i = 0; i < 5; i++) await trigger(api, i, { ...later, tags: [i % 2 ? "odd" : "even"] });
  const filter = { tags: ["even"] };

  const preview = await api.post(`${v1}/runs/cancel`, { filter, preview: true });
  expect(preview.body).toEqual({ matched: 3, items: [] });
  const canceled = await api.post(`${v1}/runs/cancel`, { filter });
  expect(canceled.body["matched"]).toBe(3);
  expect(canceled.body.items.map((item) => item["done"])).toEqual(["done", "done", "done"]);
  expect((await api.get(`${v1}/runs?status=canceled`)).body.items).toHaveLength(3);

  const resumed = await api.post(`${v1}/runs/resume`, { filter }, { headers: { Accept: "application/x-ndjson" } });
  expect(resumed.headers.get("content-type")).toBe("application/x-ndjson");
  const lines = String(resumed.body)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Body);
  expect(lines[0]).toEqual({ matched: 3 });
  expect(lines.slice(1).map((line) => [line["done"], line["status"]])).toEqual(Array(3).fill(["done", "pending"]));
});

test("an act on ids tells what became of each, and nothing is acted on by mistake", async () => {
  const api = await anApi();
  const [live, over] = [await trigger(api, 1), await failed(api)];

  const { body } = await api.post(`${v1}/runs/cancel`, { ids: [live, over, "run_zzzz"] });

  expect(body.items).toMatchObject([
    { id: live, done: "done" },
    { id: over, done: "refused", status: "failed" },
    { id: "run_zzzz", done: "missing", status: null },
  ]);
  for (const wrong of [
    {},
    { filter: {} },
    { ids: [live], filter: { job: ["any"] } },
    { filter: { jobs: ["any"] } },
    { ids: [] },
  ])
    expect(await api.post(`${v1}/runs/replay`, wrong)).toMatchObject({ status: 400, body: { code: "INVALID_INPUT" } });
});

test("runs that are over are deleted by an admin: one, an attempt, or all that match", async () => {
  const api = await anApi();
  const [id, live] = [await failed(api), await trigger(api, 1)];
  await failed(api);
  const operator = { token: tokens[1].token };

  expect(await api.call("DELETE", `${v1}/runs/${id}`, operator)).toMatchObject({ status: 403 });
  const { items } = (await api.get(`${v1}/runs/${id}/attempts`)).body;
  const attempt = `${v1}/runs/${id}/attempts/${String(items[0]!["token"])}`;
  expect(await api.call("DELETE", attempt)).toMatchObject({ status: 200, body: { deleted: true } });
  expect(await api.call("DELETE", attempt)).toMatchObject({ status: 200, body: { deleted: false } });
  expect(await api.call("DELETE", `${v1}/runs/${id}`)).toMatchObject({ status: 204 });
  expect(await api.call("DELETE", `${v1}/runs/${id}`)).toMatchObject({ status: 404 });
  expect(await api.call("DELETE", `${v1}/runs/${live}`)).toMatchObject({
    status: 409,
    body: { code: "WRONG_STATE", state: "pending" },
  });
  expect(await api.post(`${v1}/runs/purge`, {})).toMatchObject({ status: 400 });
  expect((await api.post(`${v1}/runs/purge`, { status: ["failed"], preview: true })).body).toEqual({
    matched: 1,
    purged: 0,
  });
  expect((await api.post(`${v1}/runs/purge`, { status: ["failed"] })).body).toEqual({ purged: 1 });
});

test("runs are added as a store takes them, bad ones alone refused", async () => {
  const api = await anApi();
  const { input: _, ...run } = aRun({ job: "elsewhere", delayMs: 3_600_000 });

  const { status, body } = await api.post(`${v1}/runs`, [
    { ...run, payload: { at: "2030-01-01T00:00:00.000Z" }, payloadMeta: { at: ["Date"] } },
    { ...run, payload: 1, priority: 12 },
    { ...run, payload: 1, key: { key: "a", keepMs: 1000, onConflict: "return", hash: "x" } },
    { ...run, payload: 1, key: { key: "a", keepMs: 1000, onConflict: "return", hash: "y" } },
  ]);

  expect(status).toBe(207);
  expect(body.items).toMatchObject([
    { created: true },
    { error: { code: "INVALID_INPUT", path: "priority" } },
    { created: true },
    { created: false, conflict: true },
  ]);
  const added = await api.store.find.get(Number.parseInt(body.items[0]!.id.slice(4), 36));
  expect(added).toMatchObject({
    job: "elsewhere",
    input: { json: '{"at":"2030-01-01T00:00:00.000Z"}', meta: '{"at":["Date"]}' },
  });
});

test("runs are found by a filter in the body, and by the key that they hold", async () => {
  const api = await anApi();
  const id = formatId(
    await addOne(api.store, {
      job: "any",
      delayMs: 3_600_000,
      key: { key: "k", keepMs: 1, onConflict: "return", hash: "" },
    }),
  );
  const ids = Array.from({ length: 500 }, (_, i) => formatId(i + 1));

  expect((await api.post(`${v1}/runs/search`, { ids, limit: 200 })).body.items).toMatchObject([{ id }]);
  expect((await api.post(`${v1}/runs/search`, { job: ["any"], key: "k", holds: true })).body.items).toMatchObject([
    { id },
  ]);
  expect((await api.get(`${v1}/runs?job=any&key=k&holds=true`)).body.items).toMatchObject([{ id }]);
  expect((await api.post(`${v1}/runs/search`, { job: ["any"], key: "other", holds: true })).body.items).toEqual([]);
  expect(await api.post(`${v1}/runs/search`, { key: "k", holds: true })).toMatchObject({ status: 400 });
});

test("a queue is paused and resumed", async () => {
  const api = await anApi();

  expect(await api.post(`${v1}/queues/mail/pause`)).toMatchObject({
    status: 200,
    body: { name: "mail", paused: true },
  });
  expect((await api.get(`${v1}/queues`)).body.items).toContainEqual({ name: "mail", paused: true });
  expect(await api.post(`${v1}/queues/mail/resume`)).toMatchObject({
    status: 200,
    body: { name: "mail", paused: false },
  });
  expect(await api.post(`${v1}/queues/a%20b/pause`)).toMatchObject({ status: 400, body: { code: "INVALID_INPUT" } });
});

test("nodes and figures are shown", async () => {
  const api = await anApi();
  await trigger(api, 1);
  await failed(api);

  const stats = await api.get(`${v1}/stats`);
  const short = await api.get(`${v1}/stats?lanes=false`);

  expect((await api.get(`${v1}/nodes`)).body.items).toMatchObject([{ alive: true, slots: 10, jobs: ["hello", "any"] }]);
  expect(stats.body["lanes"]).toMatchObject([{ queue: "default", job: "any", delayed: 1 }]);
  expect(short.body["lanes"]).toEqual([]);
  expect((await api.get(`${v1}/attempts?job=any`)).body.items).toMatchObject([{ job: "any", outcome: "error" }]);
  expect((await api.get(`${v1}/version`)).body).toEqual({
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    api: "v1",
  });
});
