/** The API within servers of Node: Express, Fastify, Next.js. */
import { getRequestListener } from "@hono/node-server";
import type { IncomingMessage, ServerResponse } from "node:http";
import { checkKeys, isRecord } from "../../sdk/port/option.ts";
import { alone } from "./app.ts";
import { optionKeys, type ApiOptions } from "./option.ts";

export type NodeHandler = (req: IncomingMessage, res: ServerResponse) => void;

/** What frameworks put on a request. */
interface Framed extends IncomingMessage {
  readonly originalUrl?: string;
  readonly baseUrl?: string;
  readonly body?: unknown;
  rawBody?: Buffer;
}

/** The API as a handler of Node's requests: `app.use("/tasker", handler({ … }))` in Express. Elsewhere `base` says below which path it is.
 *  @throws {InvalidInput} if there are no tokens, unless `tokens` is "none" */
export function handler(options: ApiOptions = {}): NodeHandler {
  checkKeys("handler", options, optionKeys);
  const listeners = new Map<string, ReturnType<typeof getRequestListener>>();
  const listenerOf = (base: string): ReturnType<typeof getRequestListener> => {
    const known = listeners.get(base);
    if (known) return known;
    const made = getRequestListener(alone({ ...options, base }).fetch, { overrideGlobalObjects: false });
    if (listeners.size < mostBases) listeners.set(base, made);
    return made;
  };
  listenerOf(options.base ?? ""); // what is wrong with the options is told now
  return (req: Framed, res) => {
    req.url = req.originalUrl ?? req.url;
    if (req.readableEnded && !req.rawBody && (isRecord(req.body) || Array.isArray(req.body)))
      req.rawBody = Buffer.from(JSON.stringify(req.body)); // the framework has read it
    void listenerOf(options.base ?? req.baseUrl ?? "")(req, res);
  };
}

/** Different bases come from one application being mounted several times. */
const mostBases = 20;
