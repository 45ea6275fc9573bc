/** What the API is made of: a table of routes, from which the application, its documentation and its tests are made. */
import type { z } from "zod";
import type { Role } from "../../sdk/client/token.ts";
import type { Open } from "../../sdk/client/config.ts";
import type { Metrics } from "../metrics/index.ts";
import type { Caller } from "./key.ts";
import type { Code } from "./error.ts";
import type { Header } from "./guard.ts";
import type { Streams } from "./stream.ts";
import type { WSEvents } from "hono/ws";

/** What a handler knows of the server that it is in. */
export interface Server {
  /** Where runs go. */
  readonly open: Open;
  /** Why the server can't work now, or null. */
  ready(): Promise<string | null>;
  /** What Prometheus reads. */
  metrics(): Promise<Metrics>;
  /** Aborts when the server stops: what waits answers at once. */
  readonly over: AbortSignal;
  readonly tickets: Tickets;
  readonly streams: Streams;
  readonly isOpen: boolean;
  login(secret: string, address: string): Promise<Caller>;
  readonly routes: readonly Route[];
}

/** One-use tickets, for streams of browsers, which can send no header. */
export interface Tickets {
  issue(caller: Caller): { readonly ticket: string; readonly expiresAt: Date };
  /** The caller that it was issued to, once. */
  redeem(ticket: string): Caller | null;
}

/** One call of a route, checked. */
export interface Call<Params = unknown, Query = unknown, Body = unknown> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** Items of a body of JSON lines, one by one; null for any other body. An item that is not JSON is an error. */
  readonly lines: AsyncIterable<unknown> | null;
  readonly header: Header;
  readonly caller: Caller;
  readonly server: Server;
  /** Aborts when the client goes away or the server stops. */
  readonly signal: AbortSignal;
  readonly request: Request;
  /** The path before `/api/v1`, such as `/tasker`; "" at the root. */
  readonly base: string;
  readonly address: string;
  /** Ends the connection at once, where the server can. */
  cut(): void;
  /** Makes a WebSocket of the request.  @throws {Refused} if it asks for none, or the server has none */
  upgrade(events: WSEvents): Promise<Response>;
}

/** What a handler answers, unless it makes a Response itself. A body is sent as JSON; undefined: none. */
export interface Answer {
  readonly status?: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
type Shape = z.ZodObject | undefined;
type Of<S> = S extends z.ZodType ? z.output<S> : undefined;

/** The headings of the documentation. */
export type Group =
  "Jobs" | "Runs" | "Acts" | "Workflows" | "Schedules" | "Queues" | "Nodes" | "Figures" | "Events" | "System";

/** What an entry of the table says beside its name, address and role. Params of the path are strings; of the query, lists, numbers and booleans are
 *  read as such. */
export interface Detail<P extends Shape, Q extends Shape, B extends z.ZodType | undefined> {
  /** The heading that it is documented under. */
  readonly group: Group;
  /** One line, without a full stop. */
  readonly summary: string;
  /** What else is to be known, in Markdown. */
  readonly about?: string;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** The body may be left out. */
  readonly bare?: boolean;
  /** One item of the body's list, which is checked by itself. It may also be sent as JSON lines; the handler then gets `lines`. */
  readonly lines?: z.ZodType;
  /** Headers that it reads, with what they are for. */
  readonly headers?: Readonly<Record<string, string>>;
  /** What it answers when all is well: by status, the body's schema, or null for none, or the media type of what is not JSON. */
  readonly answers: Readonly<Record<number, z.ZodType | string | null>>;
  /** Codes of errors that it may answer, beside those that any route may. */
  readonly errors?: readonly Code[];
  /** A page that people may come to from another site. */
  readonly isPage?: boolean;
  /** A stream, which also lets a ticket in. */
  readonly isStream?: boolean;
  handler(call: Call<Of<P>, Of<Q>, Of<B>>): Promise<Answer | Response>;
}

/** One entry of the table. */
export interface Route extends Detail<Shape, Shape, z.ZodType | undefined> {
  /** The name of the operation, for clients that are generated. */
  readonly id: string;
  readonly method: Method;
  /** From the mount on: `/api/v1/runs/{id}`. */
  readonly path: string;
  /** Null: anybody, without a token. */
  readonly role: Role | null;
}

/** An entry of the table, whose handler is typed by its schemas: `route("getRun", "GET /api/v1/runs/{id}", "read", { … })`. */
export function route<
  const P extends Shape = undefined,
  const Q extends Shape = undefined,
  B extends z.ZodType | undefined = undefined,
>(id: string, address: `${Method} /${string}`, role: Role | null, detail: Detail<P, Q, B>): Route {
  const [method, path] = address.split(" ") as [Method, string];
  return { ...(detail as Detail<Shape, Shape, z.ZodType | undefined>), id, method, path, role }; // the application gives a handler what its own schemas made
}

export const v1 = "/api/v1";
