/** The application: the table of routes, served by Hono. */
import { Hono } from "hono";
import { checkKeys, wrong } from "../../sdk/port/option.ts";
import { Desk } from "./desk.ts";
import { optionKeys, type ApiOptions } from "./option.ts";
import { v1 } from "./route.ts";
import { routes } from "./routes.ts";

/** The API as a Hono application: `app.route("/tasker", api({ … }))`. Without `tokens` those of TASKER_TOKENS or TASKER_TOKENS_FILE count.
 *  @throws {InvalidInput} if there are none, unless `tokens` is "none" */
export function api(options: ApiOptions = {}): Hono {
  checkKeys("api", options, optionKeys);
  const { app, desk } = made(options);
  return app.all(`${v1}/*`, (c) => desk.refuse(c)); // within another application, whose own notFound would answer else
}

/** The application of a server that has no other: one handler a route, which Hono calls directly. */
export function alone(options: ApiOptions): Hono {
  return made(options).app;
}

function made(options: ApiOptions): { readonly app: Hono; readonly desk: Desk } {
  const app = new Hono().basePath(baseOf(options.base));
  const desk = new Desk(options);
  for (const route of routes)
    app.on(route.method, route.path.replace(/\{(\w+)\}/g, ":$1"), (c) => desk.serve(route, c));
  app.notFound((c) => desk.refuse(c));
  return { app, desk };
}

function baseOf(base = ""): string {
  if (/^(?:\/[A-Za-z0-9._~-]+)*$/.test(base)) return base;
  throw wrong("base", base, 'is not a path; write base: "/tasker"');
}
