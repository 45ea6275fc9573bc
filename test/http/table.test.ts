/** Every cell of the table: route × role × origin. */
import { expect, test } from "vitest";
import { mayDo } from "../../runtime/http/key.ts";
import { routes } from "../../runtime/http/routes.ts";
import type { Route } from "../../runtime/http/route.ts";
import { anApi, tokens, type Api } from "./kit.ts";

const friend = "https://app.example";
/** Where a request comes from, by its headers, and whether it may. */
const origins = {
  "a program": { headers: {}, may: () => true },
  "a page of this server": { headers: { Origin: "OWN", "Sec-Fetch-Site": "same-origin" }, may: () => true },
  "a page of an allowed origin": { headers: { Origin: friend, "Sec-Fetch-Site": "cross-site" }, may: () => true },
  "a page of another origin": {
    headers: { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" },
    may: () => false,
  },
  "a form or an image of another site": {
    headers: { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors" },
    may: () => false,
  },
  "a link of another site": {
    headers: { "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate" },
    may: ({ isPage }: Route) => isPage === true,
  },
  "a name that was made to point here": { headers: { Host: "evil.example" }, may: () => false },
} as const satisfies Record<string, { headers: Record<string, string>; may: (route: Route) => boolean }>;

const callers = [null, ...tokens];
const filled: Readonly<Record<string, string>> = {
  id: "run_zzzz",
  job: "nope",
  queue: "nope",
  token: "1",
  event: "nope",
};

async function walk(api: Api, route: Route, token: string | null, headers: Readonly<Record<string, string>>) {
  const path = route.path.replace(/\{(\w+)\}/g, (_, name: string) => filled[name]!);
  const own = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, value === "OWN" ? api.url : value]),
  );
  return api.call(route.method, path, { token, headers: own, ...(route.body && { text: "{}" }) });
}

/** The code that a cell is refused with; null: it is not. */
function refusal(route: Route, role: "read" | "operate" | "admin" | null, from: keyof typeof origins): string | null {
  if (from === "a name that was made to point here") return "HOST_REFUSED";
  if (!origins[from].may(route)) return "ORIGIN_REFUSED";
  if (route.role === null) return null;
  if (role === null) return "UNAUTHORIZED";
  return mayDo(role, route.role) ? null : "FORBIDDEN";
}

test.each(Object.keys(origins) as (keyof typeof origins)[])(
  "from %s, every route lets in the roles that it is for, and no other",
  async (from) => {
    const api = await anApi({ cors: [friend] });
    const wrong: string[] = [];

    for (const route of routes)
      for (const caller of callers) {
        const { status, headers, body } = await walk(api, route, caller?.token ?? null, origins[from].headers);
        const expected = refusal(route, caller?.role ?? null, from);
        const got = ["HOST_REFUSED", "ORIGIN_REFUSED", "UNAUTHORIZED", "FORBIDDEN"].includes(body.code)
          ? body.code
          : null;
        const isRead =
          headers.get("access-control-allow-origin") === (from === "a page of an allowed origin" ? friend : null);
        const isThere = status !== 405 && status < 500 && body.code !== "NOT_FOUND";
        if (got !== expected || !isRead || !isThere)
          wrong.push(`${route.method} ${route.path} as ${caller?.role ?? "nobody"}: ${status} ${body.code}`);
      }

    expect(routes.length).toBeGreaterThan(50);
    expect(wrong).toEqual([]);
  },
);

test("what changes something is not for readers, and what deletes or rewrites is for admins", () => {
  const isReading = ({ method, path }: Route): boolean =>
    method === "GET" || /\/(search|preview|login|logout|tickets)$/.test(path);
  const isGrave = ({ method, path }: Route): boolean =>
    (method === "DELETE" && path.includes("/runs/")) ||
    /purge$/.test(path) ||
    (method === "PUT" && path.endsWith("/steps"));

  const open = routes.filter(({ role }) => role === null).map(({ id }) => id);
  const wrong = routes.filter((route) => {
    if (route.role === null) return false;
    return route.role !== (isReading(route) ? "read" : isGrave(route) ? "admin" : "operate");
  });

  expect(open.sort()).toEqual(["health", "login", "logout", "openapi", "ready", "reference"]);
  expect(wrong.map(({ id }) => id)).toEqual([]);
});

test("every address, with every method, is in the table once", () => {
  const named = routes.map(({ method, path }) => `${method} ${path}`);

  expect(new Set(named).size).toBe(named.length);
  expect(new Set(routes.map(({ id }) => id)).size).toBe(routes.length);
});
