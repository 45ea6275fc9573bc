/** The HTTP API of real processes. */
import { request } from "node:http";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { launch, project, tasker, type Running } from "../cli/process.ts";
import { freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { send } from "../http/kit.ts";

const jobs = `
import { defineJob } from "tasker";
import { z } from "zod";
export const hello = defineJob({
  id: "hello",
  schema: z.object({ name: z.string(), ms: z.number().default(0) }),
  handler: async ({ name, ms }) => { await new Promise((done) => setTimeout(done, ms)); return "hello " + name; },
});
`;
const secret = "operate-secret-of-tests";
const tokens = `ops:operate:${secret}, dash:read:read-secret-of-tests`;

async function place() {
  const { url, drop } = await freshDatabase();
  onTestFinished(drop);
  return { cwd: project({ "jobs/all.ts": jobs }), env: { TASKER_DATABASE_URL: url, TASKER_TOKENS: tokens } };
}

/** Where the process says that its API is. */
async function addressOf(running: Running): Promise<string> {
  await running.says("HTTP API");
  return until(() => /http:\/\/127\.0\.0\.1:\d+/.exec(running.out())?.[0], { what: "the address is told" });
}

test(
  "start --http serves beside the runs, and ends with them: a request that waits is answered",
  { timeout: 90_000 },
  async () => {
    const start = launch(["start", "--http", "0", "--grace", "20s"], await place());
    const url = await addressOf(start);
    await start.says("Runtime started");

    const done = await send(url, "POST", "/api/v1/jobs/hello/trigger?wait=20s", {
      body: { payload: { name: "Ada" } },
      token: secret,
    });
    expect(done.body.run).toMatchObject({ status: "completed", result: "hello Ada" });
    expect(await send(url, "GET", "/readyz", { token: null })).toMatchObject({ status: 200 });
    expect(await send(url, "GET", "/api/v1/runs", { token: null })).toMatchObject({ status: 401 });

    const slow = await send(url, "POST", "/api/v1/jobs/hello/trigger", {
      body: { payload: { name: "Bob", ms: 3000 } },
      token: secret,
    });
    const waiting = send(url, "GET", `/api/v1/runs/${slow.body.id}?wait=30s`, { token: secret });
    await until(
      async () =>
        (await send(url, "GET", `/api/v1/runs/${slow.body.id}`, { token: secret })).body["status"] === "running",
      { what: "it runs" },
    );
    start.child.kill("SIGTERM");

    expect(await waiting).toMatchObject({ status: 200, body: { id: slow.body.id } });
    expect(await start.ended).toBe(0);
    await expect(send(url, "GET", "/healthz")).rejects.toThrow();
    expect(start.out()).not.toContain(secret);
  },
);

test(
  "a process that serves has no connection left when it has ended, and does not wait for clients that say nothing",
  { timeout: 60_000 },
  async () => {
    const start = launch(["start", "--http", "0", "--grace", "20s"], await place());
    const { port } = new URL(await addressOf(start));
    await start.says("Runtime started");
    const mute = connect(Number(port), "127.0.0.1");
    const half = request({
      port,
      host: "127.0.0.1",
      method: "POST",
      path: "/api/v1/batch",
      headers: {
        Authorization: `Bearer ${secret}`,
        "Content-Type": "application/x-ndjson",
        "Transfer-Encoding": "chunked",
      },
    });
    half.on("error", () => undefined);
    mute.on("error", () => undefined);
    half.write('{"job":"hello","payload":{"name":"Ada"}}\n');
    await until(() => mute.readyState === "open", { what: "it is connected" });

    const sinceMs = performance.now();
    start.child.kill("SIGTERM");

    expect(await start.ended).toBe(0);
    expect(performance.now() - sinceMs).toBeLessThan(15_000);
  },
);

test.each([
  ["without tokens", ["--http", "0"], { TASKER_TOKENS: "" }, "the HTTP API has no tokens"],
  [
    "for anybody, from anywhere",
    ["--http", "0.0.0.0:0"],
    { TASKER_TOKENS: "none" },
    "open to anybody who reaches 0.0.0.0",
  ],
  [
    "with a token that is none",
    ["--http", "0"],
    { TASKER_TOKENS: `ops:${secret}` },
    "TASKER_TOKENS: token 1 is not written like name:role:secret",
  ],
  ["at an address that is none", ["--http", "here"], {}, '"here" is not [HOST:]PORT'],
  ["with a file of tokens that is not there", ["--http", "0", "--http-tokens", "@nowhere"], {}, "nowhere"],
])("start does not serve %s", { timeout: 60_000 }, async (_, flags, more, said) => {
  const { cwd, env } = await place();

  const { code, err } = await tasker(["start", ...flags], { cwd, env: { ...env, ...more } });

  expect(code).toBe(2);
  expect(err).toContain(said);
  expect(err).not.toContain(secret);
});

test(
  "dev serves on loopback without a token, also where another has the port, and shows the address",
  { timeout: 90_000 },
  async () => {
    const { cwd, env } = await place();
    const other = project({ "jobs/all.ts": jobs });
    const quiet = { ...env, TASKER_TOKENS: "" };
    const [one, two] = [
      launch(["dev", "--skip-types"], { cwd, env: quiet }),
      launch(["dev", "--skip-types"], { cwd: other, env: quiet }),
    ];
    const urls = [await addressOf(one), await addressOf(two)];
    await Promise.all([one.says("Ready"), two.says("Ready")]);

    expect(new Set(urls).size).toBe(2);
    const done = await send(urls[0]!, "POST", "/api/v1/jobs/hello/trigger?wait=20s", {
      body: { payload: { name: "Ada" } },
      token: null,
    });
    expect(done.body.run).toMatchObject({ result: "hello Ada" });
    expect(
      await send(urls[0]!, "GET", "/api/v1/runs", { token: null, headers: { Host: "evil.example" } }),
    ).toMatchObject({ status: 421 });
    expect(one.out()).not.toContain("HTTP  POST");
    for (const dev of [one, two]) dev.child.kill("SIGINT");
    expect([await one.ended, await two.ended]).toEqual([0, 0]);
  },
);
