import { AbortError, defineService, RetryAfterError } from "tasker";

export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}
export interface Mailer {
  /** Answers the id of the message. A repeat with the same key sends nothing. */
  send(mail: Mail, options: { readonly idempotencyKey: string; readonly signal: AbortSignal }): Promise<string>;
}

/** A mail service that is called over HTTP, at `MAILER_URL`. */
export const mailer = defineService({
  name: "mailer",
  open: (): Mailer => ({ send }),
});

const send: Mailer["send"] = async (mail, { idempotencyKey, signal }) => {
  const response = await fetch(process.env["MAILER_URL"] ?? "http://127.0.0.1:8025/messages", {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
    body: JSON.stringify(mail),
    signal,
  });
  if (response.status === 429) throw new RetryAfterError(`${secondsOf(response.headers.get("retry-after"))}s`);
  if (response.status >= 500) throw new Error(`the mail service answered ${response.status}`); // tried again
  if (!response.ok) throw new AbortError(`the mail service refused the message: ${response.status}`); // not tried again
  return ((await response.json()) as { id: string }).id;
};

/** Whole seconds of a Retry-After header; a minute if it has a date, or none. */
function secondsOf(header: string | null): number {
  return /^\d{1,6}$/.test(header ?? "") ? Number(header) : 60;
}
