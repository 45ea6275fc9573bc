/** One message on its way: the address is looked at as the connection is made, so that no name can lead elsewhere. */
import { lookup as resolve, type LookupAddress, type LookupOptions } from "node:dns";
import * as http from "node:http";
import * as https from "node:https";
import { isIP, type LookupFunction } from "node:net";
import type { DurationText } from "../../sdk/port/duration.ts";
import { AbortError } from "../../sdk/port/error.ts";
import { RetryAfterError } from "../../sdk/define/signal.ts";
import { isAllowed, isUsable } from "./address.ts";
import type { Hook } from "./hook.ts";
import { headersOf } from "./sign.ts";

/** What is read of an answer, and how much of that an error says; characters. */
const [mostRead, mostSaid] = [64 * 1024, 200];
/** The longest wait that a receiver may ask for; s. */
const longestWait = 86_400;

/** Sends a message. Answers the status, one of success.
 *  @throws {AbortError} where no repeat can help: the address is refused, or the receiver wants no more. @throws {RetryAfterError} */
export async function post(
  hook: Hook,
  message: { readonly id: string; readonly body: string },
  signal: AbortSignal,
): Promise<number> {
  const { id, body } = message;
  const headers = {
    ...{
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(body)),
      "user-agent": "tasker",
    },
    ...headersOf(id, Math.floor(Date.now() / 1000), body, hook.keys),
  };
  const { status, text, retryAfter } = await sent(hook, headers, body, signal);
  if (status >= 200 && status < 300) return status;
  const said = `webhook "${hook.id}" was answered with ${status}${text && `: ${text}`}`;
  if (status === 410)
    throw new AbortError(`${said}; its receiver wants no more of them: take it out of the configuration`);
  if (retryAfter !== null) throw new RetryAfterError(`${retryAfter}s` as DurationText, said);
  throw new Error(
    status >= 300 && status < 400 ? `${said}; redirects are not followed: use the address that it leads to` : said,
  );
}

interface Answer {
  readonly status: number;
  readonly text: string;
  /** Seconds. */
  readonly retryAfter: number | null;
}

function sent(
  { id, url, allowed }: Hook,
  headers: http.OutgoingHttpHeaders,
  body: string,
  signal: AbortSignal,
): Promise<Answer> {
  const { request } = url.protocol === "https:" ? https : http;
  const isFine = (address: string): boolean => (url.protocol === "https:" ? isUsable : isAllowed)(address, allowed);
  const refused = (address: string): AbortError =>
    new AbortError(
      `webhook "${id}" leads to ${address}, which is not on the internet; name it in \`allow\` of that webhook if that is meant`,
    );
  const host = url.hostname.replace(/^\[|\]$/g, "");
  return new Promise((done, fail) => {
    if (isIP(host) !== 0 && !isFine(host)) return fail(refused(host));
    // A connection of its own: one that is kept may have been made for another webhook, with other addresses.
    const sending = request(
      url,
      { method: "POST", headers, signal, agent: false, lookup: looking(isFine, refused) },
      (response) => {
        read(response).then(
          (text) =>
            done({ status: response.statusCode ?? 0, text: text.slice(0, mostSaid), retryAfter: waitOf(response) }),
          fail,
        );
      },
    );
    sending.on("error", fail).end(body);
  });
}

/** Finds the addresses of a name, and leaves out those that may not be used. */
function looking(isFine: (address: string) => boolean, refused: (address: string) => Error): LookupFunction {
  return (host, options: LookupOptions, done) => {
    resolve(host, { ...options, all: true }, (error, found: readonly LookupAddress[]) => {
      if (error) return done(error, "");
      const fine = found.filter(({ address }) => isFine(address));
      const [first] = fine;
      if (!first) return done(refused(`${host} (${found.map(({ address }) => address).join(", ")})`), "");
      if (options.all) done(null, fine);
      else done(null, first.address, first.family);
    });
  };
}

async function read(response: http.IncomingMessage): Promise<string> {
  let text = "";
  response.setEncoding("utf8");
  for await (const part of response as AsyncIterable<string>) {
    text += part;
    if (text.length > mostRead) break; // which ends the connection
  }
  return text.trim();
}

/** How long the receiver asks to be left alone; null if it does not. */
function waitOf({ statusCode, headers }: http.IncomingMessage): number | null {
  const asked = headers["retry-after"];
  if (asked === undefined || ![429, 503].includes(statusCode ?? 0)) return null;
  const seconds = /^\d+$/.test(asked) ? Number(asked) : (Date.parse(asked) - Date.now()) / 1000;
  return seconds >= 0 ? Math.min(longestWait, Math.ceil(seconds)) : null;
}
