/** The API on a port of its own. */
import { createAdaptorServer, upgradeWebSocket } from "@hono/node-server";
import { once } from "node:events";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { InvalidInput } from "../../sdk/port/error.ts";
import { fieldOf } from "../../sdk/port/text.ts";
import { tokensOf } from "../../sdk/client/token.ts";
import { alone } from "./app.ts";
import type { ApiOptions } from "./option.ts";
import { loopback } from "./guard.ts";
import { keysOf } from "./key.ts";
import type { UpgradeWebSocket } from "hono/ws";

interface Listen {
  readonly host: string;
  readonly port: number;
}

export interface ServeOptions extends Omit<ApiOptions, "signal" | "upgrade"> {
  /** `[HOST:]PORT`; `127.0.0.1:4747` by default. */
  readonly listen?: string | undefined;
  /** Ports after the given one that are tried if it is taken; 0 by default. */
  readonly more?: number | undefined;
}

/** A server that listens. */
export interface Served {
  /** `http://127.0.0.1:4747` */
  readonly url: string;
  /** Takes no more requests, lets those that are under way end, for at most this long, and ends. May be called twice. */
  close(withinMs?: number): Promise<void>;
}

/** Reads `[HOST:]PORT`; the host is 127.0.0.1 by default.
 *  @throws {InvalidInput} */
function listenOf(text: string): Listen {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]:|([A-Za-z0-9.-]+):)?(\d{1,5})$/.exec(text) ?? [];
  if (port !== undefined && Number(port) <= 65_535)
    return { host: bracketed ?? plain ?? "127.0.0.1", port: Number(port) };
  throw new InvalidInput(`"${text.slice(0, 80)}" is not [HOST:]PORT; write it like 4747 or 0.0.0.0:4747`, {
    path: "http.listen",
  });
}

/** Serves the API. Only a server on loopback may do without tokens, if they are given as "none".
 *  @throws {InvalidInput} for a bind that anybody could use, and for an address that is taken or not this machine's */
export async function serve({ listen: where = "4747", more = 0, ...options }: ServeOptions = {}): Promise<Served> {
  const listen = listenOf(where);
  const isLocal = isLoopback(listen.host);
  const tokens = options.tokens ?? tokensOf() ?? undefined;
  if (tokens === "none" && !isLocal)
    throw new InvalidInput(
      `the HTTP API would be open to anybody who reaches ${listen.host}; give it tokens (TASKER_TOKENS="name:role:secret"), or bind it to 127.0.0.1`,
      { path: "http.tokens" },
    );
  if (tokens && tokens !== "none") await keysOf(tokens, () => undefined).check(); // what can't be read is told now
  const over = new AbortController();
  const hosts = isLocal ? (options.hosts ?? []) : options.hosts;
  const app = alone({ ...options, tokens, hosts, signal: over.signal, upgrade: upgradeWebSocket as UpgradeWebSocket });
  const websocket = { server: new WebSocketServer({ noServer: true, maxPayload: mostMessageBytes }) };
  const server = createAdaptorServer({ fetch: app.fetch, hostname: listen.host, websocket }) as Server;
  server.headersTimeout = 10_000;
  server.requestTimeout = 300_000; // of the whole request: JSON lines may take long
  const { port } = await listening(server, listen, more);
  return { url: `http://${shown(listen.host)}:${port}`, close: closing(server, over) };
}

/** The longest message of a socket. */
const mostMessageBytes = 65_536;

function isLoopback(host: string): boolean {
  return loopback.some((name) => name === shown(host).toLowerCase()) || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function shown(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

async function listening(server: Server, { host, port }: Listen, more: number): Promise<AddressInfo> {
  for (let next = port; ; next++) {
    try {
      server.listen(next, host);
      await once(server, "listening"); // rejects at "error"
      return server.address() as AddressInfo;
    } catch (cause) {
      const code = fieldOf(cause, "code");
      if (code === "EADDRINUSE" && next < port + more) continue;
      const why =
        code === "EADDRINUSE" ? "is taken by another process; give another port" : `can't be used: ${String(code)}`;
      throw new InvalidInput(`address ${shown(host)}:${next} ${why}`, { path: "http.listen", cause });
    }
  }
}

function closing(server: Server, over: AbortController): Served["close"] {
  let closed: Promise<void> | null = null;
  return (withinMs = 5000) => (closed ??= close(server, over, withinMs));
}

async function close(server: Server, over: AbortController, withinMs: number): Promise<void> {
  const ended = new Promise<void>((resolve) => server.close(() => resolve())); // idle connections end with it
  over.abort();
  const idle = setInterval(() => server.closeIdleConnections(), 20); // those whose answer has ended since
  const timer = setTimeout(() => server.closeAllConnections(), withinMs);
  await ended;
  clearInterval(idle);
  clearTimeout(timer);
}
