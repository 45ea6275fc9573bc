/** Where events are posted to. */
export interface Webhook {
  /** `https://…`; `http://…` only together with `allow`. Redirects are not followed. */
  readonly url: string;
  /** Types of events: `run.failed`, or all that begin alike: `run.*`. */
  readonly events: readonly string[];
  /** Only events of these jobs and queues, whose runs have all of these tags. */
  readonly filter?:
    | {
        readonly jobs?: readonly string[] | undefined;
        readonly queues?: readonly string[] | undefined;
        readonly tags?: readonly string[] | undefined;
      }
    | undefined;
  /** `whsec_` and 24 to 64 bytes in base64: signs what is sent, by the Standard Webhooks specification. Of several, each signs, so that one can be
   *  replaced. */
  readonly secret: string | readonly string[];
  /** Addresses and networks that are not on the internet, and may be used all the same: `10.0.0.0/8`. */
  readonly allow?: readonly string[] | undefined;
  /** Names it in its deliveries; the URL's host and a hash of the URL by default. */
  readonly id?: string | undefined;
}
