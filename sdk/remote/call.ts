import { InvalidInput, StoreUnavailable, invalid } from "../port/error.ts";
import { checkKeys } from "../port/option.ts";
import { errorOf, strangeOf, type Problem } from "./error.ts";

/** A server of the HTTP API. */
export interface RemoteOptions {
  /** Where it is, with the path that it is mounted under: `https://tasker.example.com`. */
  readonly url: string;
  /** The secret of a token, or a function that is asked for it at each call. None for a server that lets anybody in. */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** Sends requests; the global `fetch` by default. */
  readonly fetch?: typeof fetch | undefined;
}

/** What is sent. */
export interface Request {
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** How long the server may take beside the usual, ms. */
  readonly waitMs?: number;
}

export type Call = <T>(method: string, path: string, request?: Request) => Promise<T>;

const patienceMs = 30_000;
const optionKeys = new Set(["url", "token", "fetch"]);

/** Calls the API: answers the body of what is well, and throws what is not.
 *  @throws {InvalidInput} for an address that is none */
export function caller(options: RemoteOptions): { readonly name: string; readonly call: Call } {
  checkKeys("a client", options, optionKeys);
  const { token, fetch: send = fetch } = options;
  const base = baseOf(options.url);
  const name = `tasker at ${base.host}${base.pathname.replace(/\/$/, "")}`;
  const call: Call = async <T>(method: string, path: string, request: Request = {}): Promise<T> => {
    const { query = {}, body, signal, waitMs = 0 } = request;
    const secret = typeof token === "function" ? await token() : token;
    const limit = AbortSignal.timeout(patienceMs + waitMs);
    const response = await asked(name, signal, () =>
      send(addressOf(base, path, query), {
        method,
        signal: signal ? AbortSignal.any([signal, limit]) : limit,
        redirect: "error", // it would take the token along
        headers: {
          Accept: "application/json",
          ...(body !== undefined && { "Content-Type": "application/json" }),
          ...(secret !== undefined && { Authorization: `Bearer ${secret}` }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      }),
    );
    if (response.status === 204) return undefined as T;
    const answer = await asked(name, signal, () => response.text());
    return bodyOf(name, response, answer) as T;
  };
  return { name, call };
}

function baseOf(url: string): URL {
  const base = URL.canParse(url) ? new URL(url) : null;
  if (!base || !/^https?:$/.test(base.protocol))
    throw invalid(
      "url",
      `"${String(url).slice(0, 80)}" is not the address of a server; write "https://host" or "http://127.0.0.1:4747"`,
    );
  if (base.username || base.password || base.search || base.hash)
    throw new InvalidInput("the address of a server takes no user, query or fragment; give the token beside it", {
      path: "url",
    });
  return base;
}

function addressOf(base: URL, path: string, query: NonNullable<Request["query"]>): string {
  const address = new URL(`${base.href.replace(/\/$/, "")}/api/v1${path}`);
  for (const [name, value] of Object.entries(query))
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value])
      if (one !== undefined && one !== null) address.searchParams.append(name, String(one));
  return address.href;
}

/** What fetch throws says little by itself: its cause tells. */
async function asked<T>(name: string, signal: AbortSignal | undefined, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (signal?.aborted) throw error;
    const { cause } = error as { readonly cause?: unknown };
    throw new StoreUnavailable(name, cause instanceof Error ? cause : error);
  }
}

function bodyOf(name: string, { ok, status, headers }: Response, text: string): unknown {
  const type = headers.get("content-type") ?? "";
  if (!/^application\/(?:problem\+)?json\b/.test(type)) throw strangeOf(name, status);
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw strangeOf(name, status);
  }
  if (ok) return body;
  const problem = body as Problem | null;
  throw typeof problem?.code === "string" ? errorOf(problem) : strangeOf(name, status);
}
