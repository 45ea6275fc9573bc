/** One request, as a route's handler sees it. */
import type { Context } from "hono";
import type { UpgradeWebSocket, WSEvents } from "hono/ws";
import { Refused } from "./error.ts";
import type { Header } from "./guard.ts";
import type { Caller } from "./key.ts";
import { v1, type Call, type Server } from "./route.ts";

/** What a server of Node says of a request. */
interface Surroundings {
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string } };
  readonly outgoing?: { destroy(): void };
}

export class Visit implements Call {
  readonly server: Server;
  readonly header: Header;
  readonly request: Request;
  caller: Caller = { name: "anybody", role: "read" };
  params: unknown;
  query: unknown;
  body: unknown;
  lines: AsyncIterable<unknown> | null = null;
  readonly #context: Context;
  readonly #upgrade: UpgradeWebSocket | null;

  constructor(context: Context, server: Server, upgrade: UpgradeWebSocket | null) {
    this.#context = context;
    this.#upgrade = upgrade;
    this.server = server;
    this.request = context.req.raw;
    this.header = (name) => this.request.headers.get(name);
  }

  /** Made where a handler asks for it. */
  get signal(): AbortSignal {
    return AbortSignal.any([this.request.signal, this.server.over]);
  }

  get base(): string {
    const { path } = this.#context.req;
    return path.slice(0, Math.max(0, path.indexOf(v1)));
  }

  /** The address of the other end; "" where the server does not tell. Headers of proxies are not believed: anybody can send them. */
  get address(): string {
    return this.#around.incoming?.socket?.remoteAddress ?? "";
  }

  cut(): void {
    this.#around.outgoing?.destroy();
  }

  async upgrade(events: WSEvents): Promise<Response> {
    if (this.header("upgrade")?.toLowerCase() !== "websocket") throw noSocket();
    if (this.#upgrade) return this.#upgrade(this.#context, events);
    throw new Refused("NOT_SUPPORTED", "this server has no WebSockets; read the events at /api/v1/events instead");
  }

  get #around(): Surroundings {
    return (this.#context.env ?? {}) as Surroundings;
  }
}

function noSocket(): Refused {
  return new Refused("UPGRADE_REQUIRED", "this address is for WebSockets alone; open it with one", {
    Upgrade: "websocket",
    Connection: "Upgrade",
  });
}
