/** The application: the table of routes, served by Hono. */
import { Hono, type Context } from "hono";
import type { UpgradeWebSocket } from "hono/ws";
import { target, type Open } from "../../sdk/client/config.ts";
import { tokensOf, type Tokens } from "../../sdk/client/token.ts";
import type { z } from "zod";
import { InvalidInput } from "../../sdk/port/error.ts";
import { checkKeys, checkWhole, wrong } from "../../sdk/port/option.ts";
import type { Target } from "../../sdk/port/target.ts";
import { guarded, logged, silent, type Logger } from "../core/log.ts";
import type { Runtime } from "../runtime.ts";
import { mediaType, readJson, readLines } from "./body.ts";
import { invalidOf, problemOf, Refused } from "./error.ts";
import { checkHost, checkOrigin, Gate, loopback, secretOf, unauthorized, type Header } from "./guard.ts";
import { keysOf, type Caller } from "./key.ts";
import { queryOf } from "./query.ts";
import { readiness } from "./ready.ts";
import { v1, type Answer, type Call, type Route, type Server } from "./route.ts";
import { routes } from "./routes.ts";
import { scraping } from "./scrape.ts";
import { Streams } from "./stream.ts";
import { tickets } from "./ticket.ts";

/** What the API serves, and to whom. */
export interface ApiOptions {
  /** Where runs go: a store, or a runtime's `store`. By default where `trigger` of this process goes. */
  readonly target?: Target | Open | undefined;
  /** TASKER_TOKENS or TASKER_TOKENS_FILE by default. */
  readonly tokens?: Tokens | undefined;
  /** Names under which it is reached, beside localhost, such as `tasker.example.com`. Any by default, unless anybody may call. */
  readonly hosts?: readonly string[] | undefined;
  /** Origins whose pages may call it, exact: `https://app.example.com`. None by default. */
  readonly cors?: readonly string[] | undefined;
  /** The path below which it is, where `route()` of another Hono application does not say so: `/tasker`. */
  readonly base?: string | undefined;
  /** The runtime beside it, which `/readyz` looks at. */
  readonly runtime?: Runtime | undefined;
  /** Gets a line a request. Silent by default. */
  readonly logger?: Logger | undefined;
  /** What waits answers at once when it aborts, and streams end. */
  readonly signal?: AbortSignal | undefined;
  /** How many streams of events and sockets may be open at once; 1000 by default. */
  readonly streams?: number | undefined;
  /** Hono's `upgradeWebSocket` of the platform; without it there is no `/ws`. A server of `serve` has it. */
  readonly upgrade?: UpgradeWebSocket | undefined;
}

const optionKeys = new Set([
  ...["target", "runtime", "logger", "signal", "streams", "upgrade"],
  ...["tokens", "hosts", "cors", "base"],
]);

/** The API as a Hono application: `app.route("/tasker", api({ … }))`. Without `tokens` those of TASKER_TOKENS or TASKER_TOKENS_FILE count.
 *  @throws {InvalidInput} if there are none, unless `tokens` is "none" */
export function api(options: ApiOptions = {}): Hono {
  checkKeys("api", options, optionKeys);
  const app = new Hono().basePath(baseOf(options.base));
  const desk = new Desk(options);
  for (const route of routes)
    app.on(route.method, route.path.replace(/\{(\w+)\}/g, ":$1"), (c) => desk.serve(route, c));
  const rest = (c: Context): Promise<Response> => desk.refuse(c);
  app.all(`${v1}/*`, rest); // also within another application, whose own notFound would answer else
  app.notFound(rest);
  return app;
}

function baseOf(base = ""): string {
  if (/^(?:\/[A-Za-z0-9._~-]+)*$/.test(base)) return base;
  throw wrong("base", base, 'is not a path; write base: "/tasker"');
}

/** A call of whatever route: its own schemas made what is in it. */
type Checked = Parameters<Route["handler"]>[0];

/** Takes requests in, and answers them. */
class Desk {
  readonly #server: Server;
  readonly #gate: Gate;
  readonly #hosts: readonly string[] | null;
  readonly #cors: readonly string[];
  readonly #logger: Logger;
  readonly #upgrade: UpgradeWebSocket | null;

  constructor({ target: given = target, runtime, logger = silent, signal, ...options }: ApiOptions) {
    const { tokens, hosts, cors = [], streams = 1000, upgrade = null } = options;
    const open: Open = typeof given === "function" ? given : async () => given;
    const wanted = tokens ?? tokensOf() ?? noTokens();
    this.#logger = guarded(logger);
    this.#gate = new Gate(wanted === "none" ? null : keysOf(wanted, (message) => this.#logger.warn({}, message)));
    this.#hosts = hosts
      ? [...loopback, ...hosts.map((host) => host.toLowerCase())]
      : this.#gate.isOpen
        ? loopback
        : null;
    this.#cors = cors;
    this.#upgrade = upgrade;
    const over = signal ?? new AbortController().signal;
    this.#server = {
      ...{ open, over, routes, tickets: tickets(), isOpen: this.#gate.isOpen },
      ready: readiness(open, runtime),
      streams: new Streams(checkWhole("streams", streams, 0), over),
      metrics: scraping(open, runtime, over),
      login: (secret, address) => this.#gate.admit(secret, address),
    };
  }

  /** Answers a request for a route, and writes its line. Never rejects. */
  async serve(route: Route, c: Context): Promise<Response> {
    const sinceMs = performance.now();
    const header: Header = (name) => c.req.raw.headers.get(name);
    const about = { caller: null as Caller | null, cors: {} as Readonly<Record<string, string>> };
    const response = await this.#answer(route, c, header, about).catch((error: unknown) => this.#problem(error));
    for (const [name, value] of Object.entries(about.cors)) response.headers.set(name, value);
    this.#line(route.path, c, { status: response.status, sinceMs, caller: about.caller });
    return response;
  }

  async #answer(
    route: Route,
    c: Context,
    header: Header,
    about: { caller: Caller | null; cors: Readonly<Record<string, string>> },
  ): Promise<Response> {
    checkHost(header, this.#hosts);
    if (checkOrigin(header, this.#cors, route.isPage)) about.cors = corsOf(header);
    const address = addressOf(c);
    if (route.role !== null) {
      about.caller = (route.isStream && this.#ticketOf(c)) || (await this.#gate.admit(secretOf(header), address));
      this.#gate.allow(about.caller, route.role);
    }
    const answer = await route.handler(await this.#call(route, c, { header, address, caller: about.caller ?? nobody }));
    return answer instanceof Response ? answer : respond(answer);
  }

  /** The caller of a ticket, where one is given.  @throws {Refused} for one that is used or over */
  #ticketOf(c: Context): Caller | null {
    const ticket = c.req.query("ticket");
    if (ticket === undefined) return null;
    const caller = this.#server.tickets.redeem(ticket);
    if (caller) return caller;
    throw unauthorized("the ticket is used, or over, or of another process; get another one: POST /api/v1/tickets");
  }

  async #call(route: Route, c: Context, who: Pick<Call, "header" | "address" | "caller">): Promise<Checked> {
    const request = c.req.raw;
    const { header } = who;
    const server = this.#server;
    const params = checked("the path", route.params, route.params && c.req.param());
    const query = checked("the query", route.query, queryOf(route.query, request.url));
    const isLines = route.lines !== undefined && mediaType(header) === "application/x-ndjson";
    return {
      ...{ ...who, params, query, server, request },
      body: route.body && !isLines ? await bodyOf(route, request, header) : undefined,
      lines: isLines ? readLines(request) : null,
      cut: () => outgoingOf(c)?.destroy(),
      upgrade: async (events) => {
        if (header("upgrade")?.toLowerCase() !== "websocket") throw noSocket();
        if (this.#upgrade) return this.#upgrade(c, events);
        throw new Refused("NOT_SUPPORTED", "this server has no WebSockets; read the events at /api/v1/events instead");
      },
      base: c.req.path.slice(0, Math.max(0, c.req.path.indexOf(v1))),
      get signal() {
        return AbortSignal.any([request.signal, server.over]); // made where a handler asks for it
      },
    };
  }

  /** Answers a request that is for no route. */
  async refuse(c: Context): Promise<Response> {
    const sinceMs = performance.now();
    const header: Header = (name) => c.req.raw.headers.get(name);
    let response: Response;
    try {
      checkHost(header, this.#hosts);
      const cors = checkOrigin(header, this.#cors, false);
      response = cors && c.req.method === "OPTIONS" ? preflight(header) : this.#problem(missing(c));
    } catch (error) {
      response = this.#problem(error);
    }
    this.#line(null, c, { status: response.status, sinceMs, caller: null });
    return response;
  }

  #problem(error: unknown): Response {
    const body = problemOf(error);
    if (body.status === 500) this.#logger.error({ err: logged(error) }, "A request over HTTP failed");
    const headers = error instanceof Refused ? error.headers : body.status === 503 ? { "Retry-After": "1" } : {};
    return respond({ status: body.status, body, headers: { "Content-Type": "application/problem+json", ...headers } });
  }

  /** The one place where something of a request is logged: the route, never the address that was asked for, which may hold a secret. */
  #line(
    route: string | null,
    c: Context,
    { status, sinceMs, caller }: { status: number; sinceMs: number; caller: Caller | null },
  ): void {
    const ms = Math.round((performance.now() - sinceMs) * 10) / 10;
    const run = c.req.param("id");
    const fields = {
      method: c.req.method,
      route,
      status,
      ms,
      by: caller?.name,
      ...(run?.startsWith("run_") && { run: run.slice(0, 20) }),
    };
    this.#logger[status >= 500 ? "warn" : "info"](fields, "HTTP");
  }
}

const nobody: Caller = { name: "anybody", role: "read" };

function checked(what: string, schema: z.ZodObject | undefined, value: unknown): Record<string, unknown> | undefined {
  if (!schema) return isEmpty(value) ? undefined : refuseFields(what, value as object);
  const { data, error } = schema.safeParse(value);
  if (error) throw invalidOf(what, error.issues);
  return data;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || Object.keys(value as object).length === 0;
}

function refuseFields(what: string, fields: object): never {
  const names = Object.keys(fields);
  throw invalidOf(what, [{ path: names.slice(0, 1), message: "this takes no such field; leave it out" }]);
}

async function bodyOf(route: Route, request: Request, header: Header): Promise<unknown> {
  const body = await readJson(request, header);
  if (body === undefined && route.bare) return undefined;
  const { data, error } = route.body!.safeParse(body);
  if (error) throw invalidOf("the body", error.issues);
  return data;
}

function respond({ status = 200, body, headers }: Answer): Response {
  if (body === undefined) return new Response(null, { status, headers: { ...always, ...headers } });
  return new Response(JSON.stringify(body), { status, headers: { ...always, ...json, ...headers } });
}

const json = { "Content-Type": "application/json" } as const;
const always = { "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff" } as const;

/** The error for what no route answers: another method, or nothing at all. */
function missing(c: Context): Refused {
  const { path, method } = c.req;
  const at = path.indexOf(v1) < 0 ? path : path.slice(path.indexOf(v1));
  const methods = routes.filter(({ path }) => patternOf(path).test(at)).map(({ method }) => method as string);
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

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/[.]/g, "\\.").replace(/\{\w+\}/g, "[^/]+")}$`);
}

function corsOf(header: Header): Readonly<Record<string, string>> {
  return {
    "Access-Control-Allow-Origin": header("origin")!,
    Vary: "Origin",
    "Access-Control-Expose-Headers": "Location, ETag, Retry-After",
  };
}

function preflight(header: Header): Response {
  const headers = {
    ...corsOf(header),
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID",
    "Access-Control-Max-Age": "600",
  };
  return new Response(null, { status: 204, headers });
}

/** The address of the other end; "" where the server does not tell. Headers of proxies are not believed: anybody can send them. */
function addressOf(c: Context): string {
  const { incoming } = (c.env ?? {}) as {
    readonly incoming?: { readonly socket?: { readonly remoteAddress?: string } };
  };
  return incoming?.socket?.remoteAddress ?? "";
}

/** The answer as Node has it, if it is one of Node. */
function outgoingOf(c: Context): { destroy(): void } | undefined {
  return ((c.env ?? {}) as { readonly outgoing?: { destroy(): void } }).outgoing;
}

function noSocket(): Refused {
  return new Refused("UPGRADE_REQUIRED", "this address is for WebSockets alone; open it with one", {
    Upgrade: "websocket",
    Connection: "Upgrade",
  });
}

function noTokens(): never {
  throw new InvalidInput(
    'the HTTP API has no tokens; set TASKER_TOKENS="name:role:secret" or http.tokens in tasker.config.ts (roles: read, operate, admin), or, on loopback, let anybody in with "none"',
    { path: "http.tokens" },
  );
}
