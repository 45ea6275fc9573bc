/** What is sent back. */
import type { Context } from "hono";
import { Refused } from "./error.ts";
import type { Header } from "./guard.ts";
import { v1, type Answer } from "./route.ts";
import { routes } from "./routes.ts";

const bare = { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" } as const;
const json = { ...bare, "Content-Type": "application/json" } as const;

/** An answer as JSON. */
export function respond({ status = 200, body, headers }: Answer): Response {
  if (body === undefined) return new Response(null, { status, headers: headers ? { ...bare, ...headers } : bare });
  return new Response(JSON.stringify(body), { status, headers: headers ? { ...json, ...headers } : json });
}

const patterns = routes.map(({ path, method }) => ({
  method,
  pattern: new RegExp(`^${path.replace(/[.]/g, "\\.").replace(/\{\w+\}/g, "[^/]+")}$`),
}));

/** The error for what no route answers: another method, or nothing at all. */
export function missing({ req: { path, method } }: Context): Refused {
  const at = path.indexOf(v1) < 0 ? path : path.slice(path.indexOf(v1));
  const methods: readonly string[] = patterns.filter(({ pattern }) => pattern.test(at)).map(({ method }) => method);
  if (methods.length === 0)
    return new Refused(
      "NOT_FOUND",
      `there is nothing at "${path.slice(0, 200)}"; see ${v1}/openapi.json for what there is`,
    );
  const allowed = [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].join(", ");
  return new Refused(
    "METHOD_NOT_ALLOWED",
    `${method.slice(0, 20)} is not for this address; use ${methods.join(" or ")}`,
    { Allow: allowed },
  );
}

/** Lets a page of the request's origin read the answer. */
export function shared(response: Response, header: Header): Response {
  response.headers.set("Access-Control-Allow-Origin", header("origin")!);
  response.headers.set("Access-Control-Expose-Headers", "Location, ETag, Retry-After");
  response.headers.append("Vary", "Origin");
  return response;
}

/** Tells a page of an allowed origin what it may send. */
export function preflight(): Response {
  const headers = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID",
    "Access-Control-Max-Age": "600",
  };
  return new Response(null, { status: 204, headers });
}
