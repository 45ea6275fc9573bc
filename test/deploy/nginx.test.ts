/** nginx with the sample before a server, where it is installed: what browsers need gets through, and as it comes. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { admin, anApi } from "../http/kit.ts";
import { until } from "../kit/until.ts";
import { freePort, has, read } from "./kit.ts";

const name = "jobs.example.com";
const isThere = has("nginx") && has("openssl");

/** nginx before a server; answers its own port. It ends with the test. */
async function startNginx(upstream: string): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-nginx-"));
  const [key, cert, port] = [join(folder, "tasker.key"), join(folder, "tasker.crt"), await freePort()];
  const made = ["-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "1", "-subj", `/CN=${name}`];
  execFileSync("openssl", ["req", "-x509", ...made], { stdio: "ignore" });
  const site = read("deploy/nginx.conf")
    .replace("127.0.0.1:4747", new URL(upstream).host)
    .replace("listen 443", `listen 127.0.0.1:${port}`)
    .replace(/^ *listen \[::\].*\n/m, "")
    .replaceAll("/etc/nginx/tls", folder);
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((path) => `${path}_temp_path ${folder};`);
  const user = process.getuid?.() === 0 ? "user root;" : "";
  const file = join(folder, "nginx.conf");
  writeFileSync(join(folder, "site.conf"), site);
  writeFileSync(
    file,
    `${user} daemon off; pid ${folder}/pid; error_log stderr; events {} http { access_log off; ${paths.join(" ")} include ${folder}/site.conf; }`,
  );
  const checked = spawnSync("nginx", ["-t", "-p", folder, "-c", file], { encoding: "utf8" });
  expect(checked).toMatchObject({ status: 0, stderr: expect.stringContaining("test is successful") as string });
  const child = spawn("nginx", ["-p", folder, "-c", file], { stdio: "ignore" });
  const ended = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  });
  await until(async () => (await get(port, "/healthz")).status === 404, { what: "nginx answers" });
  return port;
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly cookie: string;
}

async function get(
  port: number,
  path: string,
  { body, ...headers }: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const sent = request({
    host: "127.0.0.1",
    port,
    path,
    method: body ? "POST" : "GET",
    ...trusting,
    headers: { host: name, ...headers },
  });
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const parts = await response.setEncoding("utf8").toArray();
  return { status: response.statusCode!, body: parts.join(""), cookie: String(response.headers["set-cookie"]) };
}

const bearer = { authorization: `Bearer ${admin}` };
const trusting = { rejectUnauthorized: false, servername: name };

test.runIf(isThere)(
  "tasker takes what comes through nginx for a request of its own site, and nginx keeps metrics and health inside",
  async () => {
    const { url } = await anApi({ hosts: [name] });
    const port = await startNginx(url);
    const json = { "content-type": "application/json", body: JSON.stringify({ token: admin }) };
    const own = { ...json, origin: `https://${name}`, "sec-fetch-site": "same-origin" };

    const runs = await get(port, "/api/v1/runs", bearer);
    const login = await get(port, "/api/v1/login", own);
    const strange = await get(port, "/api/v1/login", { ...own, origin: "https://evil.example" });
    const inside = await Promise.all(["/metrics", "/healthz", "/readyz"].map((path) => get(port, path, bearer)));

    expect(runs).toMatchObject({ status: 200 });
    expect(login).toMatchObject({
      status: 200,
      cookie: expect.stringMatching(/; HttpOnly; SameSite=Strict; Secure/) as string,
    });
    expect(strange.status).toBe(403);
    expect(inside.map(({ status }) => status)).toEqual([404, 404, 404]);
  },
);

test.runIf(isThere)("an event passes nginx at once, not when the stream ends", async () => {
  const api = await anApi({ hosts: [name] });
  const port = await startNginx(api.url);
  const path = "/api/v1/events?types=run.completed";
  const sent = request({ host: "127.0.0.1", port, path, ...trusting, headers: { host: name, ...bearer } }).end();
  onTestFinished(() => void sent.destroy());
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  let heard = "";
  response.setEncoding("utf8").on("data", (part: string) => (heard += part));

  const { body } = await api.post("/api/v1/jobs/hello/trigger", { payload: { name: "Ada" } });

  await until(() => heard.includes(`"run":"${body.id}"`), { what: () => `the event of ${body.id} in ${heard}` });
  expect(response.complete).toBe(false);
});

test.runIf(isThere)("a WebSocket is opened through nginx, and goes both ways", async () => {
  const { url } = await anApi({ hosts: [name] });
  const port = await startNginx(url);
  const client = new WebSocket(`wss://127.0.0.1:${port}/ws`, { ...trusting, headers: { host: name, ...bearer } });
  onTestFinished(() => client.terminate());
  await once(client, "open");

  client.send(JSON.stringify({ type: "ping" }));
  const [answer] = (await once(client, "message")) as [Buffer];

  expect(JSON.parse(answer.toString())).toMatchObject({ type: "pong" });
});
