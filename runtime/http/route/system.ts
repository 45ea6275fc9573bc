/** Health, version, and getting in. */
import { createRequire } from "node:module";
import { z } from "zod";
import { cookie } from "../guard.ts";
import { documentOf } from "../openapi.ts";
import { page, policy } from "../page.ts";
import { route, type Route } from "../route.ts";
import { about, instant, name } from "../schema/value.ts";

const group = "System" as const;
const { version } = createRequire(import.meta.url)("tasker/package.json") as { version: string };
const pageHeaders = {
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "Cache-Control": "no-cache",
};
const health = name("Health", z.object({ status: z.enum(["ok", "unready"]), why: z.string().optional() }));
const session = name("Session", z.object({ name: z.string(), role: z.enum(["read", "operate", "admin"]) }));

export const systemRoutes: readonly Route[] = [
  route("health", "GET /healthz", null, {
    group,
    summary: "Whether the process lives",
    answers: { 200: health },
    handler: async () => ({ body: { status: "ok" } }),
  }),
  route("ready", "GET /readyz", null, {
    group,
    summary: "Whether the process can work",
    about: "503 while the store is away, or the loops of the runtime stall.",
    answers: { 200: health, 503: health },
    handler: async ({ server }) => {
      const why = await server.ready();
      return why === null ? { body: { status: "ok" } } : { status: 503, body: { status: "unready", why } };
    },
  }),
  route("metrics", "GET /metrics", "read", {
    group,
    summary: "What Prometheus reads of this process and its store",
    about: "Counted from the first scrape on.",
    answers: { 200: "text/plain" },
    handler: async ({ server }) => {
      const metrics = await server.metrics();
      return new Response(await metrics.text(), { headers: { "Content-Type": metrics.contentType, ...pageHeaders } });
    },
  }),
  route("openapi", "GET /api/v1/openapi.json", null, {
    group,
    summary: "This API as an OpenAPI 3.1 document",
    answers: { 200: name("Document", z.looseObject({ openapi: z.string() })) },
    handler: async ({ server, base }) => ({ body: documentOf(server.routes, version, base) }),
  }),
  route("reference", "GET /api/v1/docs", null, {
    group,
    summary: "This API as a page for people",
    answers: { 200: "text/html" },
    isPage: true,
    handler: async ({ server, base }) => {
      const headers = { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, ...pageHeaders };
      return new Response(page(documentOf(server.routes, version, base)), { headers });
    },
  }),
  route("getVersion", "GET /api/v1/version", "read", {
    group,
    summary: "The version that answers",
    answers: { 200: name("Version", z.object({ version: z.string(), api: z.literal("v1") })) },
    handler: async () => ({ body: { version, api: "v1" } }),
  }),
  route("getSession", "GET /api/v1/session", "read", {
    group,
    summary: "Who is calling, and in which role",
    answers: { 200: session },
    handler: async ({ caller: { name, role } }) => ({ body: { name, role } }),
  }),
  route("login", "POST /api/v1/login", null, {
    group,
    summary: "Log a browser in",
    about: "Sets a cookie that pages can't read and other sites can't send.",
    body: z.strictObject({ token: z.string() }),
    answers: { 200: session },
    errors: ["UNAUTHORIZED", "TOO_MANY_ATTEMPTS"],
    handler: async ({ body: { token }, server, request, base, address }) => {
      const { name, role } = await server.login(token, address);
      return { body: { name, role }, headers: server.isOpen ? {} : cookieOf(token, request, base, sessionS) };
    },
  }),
  route("logout", "POST /api/v1/logout", null, {
    group,
    summary: "Log a browser out",
    answers: { 204: null },
    handler: async ({ request, base }) => ({ status: 204, headers: cookieOf("", request, base, 0) }),
  }),
  route("createTicket", "POST /api/v1/tickets", "read", {
    group,
    summary: "Get a ticket for one stream",
    about:
      "A stream that can send no header takes it as `?ticket=…`, once, within 30 s, at the process that issued it.",
    answers: { 201: name("Ticket", z.object({ ticket: z.string(), expiresAt: about("30 s from now", instant) })) },
    handler: async ({ caller, server }) => ({ status: 201, body: server.tickets.issue(caller) }),
  }),
];

const sessionS = 12 * 3600;

function cookieOf(token: string, request: Request, base: string, lifeS: number): Readonly<Record<string, string>> {
  const isSecure = request.url.startsWith("https:") || request.headers.get("x-forwarded-proto") === "https";
  const value = `${cookie}=${token}; Path=${base || "/"}; Max-Age=${lifeS}; HttpOnly; SameSite=Strict${isSecure ? "; Secure" : ""}`;
  return { "Set-Cookie": value };
}
