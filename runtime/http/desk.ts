/** Takes requests in, and answers them. */
import type { Context } from "hono";
import type { UpgradeWebSocket } from "hono/ws";
import type { z } from "zod";
import { target } from "../../sdk/client/config.ts";
import { tokensOf } from "../../sdk/client/token.ts";
import { InvalidInput } from "../../sdk/port/error.ts";
import { checkWhole } from "../../sdk/port/option.ts";
import { guarded, logged, silent, type Logger } from "../core/log.ts";
import { missing, preflight, respond, shared } from "./answer.ts";
import { mediaType, readJson, readLines } from "./body.ts";
import { invalidOf, problemOf, Refused } from "./error.ts";
import { checkHost, checkOrigin, Gate, loopback, secretOf, unauthorized } from "./guard.ts";
import { keysOf, type Caller } from "./key.ts";
import type { ApiOptions } from "./option.ts";
import { queryOf } from "./query.ts";
import { readiness } from "./ready.ts";
import type { Route, Server } from "./route.ts";
import { routes } from "./routes.ts";
import { scraping } from "./scrape.ts";
import { Streams } from "./stream.ts";
import { tickets } from "./ticket.ts";
import { Visit } from "./visit.ts";

export class Desk {
  readonly #server: Server;
  readonly #gate: Gate;
  readonly #hosts: readonly string[] | null;
  readonly #cors: readonly string[];
  readonly #logger: Logger;
  readonly #upgrade: UpgradeWebSocket | null;

  constructor({ target: given = target, runtime, logger = silent, signal, ...options }: ApiOptions) {
    const { tokens, hosts, cors = [], streams = 1000, upgrade = null } = options;
    const open = typeof given === "function" ? given : async () => given;
    const wanted = tokens ?? tokensOf() ?? noTokens();
    this.#logger = guarded(logger);
    this.#gate = new Gate(wanted === "none" ? null : keysOf(wanted, (message) => this.#logger.warn({}, message)));
    const own = hosts?.map((host) => host.toLowerCase()) ?? (this.#gate.isOpen ? [] : null);
    this.#hosts = own && [...loopback, ...own];
    this.#cors = cors;
    this.#upgrade = upgrade;
    const over = signal ?? new AbortController().signal;
    this.#server = {
      ...{ open, over, routes, tickets: tickets(), isOpen: this.#gate.isOpen },
      ready: readiness(open, runtime),
      streams: new Streams(checkWhole("streams", streams, 0), over),
      metrics: scraping(open, runtime, over),
      login: async (secret, address) => this.#gate.admit(secret, address),
    };
  }

  /** Answers a request for a route, and writes its line. Never rejects. */
  async serve(route: Route, c: Context): Promise<Response> {
    return this.#answered(route, c, async (visit) => {
      if (route.role !== null) {
        visit.caller =
          (route.isStream && this.#ticketOf(c)) || (await this.#gate.admit(secretOf(visit.header), visit.address));
        this.#gate.allow(visit.caller, route.role);
      }
      await read(visit, route, c);
      const answer = await route.handler(visit as Parameters<Route["handler"]>[0]); // its own schemas made what is in it
      return answer instanceof Response ? answer : respond(answer);
    });
  }

  /** Answers a request that is for no route. */
  async refuse(c: Context): Promise<Response> {
    return this.#answered(null, c, async (_, isShared) => {
      if (isShared && c.req.method === "OPTIONS") return preflight();
      throw missing(c);
    });
  }

  async #answered(
    route: Route | null,
    c: Context,
    work: (visit: Visit, isShared: boolean) => Promise<Response>,
  ): Promise<Response> {
    const sinceMs = performance.now();
    const visit = new Visit(c, this.#server, this.#upgrade);
    let isShared = false;
    let response: Response;
    try {
      checkHost(visit.header, this.#hosts);
      isShared = checkOrigin(visit.header, this.#cors, route?.isPage);
      response = await work(visit, isShared);
    } catch (error) {
      response = this.#problem(error);
    }
    this.#line(route, c, { status: response.status, sinceMs, by: visit.caller.name });
    return isShared ? shared(response, visit.header) : response;
  }

  /** The caller of a ticket, where one is given.  @throws {Refused} for one that is used or over */
  #ticketOf(c: Context): Caller | null {
    const ticket = c.req.query("ticket");
    if (ticket === undefined) return null;
    const caller = this.#server.tickets.redeem(ticket);
    if (caller) return caller;
    throw unauthorized("the ticket is used, or over, or of another process; get another one: POST /api/v1/tickets");
  }

  #problem(error: unknown): Response {
    const body = problemOf(error);
    if (body.status === 500) this.#logger.error({ err: logged(error) }, "A request over HTTP failed");
    const headers = error instanceof Refused ? error.headers : body.status === 503 ? { "Retry-After": "1" } : {};
    return respond({ status: body.status, body, headers: { "Content-Type": "application/problem+json", ...headers } });
  }

  /** The one place where something of a request is logged: the route, never the address that was asked for, which may hold a secret. */
  #line(
    route: Route | null,
    c: Context,
    { status, sinceMs, by }: { readonly status: number; readonly sinceMs: number; readonly by: string },
  ): void {
    const ms = Math.round((performance.now() - sinceMs) * 10) / 10;
    const run = c.req.param("id");
    const fields = { method: c.req.method, route: route?.path ?? null, status, ms, by };
    const level = status >= 500 ? "warn" : "info";
    this.#logger[level](run?.startsWith("run_") ? { ...fields, run: run.slice(0, 20) } : fields, "HTTP");
  }
}

/** Reads what a request says, by the schemas of its route.  @throws {InvalidInput} {Refused} */
async function read(visit: Visit, route: Route, c: Context): Promise<void> {
  const { request, header } = visit;
  visit.params = route.params && checked("the path", route.params, c.req.param());
  visit.query = checked("the query", route.query, queryOf(route.query, request.url));
  if (!route.body) return;
  if (route.lines && mediaType(header) === "application/x-ndjson") visit.lines = readLines(request);
  else visit.body = checkedBody(route, await readJson(request, header));
}

function checked(what: string, schema: z.ZodObject | undefined, value: object): Record<string, unknown> | undefined {
  if (!schema) return isEmpty(value) ? undefined : refuseFields(what, value);
  const { data, error } = schema.safeParse(value);
  if (error) throw invalidOf(what, error.issues);
  return data;
}

function isEmpty(fields: object): boolean {
  for (const _ in fields) return false;
  return true;
}

function refuseFields(what: string, fields: object): never {
  const names = Object.keys(fields);
  throw invalidOf(what, [{ path: names.slice(0, 1), message: "this takes no such field; leave it out" }]);
}

function checkedBody({ body: schema, bare }: Route, body: unknown): unknown {
  if (body === undefined && bare) return undefined;
  const { data, error } = schema!.safeParse(body);
  if (error) throw invalidOf("the body", error.issues);
  return data;
}

function noTokens(): never {
  throw new InvalidInput(
    'the HTTP API has no tokens; set TASKER_TOKENS="name:role:secret" or http.tokens in tasker.config.ts (roles: read, operate, admin), or, on loopback, let anybody in with "none"',
    { path: "http.tokens" },
  );
}
