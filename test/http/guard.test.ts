/** Who may call, from where, and what is told to those who may not. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { api } from "../../runtime/http/app.ts";
import { tokensIn, type HttpToken } from "../../sdk/client/token.ts";
import { digestOf, keysOf } from "../../runtime/http/key.ts";
import { serve } from "../../runtime/http/serve.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import { until } from "../kit/until.ts";
import { admin, anApi, tokens } from "./kit.ts";

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

test("a call without a token is refused, and told how to send one", async () => {
  const server = await anApi();

  const { status, headers, body } = await server.get("/api/v1/runs", { token: null });

  expect(status).toBe(401);
  expect(headers.get("www-authenticate")).toBe('Bearer realm="tasker"');
  expect(body).toMatchObject({
    code: "UNAUTHORIZED",
    detail: expect.stringContaining("Authorization: Bearer <token>"),
  });
});

test.each([
  ["a wrong token", "Bearer wrong-secret-of-tests"],
  ["another scheme", "Basic YTpi"],
  ["an empty one", "Bearer "],
])("%s is refused", async (_, Authorization) => {
  const server = await anApi();

  expect(await server.get("/api/v1/runs", { token: null, headers: { Authorization } })).toMatchObject({ status: 401 });
});

test("a role may do what it is for, and no more", async () => {
  const server = await anApi();
  const trigger = (token: string) => server.post("/api/v1/jobs/any/trigger", { payload: 1 }, { token });

  expect(await server.get("/api/v1/runs", { token: tokens[0].token })).toMatchObject({ status: 200 });
  expect(await trigger(tokens[0].token)).toMatchObject({
    status: 403,
    body: { code: "FORBIDDEN", detail: 'token "looker" has the role read, and this needs operate; use another token' },
  });
  expect(await trigger(tokens[1].token)).toMatchObject({ status: 201 });
  expect(await trigger(admin)).toMatchObject({ status: 201 });
});

test("tokens are taken as digests, too, and by a function that may change its answer", async () => {
  let now = "first-secret-of-tests";
  const keys = keysOf(
    () => [{ name: "a", role: "read", sha256: sha256(now) }],
    () => undefined,
  );

  expect(await keys.find(digestOf("first-secret-of-tests"))).toEqual({ name: "a", role: "read" });
  now = "second-secret-of-tests";
  await until(async () => (await keys.find(digestOf("second-secret-of-tests"))) !== null, {
    what: "the new token counts",
  });
  expect(await keys.find(digestOf("first-secret-of-tests"))).toBeNull();
});

test("a file of tokens is read again when it changes, and what can't be read leaves those before", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tasker-tokens-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "tokens");
  writeFileSync(file, "# who\na:read:first-secret-of-tests\nb:admin:sha256:" + sha256("b-secret-of-the-tests"));
  const warned: string[] = [];
  const keys = keysOf({ file }, (message) => warned.push(message));
  expect(await keys.find(digestOf("first-secret-of-tests"))).toEqual({ name: "a", role: "read" });
  expect(await keys.find(digestOf("b-secret-of-the-tests"))).toEqual({ name: "b", role: "admin" });

  writeFileSync(file, "a:operate:second-secret-of-tests");
  await until(async () => (await keys.find(digestOf("second-secret-of-tests")))?.role === "operate", {
    what: "the file is read again",
  });
  expect(await keys.find(digestOf("first-secret-of-tests"))).toBeNull();

  writeFileSync(file, "not a token with a-secret-in-it");
  await until(async () => (await keys.find(digestOf("second-secret-of-tests"))) && warned.length > 0, {
    what: "it is warned of",
  });
  expect(warned[0]).not.toContain("a-secret-in-it");
});

test.each([
  ["name:role", "is not written like name:role:secret"],
  ["a:read:short", "is not 16 to 512"],
  ["a:owner:long-enough-secret", "is none of read, operate, admin"],
  ["a:read:long-enough-secret a:admin:another-long-secret", "two tokens have one name"],
])("tokens like %s are refused", (text, said) => {
  expect(() => keysOf(tokensIn(text) as readonly HttpToken[], () => undefined)).toThrow(said);
});

test("wrong tokens from one address are refused unread after a while, and a caller that came in before is not", async () => {
  const server = await anApi();
  await server.get("/api/v1/runs");

  const statuses = [];
  for (let i = 0; i < 12; i++)
    statuses.push((await server.get("/api/v1/runs", { token: `wrong-secret-number-${i}` })).status);
  const login = await server.post("/api/v1/login", { token: tokens[1].token }, { token: null });

  expect(statuses.slice(0, 10)).toEqual(Array(10).fill(401));
  expect(statuses.at(-1)).toBe(429);
  expect(login).toMatchObject({ status: 429, body: { code: "TOO_MANY_ATTEMPTS" } });
  expect(login.headers.get("retry-after")).toBe("5");
  expect(await server.get("/api/v1/runs")).toMatchObject({ status: 200 });
});

test("a browser logs in, and its cookie can be read by no page and sent by no other site", async () => {
  const server = await anApi();

  const login = await server.post("/api/v1/login", { token: tokens[1].token }, { token: null });
  const cookie = login.headers.get("set-cookie")!;
  const Cookie = `other=1; ${cookie.split(";")[0]!}`;

  expect(login.body).toEqual({ name: "operator", role: "operate" });
  expect(cookie).toMatch(/^tasker_token=.*; Path=\/; Max-Age=\d+; HttpOnly; SameSite=Strict$/);
  expect((await server.get("/api/v1/session", { token: null, headers: { Cookie } })).body).toEqual(login.body);
  const out = await server.post("/api/v1/logout", undefined, { token: null, headers: { Cookie } });
  expect(out).toMatchObject({ status: 204 });
  expect(out.headers.get("set-cookie")).toMatch(/^tasker_token=; Path=\/; Max-Age=0;/);
  expect(await server.post("/api/v1/login", { token: "wrong-secret-of-tests" }, { token: null })).toMatchObject({
    status: 401,
  });
});

test.each([
  ["its own page", { Origin: "http://HOST", "Sec-Fetch-Site": "same-origin" }, 200],
  ["an address that was typed", { "Sec-Fetch-Site": "none" }, 200],
  ["a page of another site", { Origin: "http://evil.example", "Sec-Fetch-Site": "cross-site" }, 403],
  ["a page of another port", { Origin: "http://127.0.0.1:1" }, 403],
  ["a page of a sibling", { "Sec-Fetch-Site": "same-site" }, 403],
  ["a sandboxed page", { Origin: "null" }, 403],
  ["a link or an image of another site", { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors" }, 403],
  ["a page that has an allowed origin", { Origin: "https://app.example", "Sec-Fetch-Site": "cross-site" }, 200],
])("a request of %s", async (_, headers: Readonly<Record<string, string>>, status) => {
  const server = await anApi({ cors: ["https://app.example"] });
  const own = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, value.replace("HOST", new URL(server.url).host)]),
  );

  const reply = await server.get("/api/v1/runs", { headers: own });

  expect(reply.status).toBe(status);
  expect(reply.headers.get("access-control-allow-origin")).toBe(
    headers["Origin"] === "https://app.example" ? headers["Origin"] : null,
  );
});

test("a preflight is answered for an allowed origin alone", async () => {
  const server = await anApi({ cors: ["https://app.example"] });
  const ask = (Origin: string) =>
    server.call("OPTIONS", "/api/v1/runs", {
      token: null,
      headers: { Origin, "Access-Control-Request-Method": "POST" },
    });

  const good = await ask("https://app.example");

  expect(good.status).toBe(204);
  expect(good.headers.get("access-control-allow-headers")).toContain("Authorization");
  expect(await ask("https://app.example.evil.example")).toMatchObject({ status: 403 });
});

test("on loopback, a name that was made to point here is refused, also with a token", async () => {
  const server = await anApi({ hosts: ["tasker.example"] });
  const get = (Host: string) => server.get("/api/v1/runs", { headers: { Host } });

  expect(await get("evil.example")).toMatchObject({ status: 421, body: { code: "HOST_REFUSED" } });
  expect(await get("localhost:4747")).toMatchObject({ status: 200 });
  expect(await get("Tasker.Example")).toMatchObject({ status: 200 });
});

test("anybody may call a server on loopback that says so, and no other bind allows that", async () => {
  const server = await anApi({ tokens: "none" });
  const target = memory();

  expect(await server.post("/api/v1/jobs/any/trigger", { payload: 1 }, { token: null })).toMatchObject({ status: 201 });
  await expect(serve({ listen: "0.0.0.0:0", target, tokens: "none" })).rejects.toThrow(
    "open to anybody who reaches 0.0.0.0",
  );
  await expect(serve({ listen: "0", target })).rejects.toThrow("the HTTP API has no tokens");
  expect(() => api({ target })).toThrow("the HTTP API has no tokens");
});

test("the log has a line a request, and no secret of it", async () => {
  const server = await anApi();
  await server.get("/api/v1/runs?key=secret-in-the-address", { headers: { Cookie: "a=b" } });
  await server.get("/api/v1/nothing/secret-in-the-address");

  const lines = server.lines.filter(({ message }) => message === "HTTP");

  expect(lines.map(({ fields }) => ({ ...fields, ms: 0 }))).toEqual([
    { method: "GET", route: "/api/v1/runs", status: 200, ms: 0, by: "boss" },
    { method: "GET", route: null, status: 404, ms: 0, by: "anybody" },
  ]);
  expect(JSON.stringify(server.lines)).not.toMatch(/secret/);
});
