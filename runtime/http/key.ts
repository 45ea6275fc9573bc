/** Who may call: tokens, of which only digests are kept, and what their roles allow. */
import { createHash, timingSafeEqual } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { roles, tokenList, type HttpToken, type Role, type Tokens } from "../../sdk/client/token.ts";
import { InvalidInput } from "../../sdk/port/error.ts";
import { checkKeys, checkOneOf, isList, isRecord } from "../../sdk/port/option.ts";
import { saidOf } from "../../sdk/port/text.ts";

/** A caller that has shown its token, or anybody where none are asked for. */
export interface Caller {
  readonly name: string;
  readonly role: Role;
}

/** Whether a role may do what needs another: each may do all that the ones before it may. */
export function mayDo(has: Role, needs: Role): boolean {
  return roles.indexOf(has) >= roles.indexOf(needs);
}

interface Key {
  readonly caller: Caller;
  readonly digest: Buffer;
}

/** Tokens as they are now; they may change while the process runs. */
export interface Keys {
  /** The caller whose secret has a digest. Takes as long for a wrong one as for a right one; a promise where the tokens are read first. */
  find(digest: string): Caller | null | Promise<Caller | null>;
  /** Reads them.  @throws {InvalidInput} */
  check(): Promise<void>;
}

/** How long tokens of a function or a file are taken for what they were. */
const freshMs = 2000;

/** @throws {InvalidInput} for a malformed list; what a function or file says later is refused with a warning, and the tokens before it stay */
export function keysOf(tokens: Exclude<Tokens, "none">, warn: (message: string) => void): Keys {
  const ask = askOf(tokens);
  let known: readonly Key[] | null = isList(tokens) ? listed(tokens) : null;
  let askedAt = isList(tokens) ? Infinity : -Infinity;
  let asking: Promise<void> | null = null;
  const refresh = async (): Promise<void> => {
    try {
      known = await ask();
    } catch (error) {
      if (known === null) throw error;
      warn(`the tokens can't be read again, so those before stay: ${saidOf(error)}`);
    }
    askedAt = performance.now();
  };
  const fresh = (): Promise<void> => (asking ??= refresh().finally(() => (asking = null)));
  return {
    find(digest) {
      if (performance.now() - askedAt <= freshMs) return match(known ?? [], digest);
      return fresh().then(() => match(known ?? [], digest));
    },
    check: fresh,
  };
}

function askOf(tokens: Exclude<Tokens, "none">): () => Promise<readonly Key[]> {
  if (typeof tokens === "function") return async () => listed(await tokens());
  if (isList(tokens)) return async () => listed(tokens);
  const { file } = tokens as { readonly file: string };
  let seen = { mark: "", keys: [] as readonly Key[] };
  return async () => {
    try {
      const { mtimeMs, size, ino } = await stat(file);
      const mark = `${mtimeMs} ${size} ${ino}`;
      if (seen.mark !== mark) seen = { mark, keys: listed(tokenList(await readFile(file, "utf8"))) };
      return seen.keys;
    } catch (cause) {
      throw new InvalidInput(`the file of tokens "${file}" can't be used: ${saidOf(cause)}`, {
        path: "http.tokens",
        cause,
      });
    }
  };
}

function match(keys: readonly Key[], digest: string): Caller | null {
  let found: Caller | null = null;
  const given = Buffer.from(digest, "base64url");
  for (const key of keys) if (timingSafeEqual(key.digest, given)) found = key.caller; // no early end: time tells nothing
  return found;
}

/** The digest of a secret, in base64url. */
export function digestOf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

const tokenKeys = new Set(["name", "role", "token", "sha256"]);

function listed(tokens: unknown): readonly Key[] {
  if (!isList(tokens)) throw refused(0, "tokens are not a list; write tokens: [{ name, role, token }]");
  const keys = (tokens as readonly unknown[]).map(keyOf);
  const names = new Set(keys.map(({ caller }) => caller.name));
  if (names.size < keys.length) throw refused(keys.length, "two tokens have one name; rename one of them");
  return keys;
}

function keyOf(given: unknown, i: number): Key {
  if (!isRecord(given)) throw refused(i, "a token is not an object; write { name, role, token }");
  checkKeys("a token", given, tokenKeys);
  const { name, role, token, sha256 } = given as Partial<Record<keyof HttpToken, unknown>>;
  if (typeof name !== "string" || !/^[A-Za-z0-9_.-]{1,64}$/.test(name))
    throw refused(i, "a token has no name of 1 to 64 letters, digits and any of _ . -; its name is what logs show");
  checkOneOf(`the role of token "${name}"`, role, roles);
  if ((token === undefined) === (sha256 === undefined))
    throw refused(i, `token "${name}" has not one of token and sha256; give the secret, or its digest`);
  const caller = { name, role: role as Role };
  if (sha256 === undefined) return { caller, digest: Buffer.from(digestOf(secretOf(name, token, i)), "base64url") };
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/i.test(sha256))
    throw refused(i, `the digest of token "${name}" is not 64 hexadecimal digits: printf %s "$TOKEN" | sha256sum`);
  return { caller, digest: Buffer.from(sha256, "hex") };
}

function secretOf(name: string, token: unknown, i: number): string {
  if (typeof token === "string" && /^[A-Za-z0-9._~+/=-]{16,512}$/.test(token)) return token;
  throw refused(i, `the secret of token "${name}" is not 16 to 512 of A-Z a-z 0-9 . _ ~ + / = -: openssl rand -hex 32`);
}

function refused(i: number, message: string): InvalidInput {
  return new InvalidInput(message, { path: `http.tokens.${i}` });
}
