/** Health, version, and getting in. */
import { createRequire } from "node:module";
import { z } from "zod";
import { cookie } from "../guard.ts";
import { route, v1, type Route } from "../route.ts";
import { about, instant, name } from "../schema/value.ts";

const group = "System";
const { version } = createRequire(import.meta.url)("tasker/package.json") as { version: string };
const health = name("Health", z.object({ status: z.enum(["ok", "unready"]), why: z.string().optional() }));
const session = name("Session", z.object({ name: z.string(), role: z.enum(["read", "operate", "admin"]) }));

export const systemRoutes: readonly Route[] = [
  route({
    ...{ method: "GET", path: "/healthz", role: null, group, summary: "Whether the process lives" },
    answers: { 200: health },
    handler: async () => ({ body: { status: "ok" } }),
  }),
  route({
    ...{ method: "GET", path: "/readyz", role: null, group, summary: "Whether the process can work" },
    about: "503 while the store is away, or the loops of the runtime stall.",
    answers: { 200: health, 503: health },
    handler: async ({ server }) => {
      const why = await server.ready();
      return why === null ? { body: { status: "ok" } } : { status: 503, body: { status: "unready", why } };
    },
  }),
  route({
    ...{ method: "GET", path: `${v1}/version`, role: "read", group, summary: "The version that answers" },
    answers: { 200: name("Version", z.object({ version: z.string(), api: z.literal("v1") })) },
    handler: async () => ({ body: { version, api: "v1" } }),
  }),
  route({
    ...{ method: "GET", path: `${v1}/session`, role: "read", group, summary: "Who is calling, and in which role" },
    answers: { 200: session },
    handler: async ({ caller: { name, role } }) => ({ body: { name, role } }),
  }),
  route({
    ...{ method: "POST", path: `${v1}/login`, role: null, group, summary: "Log a browser in" },
    about: "Sets a cookie that pages can't read and other sites can't send.",
    body: z.strictObject({ token: z.string() }),
    answers: { 200: session },
    errors: ["UNAUTHORIZED", "TOO_MANY_ATTEMPTS"],
    handler: async ({ body: { token }, server, request, base, address }) => {
      const { name, role } = await server.login(token, address);
      return { body: { name, role }, headers: server.isOpen ? {} : cookieOf(token, request, base, sessionS) };
    },
  }),
  route({
    ...{ method: "POST", path: `${v1}/logout`, role: null, group, summary: "Log a browser out" },
    answers: { 204: null },
    handler: async ({ request, base }) => ({ status: 204, headers: cookieOf("", request, base, 0) }),
  }),
  route({
    ...{ method: "POST", path: `${v1}/tickets`, role: "read", group, summary: "Get a ticket for one stream" },
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
