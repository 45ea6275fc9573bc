/** Workflows over HTTP: signals, tokens, journals. */
import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../../sdk/job.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { anApi, type Api } from "./kit.ts";

const v1 = "/api/v1";
let token = "";

const order = defineJob({
  id: "order",
  schema: z.object({ n: z.number() }),
  handler: async ({ n }, ctx) => {
    const doubled = await ctx.step("double", () => n * 2);
    const paid = await ctx.waitFor<{ cents: bigint }>("paid");
    return { doubled, cents: paid.cents };
  },
});
const approval = defineJob({
  id: "approval",
  schema: z.void(),
  handler: async (_, ctx) => {
    const made = await ctx.token<string>();
    token = made.id;
    return made.wait();
  },
});

async function waits(api: Api, job: string, payload?: unknown): Promise<string> {
  const { id } = (await api.post(`${v1}/jobs/${job}/trigger`, { payload })).body;
  await until(async () => (await api.get(`${v1}/runs/${id}`)).body["status"] === "waiting", { what: `${job} waits` });
  return id;
}

test("a workflow goes on by a signal, and its journal tells what it did and who sent what", async () => {
  const api = await anApi({ jobs: [order] });
  const id = await waits(api, "order", { n: 21 });

  const sent = await api.post(`${v1}/runs/${id}/signals/paid`, {
    payload: { cents: "100" },
    payloadMeta: { cents: ["bigint"] },
    by: "till 4",
  });
  const run = await api.get(`${v1}/runs/${id}?wait=10s`);

  expect(sent.status).toBe(204);
  expect(run.body).toMatchObject({
    status: "completed",
    result: { doubled: 42, cents: "100" },
    resultMeta: { cents: ["bigint"] },
  });
  const { items } = (await api.get(`${v1}/runs/${id}/steps`)).body;
  expect(items).toMatchObject([
    { n: 1, kind: "step", key: "double", value: 42 },
    { kind: "wait", key: "paid" },
    { kind: "mail", key: "paid", value: { cents: "100" }, valueMeta: { cents: ["bigint"] }, data: { by: "till 4" } },
  ]);
  expect((await api.get(`${v1}/runs/${id}/history`)).body).toMatchObject({
    run: { id },
    entries: [{ key: "double" }, {}, {}],
  });
  expect(await api.post(`${v1}/runs/${id}/signals/paid`, {})).toMatchObject({
    status: 409,
    body: { code: "WRONG_STATE" },
  });
  expect(await api.post(`${v1}/runs/run_zzzz/signals/paid`, {})).toMatchObject({ status: 404 });
});

test("workflows on Postgres are steered alike", async () => {
  const database = await freshDatabase();
  const api = await anApi({ jobs: [order], store: postgres({ url: database.url }) });
  const id = await waits(api, "order", { n: 1 });

  expect((await api.get(`${v1}/runs/${id}`)).body).toMatchObject({
    reason: "signal",
    dueAt: expect.stringMatching(/Z$/),
  });
  expect(await api.post(`${v1}/runs/${id}/signals/paid`, { payload: { cents: 1 } })).toMatchObject({ status: 204 });
  expect((await api.get(`${v1}/runs/${id}?wait=10s`)).body).toMatchObject({ result: { doubled: 2, cents: 1 } });
  await api.close();
  await database.drop();
});

test("events go to many workflows at once, by id or by job and key", async () => {
  const api = await anApi({ jobs: [order] });
  const id = await waits(api, "order", { n: 1 });
  const { id: keyed } = (
    await api.post(`${v1}/jobs/order/trigger`, { payload: { n: 2 } }, { headers: { "Idempotency-Key": "o-2" } })
  ).body;

  const { body } = await api.post(`${v1}/signals`, [
    { to: id, name: "paid", payload: { cents: 1 } },
    { to: { job: "order", key: "o-2" }, name: "paid", payload: { cents: 2 } },
    { to: "run_zzzz", name: "paid" },
  ]);

  expect(body.items).toMatchObject([{ id, done: "sent" }, { id: keyed, done: "sent" }, { done: "missing" }]);
  expect((await api.get(`${v1}/runs/${keyed}?wait=10s`)).body).toMatchObject({ result: { doubled: 4, cents: 2 } });
});

test("a token is answered once", async () => {
  const api = await anApi({ jobs: [approval] });
  const id = await waits(api, "approval");

  expect(await api.post(`${v1}/complete`, { token, payload: "yes" })).toMatchObject({ status: 204 });
  expect((await api.get(`${v1}/runs/${id}?wait=10s`)).body).toMatchObject({ result: "yes" });
  expect(await api.post(`${v1}/complete`, { token: "tok_1.short" })).toMatchObject({
    status: 400,
    body: { code: "INVALID_INPUT" },
  });
});

test("the journal of a workflow that waits is replaced, and mended by name", async () => {
  const api = await anApi({ jobs: [order] });
  const [first, second] = [await waits(api, "order", { n: 1 }), await waits(api, "order", { n: 2 })];
  const { items } = (await api.get(`${v1}/runs/${first}/steps`)).body;

  const entries = [{ ...items[0], value: 1000 }, ...items.slice(1)];
  const replaced = await api.call("PUT", `${v1}/runs/${first}/steps`, { body: { items: entries, last: items.length } });
  const stale = await api.call("PUT", `${v1}/runs/${first}/steps`, { body: { items: entries, last: 99 } });
  const mended = await api.post(`${v1}/runs/${second}/fix`, { from: "double" });

  expect(replaced.body).toMatchObject({ id: first, done: "done" });
  expect(stale.body).toMatchObject({ id: first, done: "refused" });
  expect(mended.body).toEqual({ id: second, done: "done" });
  for (const id of [first, second]) await api.post(`${v1}/runs/${id}/signals/paid`, { payload: { cents: 5 } });
  expect((await api.get(`${v1}/runs/${first}?wait=10s`)).body).toMatchObject({ result: { doubled: 1000 } });
  expect((await api.get(`${v1}/runs/${second}?wait=10s`)).body).toMatchObject({ result: { doubled: 4 } });
});

test("a workflow is replayed from a step on", async () => {
  const api = await anApi({ jobs: [order] });
  const id = await waits(api, "order", { n: 1 });
  await api.post(`${v1}/runs/${id}/signals/paid`, { payload: { cents: 5 } });
  await api.get(`${v1}/runs/${id}?wait=10s`);

  const one = await api.post(`${v1}/runs/${id}/replay`, { from: "paid" });
  const many = await api.post(`${v1}/runs/replay`, { ids: [id], from: "nope" });

  expect((await api.get(`${v1}/runs/${one.body.id}/steps`)).body.items[0]).toMatchObject({ key: "double", value: 2 });
  expect(many.body.items).toMatchObject([{ id, done: "refused", why: expect.stringContaining('no step "nope"') }]);
});

test("text that a store can't keep is refused in a journal", async () => {
  const api = await anApi({ jobs: [order] });
  const id = await waits(api, "order", { n: 1 });
  const { items } = (await api.get(`${v1}/runs/${id}/steps`)).body;

  const { status, body } = await api.call("PUT", `${v1}/runs/${id}/steps`, {
    body: { items: [{ ...items[0], data: { at: "\0" } }], last: items.length },
  });

  expect(status).toBe(400);
  expect(body.detail).toContain("NUL");
});
