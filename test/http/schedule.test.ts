/** Schedules over HTTP. */
import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../../sdk/job.ts";
import { any, anApi } from "./kit.ts";

const v1 = "/api/v1";
const daily = { cron: "0 9 * * *", timezone: "Europe/Paris", payload: { user: 7 } };
const id = encodeURIComponent("any@user:7");

test("a schedule is made, read, listed, replaced and deleted", async () => {
  const api = await anApi();

  const made = await api.call("PUT", `${v1}/schedules/${id}`, {
    body: { ...daily, tags: ["a"], overlap: "skip", catchUp: { max: 3, within: "6h" } },
  });
  expect(made.status).toBe(201);
  expect(made.body).toMatchObject({
    id: "any@user:7",
    job: "any",
    key: "user:7",
    paused: false,
    declared: false,
    payload: { user: 7 },
  });
  expect(made.body["rule"]).toEqual({
    cron: "0 9 * * *",
    timezone: "Europe/Paris",
    overlap: "skip",
    catchUp: { max: 3, withinMs: 21_600_000 },
  });

  expect((await api.get(`${v1}/schedules/${id}`)).body).toMatchObject({ id: "any@user:7", tags: ["a"] });
  expect((await api.get(`${v1}/schedules?job=any&paused=false`)).body.items).toMatchObject([{ id: "any@user:7" }]);
  expect((await api.get(`${v1}/schedules?job=any&key=other`)).body.items).toEqual([]);

  const replaced = await api.call("PUT", `${v1}/schedules/${id}`, { body: { every: "90s", payload: 1 } });
  expect(replaced).toMatchObject({ status: 200, body: { rule: { everyMs: 90_000 }, tags: [], payload: 1 } });
  expect(await api.call("DELETE", `${v1}/schedules/${id}`)).toMatchObject({ status: 204 });
  expect(await api.call("DELETE", `${v1}/schedules/${id}`)).toMatchObject({
    status: 404,
    body: { code: "SCHEDULE_NOT_FOUND" },
  });
  expect(await api.get(`${v1}/schedules/${id}`)).toMatchObject({ status: 404, body: { code: "SCHEDULE_NOT_FOUND" } });
});

test("who read an older schedule does not overwrite a newer one", async () => {
  const api = await anApi();
  const put = (body: object, headers: Record<string, string> = {}) =>
    api.call("PUT", `${v1}/schedules/${id}`, { body, headers });
  const first = await put(daily, { "If-None-Match": "*" });
  const etag = first.headers.get("etag")!;
  expect((await api.get(`${v1}/schedules/${id}`)).headers.get("etag")).toBe(etag);

  const [one, other] = await Promise.all([
    put({ every: "1h" }, { "If-Match": etag }),
    put({ every: "2h" }, { "If-Match": etag }),
  ]);

  expect([one.status, other.status]).toEqual([200, 412]);
  expect(other.body).toMatchObject({ code: "CHANGED", detail: expect.stringContaining("somebody has changed it") });
  expect(other.headers.get("etag")).toBe(one.headers.get("etag"));
  expect(await put(daily, { "If-None-Match": "*" })).toMatchObject({ status: 412 });
  expect(await api.call("DELETE", `${v1}/schedules/${id}`, { headers: { "If-Match": etag } })).toMatchObject({
    status: 412,
  });
  expect(
    await api.call("DELETE", `${v1}/schedules/${id}`, { headers: { "If-Match": one.headers.get("etag")! } }),
  ).toMatchObject({ status: 204 });
  expect(await put(daily, { "If-Match": etag })).toMatchObject({
    status: 412,
    body: { detail: expect.stringContaining("does not exist any more") },
  });
});

test("a schedule is paused, resumed, triggered, backfilled and previewed", async () => {
  const api = await anApi();
  await api.call("PUT", `${v1}/schedules/${id}`, { body: daily });

  expect((await api.post(`${v1}/schedules/${id}/pause`)).body).toMatchObject({ paused: true, nextAt: null });
  expect((await api.post(`${v1}/schedules/${id}/resume`)).body).toMatchObject({
    paused: false,
    nextAt: expect.stringMatching(/Z$/),
  });
  const run = await api.post(`${v1}/schedules/${id}/trigger`);
  expect(run.status).toBe(201);
  expect((await api.get(`${v1}/runs/${run.body.id}?wait=10s`)).body).toMatchObject({
    schedule: { id: "any@user:7" },
    payload: { user: 7 },
  });
  const filled = await api.post(`${v1}/schedules/${id}/backfill`, {
    from: "2020-01-01T00:00:00Z",
    to: "2020-01-03T00:00:00Z",
  });
  expect(filled.body).toMatchObject({ ticks: 2, runs: [expect.stringMatching(/^run_/), expect.anything()] });
  const preview = await api.get(`${v1}/schedules/${id}/preview?from=2030-03-29T12:00:00Z&count=2`);
  expect(preview.body.items).toEqual([
    { tick: "2030-03-30T08:00:00.000Z", dueAt: "2030-03-30T08:00:00.000Z", changes: [] },
    {
      tick: "2030-03-31T07:00:00.000Z",
      dueAt: "2030-03-31T07:00:00.000Z",
      changes: [{ at: "2030-03-31T01:00:00.000Z", before: 60, after: 120 }],
    },
  ]);
});

test("a rule is previewed without being stored", async () => {
  const api = await anApi();

  const { body } = await api.post(`${v1}/schedules/preview`, {
    rule: { every: "1h" },
    from: "2030-01-01T00:00:00Z",
    count: 2,
  });

  expect(body.items.map((item) => item["tick"])).toEqual(["2030-01-01T01:00:00.000Z", "2030-01-01T02:00:00.000Z"]);
});

test.each([
  ["a bad cron", { cron: "every day" }, "cron"],
  ["no rule", {}, "cron"],
  ["two rules", { cron: "@daily", every: "1h" }, "every"],
  ["an unknown field", { cron: "@daily", colour: 1 }, "colour"],
  ["an unknown zone", { cron: "@daily", timezone: "Mars/Base" }, "timezone"],
])("%s is refused", async (_, body, path) => {
  const api = await anApi();

  expect(await api.call("PUT", `${v1}/schedules/${id}`, { body })).toMatchObject({
    status: 400,
    body: { code: "INVALID_INPUT", path },
  });
});

test("many are made at once, as authors write them or as lists show them, and bad ones are refused alone", async () => {
  const api = await anApi();
  const rule = { overlap: "allow", catchUp: { max: 1, withinMs: 86_400_000 } };
  const named = (key: string) => ({ job: "any", key });

  const { status, body } = await api.post(`${v1}/schedules`, [
    { ...named("a"), every: "1h", payload: 1, retry: { attempts: 7, delay: "2s" } },
    { ...named("b"), rule: { ...rule, everyMs: 60_000 }, payload: { n: "1" }, payloadMeta: { n: ["bigint"] } },
    { ...named("c"), rule: { ...rule, cron: "not a cron" } },
    { ...named("d"), rule: { ...rule, everyMs: 60_000, cron: "@daily" } },
    { job: "nope", key: "e", every: "1h" },
    { job: "nope", key: "f", rule: { ...rule, atMs: 4_102_444_800_000, catchUp: { max: 1, withinMs: null } } },
    7,
  ]);

  expect(status).toBe(207);
  expect(body.items.map((item) => item.error?.code ?? item.id)).toEqual([
    ...["any@a", "any@b", "INVALID_INPUT", "INVALID_INPUT", "JOB_NOT_FOUND", "nope@f", "INVALID_INPUT"],
  ]);
  expect(body.items[1]).toMatchObject({ payloadMeta: { n: ["bigint"] }, rule: { everyMs: 60_000 } });
  expect(body.items[0]).toMatchObject({ rule: { retry: { attempts: 7, delayMs: 2000 } } });
  const { items } = (await api.get(`${v1}/schedules`)).body;
  const again = await api.post(
    `${v1}/schedules`,
    items.map(({ job, key, rule, payload, payloadMeta, queue, priority, tags }) => ({
      job,
      key,
      rule,
      payload,
      payloadMeta,
      queue,
      priority,
      tags,
    })),
  );
  expect(again.body.items.map((item) => item["rule"])).toEqual(items.map((item) => item["rule"]));
});

test("a schedule that code declares is not overwritten", async () => {
  const nightly = defineJob({ id: "nightly", schema: z.void(), schedule: { cron: "@daily" }, handler: () => null });
  const api = await anApi({ jobs: [nightly, any] });

  expect((await api.get(`${v1}/schedules?declared=true`)).body.items).toMatchObject([
    { id: "nightly", declared: true },
  ]);
  expect(await api.call("DELETE", `${v1}/schedules/nightly`)).toMatchObject({
    status: 400,
    body: { detail: expect.stringContaining("declared in code") },
  });
  expect(await api.call("PUT", `${v1}/schedules/nightly`, { body: { every: "1h" } })).toMatchObject({ status: 400 });
});
