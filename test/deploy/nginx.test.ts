/** nginx with the sample before a server, where it is installed: what browsers need gets through, and as it comes. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { serve } from "../../runtime/http/index.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import { until } from "../kit/until.ts";
import { freePort, has, read } from "./kit.ts";

const name = "jobs.example.com";
const isThere = has("nginx") && has("openssl");

/** nginx before a port of this machine; answers its own port. It ends with the test. */
async function startNginx(upstream: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "tasker-nginx-"));
  const [key, cert, port] = [join(folder, "tasker.key"), join(folder, "tasker.crt"), await freePort()];
  const made = ["-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "1", "-subj", `/CN=${name}`];
  execFileSync("openssl", ["req", "-x509", ...made], { stdio: "ignore" });
  const site = read("deploy/nginx.conf")
    .replace("127.0.0.1:4747", `127.0.0.1:${upstream}`)
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

const trusting = { rejectUnauthorized: false, servername: name };

test.runIf(isThere)(
  "tasker takes what comes through nginx for a request of its own site, and nginx keeps metrics and health inside",
  async () => {
    const token = "a".repeat(32);
    const tokens = [{ name: "ops", role: "admin", token }] as const;
    const served = await serve({ target: memory(), listen: "0", tokens, hosts: [name] });
    onTestFinished(() => served.close());
    const port = await startNginx(Number(new URL(served.url).port));
    const json = { "content-type": "application/json", body: JSON.stringify({ token }) };

    const runs = await get(port, "/api/v1/runs", { authorization: `Bearer ${token}` });
    const login = await get(port, "/api/v1/login", {
      ...json,
      origin: `https://${name}`,
      "sec-fetch-site": "same-origin",
    });
    const strange = await get(port, "/api/v1/login", {
      ...json,
      origin: "https://evil.example",
      "sec-fetch-site": "cross-site",
    });
    const inside = await Promise.all(["/metrics", "/healthz", "/readyz"].map((path) => get(port, path)));

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
  const port = await startNginx(
    await listening(
      createServer((_, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write("data: 1\n\n"); // and nothing more
      }),
    ),
  );

  const sent = request({ host: "127.0.0.1", port, path: "/api/v1/events", ...trusting, headers: { host: name } }).end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const [part] = (await once(response, "data")) as [Buffer];

  expect(String(part)).toBe("data: 1\n\n");
  sent.destroy();
});

test.runIf(isThere)("a WebSocket is opened through nginx, and goes both ways", async () => {
  const server = createServer().on("upgrade", ({ headers }, socket) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: ${headers.upgrade}\r\nconnection: ${headers.connection}\r\n\r\n`,
    );
    socket.pipe(socket);
  });
  const port = await startNginx(await listening(server));
  const socket = connect({ host: "127.0.0.1", port, ...trusting });
  onTestFinished(() => void socket.destroy());
  let heard = "";
  socket.setEncoding("latin1").on("data", (part: string) => (heard += part));

  socket.write(
    `GET /ws HTTP/1.1\r\nhost: ${name}\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${btoa("0123456789abcdef")}\r\n\r\n`,
  );
  await until(() => heard.includes("\r\n\r\n"), { what: "the handshake is answered" });
  socket.write("echo");
  await until(() => heard.endsWith("echo"), { what: "what was sent has come back" });

  expect(heard).toMatch(/^HTTP\/1\.1 101 .*upgrade: websocket\r\n/is);
});

async function listening(server: Server): Promise<number> {
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as AddressInfo).port;
}
