/** Who may use the HTTP API. */
import { InvalidInput } from "../port/error.ts";

/** What a caller over HTTP may do: look, also act, or also delete and mend. */
export type Role = "read" | "operate" | "admin";
export const roles = ["read", "operate", "admin"] as const satisfies readonly Role[];

/** A token of the HTTP API. */
export interface HttpToken {
  /** What logs show of it: 1–64 letters, digits and any of `_ . -`. */
  readonly name: string;
  readonly role: Role;
  /** The secret: 16–512 of `A-Z a-z 0-9 . _ ~ + / = -`. Or `sha256`. */
  readonly token?: string | undefined;
  /** The SHA-256 digest of the secret, in hexadecimal. */
  readonly sha256?: string | undefined;
}

/** A list; a function that is asked again every few seconds; a file of lines like `name:role:secret`, read again when it changes; or `none`:
 *  anybody, which only a server on loopback allows. */
export type Tokens =
  | readonly HttpToken[]
  | (() => readonly HttpToken[] | Promise<readonly HttpToken[]>)
  | { readonly file: string }
  | "none";

/** Tokens as a text has them: `name:role:secret` or `name:role:sha256:digest`, by lines, commas or spaces; `#` begins a comment. `none` stands
 *  for anybody, and `@path` for a file.
 *  @throws {InvalidInput} that does not repeat what may be a secret */
export function tokensIn(text: string): Exclude<Tokens, () => unknown> {
  if (text.trim() === "none") return "none";
  if (text.startsWith("@")) return { file: text.slice(1) };
  return tokenList(text);
}

/** As `tokensIn`, of a text that is a list. */
export function tokenList(text: string): readonly HttpToken[] {
  const words = text
    .replace(/(^|\s)#.*$/gm, "")
    .split(/[\s,]+/)
    .filter(Boolean);
  return words.map((word, i) => {
    const [, name, role, sha256, token] = /^([^:]+):([^:]+):(?:sha256:([0-9a-fA-F]{64})|(.+))$/.exec(word) ?? [];
    if (name !== undefined) return { name, role: role as Role, ...(sha256 ? { sha256 } : { token: token! }) };
    throw new InvalidInput(`token ${i + 1} is not written like name:role:secret, with a role of ${roles.join(", ")}`);
  });
}

/** The tokens that the environment names: TASKER_TOKENS, or the file of TASKER_TOKENS_FILE. Null: none.
 *  @throws {InvalidInput} */
export function tokensOf(env: Readonly<Record<string, string | undefined>> = process.env): Tokens | null {
  const { TASKER_TOKENS: text, TASKER_TOKENS_FILE: file } = env;
  if (text) return tokensIn(text);
  if (!file) return null;
  return { file };
}
