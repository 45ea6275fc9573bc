/** Signatures by the Standard Webhooks specification. */
import { createHmac } from "node:crypto";

/** The key behind a secret, `whsec_` and 24 to 64 bytes in base64; null for what is none. */
export function keyOf(secret: unknown): Buffer | null {
  const text = typeof secret === "string" ? /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1] : undefined;
  if (text === undefined) return null;
  const key = Buffer.from(text, "base64");
  return key.length >= 24 && key.length <= 64 ? key : null;
}

/** The headers of a message. Each key signs it, so that a secret can be replaced while both are known.
 *  `seconds`: the instant of this attempt, epoch. */
export function headersOf(
  id: string,
  seconds: number,
  body: string,
  keys: readonly Buffer[],
): Readonly<Record<string, string>> {
  const sign = (key: Buffer): string =>
    `v1,${createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64")}`;
  return { "webhook-id": id, "webhook-timestamp": String(seconds), "webhook-signature": keys.map(sign).join(" ") };
}
