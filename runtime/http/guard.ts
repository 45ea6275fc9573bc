/** What a request must be before anything is done for it: for this host, from this origin, by a caller whose role allows it. */
import type { Role } from "../../sdk/client/token.ts";
import { Refused } from "./error.ts";
import { digestOf, mayDo, type Caller, type Keys } from "./key.ts";

/** Headers of a request; null where there is none. */
export type Header = (name: string) => string | null;

/** Names under which a server on loopback is reached. A page of another site that has its name changed to 127.0.0.1 still sends that name. */
export const loopback = ["localhost", "127.0.0.1", "[::1]"] as const;

/** @throws {Refused} for a host that is none of the names */
export function checkHost(header: Header, names: readonly string[] | null): void {
  if (names === null) return;
  const name = (header("host") ?? "").toLowerCase().replace(/:\d+$/, "");
  if (names.includes(name)) return;
  throw new Refused(
    "HOST_REFUSED",
    `host "${name.slice(0, 80)}" is none of those that this server answers to (${names.join(", ")}); add it to http.hosts if it is yours`,
  );
}

/** Whether a request comes from a page of another site; true for an origin of `cors`, which may read the answer. A page itself may be come to by a
 *  link of another site.
 *  @throws {Refused} for any other origin than the server's own */
export function checkOrigin(header: Header, cors: readonly string[], isPage = false): boolean {
  const origin = header("origin");
  if (origin !== null && cors.includes(origin)) return true;
  const site = header("sec-fetch-site");
  const isOwn = origin === null || hostOf(origin) === header("host")?.toLowerCase();
  if (isOwn && (site === null || site === "same-origin" || site === "none")) return false;
  if (isPage && origin === null && header("sec-fetch-mode") === "navigate") return false;
  throw new Refused(
    "ORIGIN_REFUSED",
    `a page of ${origin === null ? "another site" : `"${origin.slice(0, 80)}"`} may not call this server; add its exact origin to http.cors if it is yours`,
  );
}

function hostOf(origin: string): string | null {
  try {
    return new URL(origin).host;
  } catch {
    return null; // "null", of a sandboxed page or a file
  }
}

export const cookie = "tasker_token";
const inCookie = new RegExp(`(?:^|;\\s*)${cookie}=([^;\\s]+)`);

/** The token of a request: of `Authorization: Bearer`, else of the cookie that a login set.
 *  @throws {Refused} for another scheme */
export function secretOf(header: Header): string | null {
  const given = header("authorization");
  if (given === null) return inCookie.exec(header("cookie") ?? "")?.[1] ?? null;
  const secret = /^Bearer ([A-Za-z0-9._~+/=-]{1,512})$/i.exec(given)?.[1];
  if (secret !== undefined) return secret;
  throw unauthorized("the header Authorization is not written like: Authorization: Bearer <token>");
}

export function unauthorized(message: string): Refused {
  return new Refused("UNAUTHORIZED", message, { "WWW-Authenticate": 'Bearer realm="tasker"' });
}

/** Finds callers by their tokens, and makes an address that fails too often wait. */
export class Gate {
  readonly #keys: Keys | null;
  readonly #failures = new Map<string, { left: number; at: number }>();
  /** Address and digest of those that came in: others behind the same address do not lock them out. */
  readonly #good = new Set<string>();

  /** Without keys anybody may do anything. */
  constructor(keys: Keys | null) {
    this.#keys = keys;
  }

  get isOpen(): boolean {
    return this.#keys === null;
  }

  /** The caller of a secret. @throws {Refused} */
  admit(secret: string | null, address: string): Caller | Promise<Caller> {
    if (this.#keys === null) return anybody;
    if (secret === null)
      throw unauthorized("a token is needed; send Authorization: Bearer <token>, one of those in http.tokens");
    const digest = digestOf(secret);
    const mark = `${address} ${digest}`;
    if (!this.#good.has(mark)) this.#checkFailures(address);
    const found = this.#keys.find(digest);
    return found instanceof Promise
      ? found.then((caller) => this.#admitted(caller, address, mark))
      : this.#admitted(found, address, mark);
  }

  #admitted(caller: Caller | null, address: string, mark: string): Caller {
    if (caller) {
      if (!this.#good.has(mark)) remember(this.#good, mark);
      return caller;
    }
    this.#good.delete(mark);
    this.#failed(address);
    throw unauthorized("the token is none of those that this server knows; it may have been replaced");
  }

  /** @throws {Refused} unless the role may do what needs another */
  allow(caller: Caller, needs: Role): void {
    if (mayDo(caller.role, needs)) return;
    throw new Refused(
      "FORBIDDEN",
      `token "${caller.name}" has the role ${caller.role}, and this needs ${needs}; use another token`,
    );
  }

  #checkFailures(address: string): void {
    const failures = this.#failures.get(address);
    if (!failures || this.#leftOf(failures) >= 1) return;
    throw new Refused(
      "TOO_MANY_ATTEMPTS",
      "too many wrong tokens came from this address; wait, and send the right one",
      {
        "Retry-After": String(Math.ceil(refillMs / 1000)),
      },
    );
  }

  #failed(address: string): void {
    const before = this.#failures.get(address);
    const left = (before ? this.#leftOf(before) : mostFailures) - 1;
    this.#failures.delete(address); // the one that failed last stays longest
    this.#failures.set(address, { left, at: performance.now() });
    if (this.#failures.size > mostAddresses) this.#failures.delete(this.#failures.keys().next().value!);
  }

  #leftOf({ left, at }: { readonly left: number; readonly at: number }): number {
    return Math.min(mostFailures, left + (performance.now() - at) / refillMs);
  }
}

const anybody: Caller = { name: "anybody", role: "admin" };

/** Failures that an address has at once, and how long until it has one more. */
const mostFailures = 10;
const refillMs = 5000;
const mostAddresses = 1000;

function remember(set: Set<string>, value: string): void {
  set.add(value);
  if (set.size > mostAddresses) set.delete(set.keys().next().value!);
}
