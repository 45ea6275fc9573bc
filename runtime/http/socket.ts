/** Events over a WebSocket: several subscriptions, and figures, over one connection. */
import type { WSContext, WSEvents } from "hono/ws";
import { z } from "zod";
import { batchesOf } from "../../sdk/client/events.ts";
import type { Item } from "../../sdk/client/hub.ts";
import { invalidOf, problemOf, Refused } from "./error.ts";
import type { Call } from "./route.ts";
import { chunkBytes, eventFields, Frames, longestMs, pingMs, stallMs, textOf } from "./stream.ts";

const mostSubscriptions = 20;
/** Messages that are no use, after which a socket is closed. */
const mostErrors = 20;
const statsMs = 1000;
/** A handshake that takes longer has failed; ms. */
const handshakeMs = 10_000;
/** How often to look whether a socket has taken what it was given; ms. */
const lookMs = 50;
/** Codes of closes: the server goes, or what came was no use. */
const going = 1001;
const refused = 1008;

const subscription = z.string().min(1).max(64);
const messages = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("subscribe"), subscription, ...eventFields }),
  z.strictObject({ type: z.literal("unsubscribe"), subscription }),
  z.strictObject({ type: z.literal("ping") }),
  z.strictObject({ type: z.literal("stats") }),
]);
type Message = z.output<typeof messages>;
type Subscribe = Extract<Message, { type: "subscribe" }>;

const frames = new Frames((part) => `[${part.map(textOf).join(",")}]`);

/** What sockets of Node have beside what all have. */
interface Raw {
  readonly bufferedAmount?: number;
  ping?(): void;
  on?(event: "pong", hear: () => void): void;
  terminate?(): void;
}

/** Makes a WebSocket of a request.
 *  @throws {Refused} if the server has too many streams, or it is no request for one */
export async function socket(call: Call): Promise<Response> {
  const made = new Socket(call);
  try {
    return await call.upgrade(made.events);
  } catch (error) {
    made.end();
    throw error;
  }
}

class Socket {
  readonly #call: Call;
  readonly #leave: () => void;
  readonly #subscriptions = new Map<string, AbortController>();
  readonly #timers: NodeJS.Timeout[] = [];
  #to: WSContext | null = null;
  #sending: Promise<unknown> = Promise.resolve();
  #isOver = false;
  #silent = 0;
  #errors = 0;
  #statsAt = -Infinity;

  constructor(call: Call) {
    this.#call = call;
    this.#leave = call.server.streams.enter(() => this.#close(going, "the server stops"));
    this.#timers.push(setTimeout(() => this.#to ?? this.end(), handshakeMs).unref());
  }

  get events(): WSEvents {
    return {
      onOpen: (_, to) => this.#open(to),
      onMessage: ({ data }) => void this.#hear(data),
      onClose: () => this.end(),
      onError: () => this.end(),
    };
  }

  end(): void {
    this.#isOver = true;
    this.#leave();
    for (const timer of this.#timers) clearInterval(timer);
    for (const stop of this.#subscriptions.values()) stop.abort();
    this.#subscriptions.clear();
  }

  #open(to: WSContext): void {
    if (this.#isOver) return to.close(going, "the server stops");
    this.#to = to;
    const raw = to.raw as Raw | undefined;
    raw?.on?.("pong", () => (this.#silent = 0));
    const ping = (): void => {
      if (raw?.ping && this.#silent++ >= 2) return this.#cut();
      raw?.ping?.();
    };
    this.#timers.push(setInterval(ping, pingMs).unref());
    this.#timers.push(setTimeout(() => this.#close(going, "show your token again"), longestMs).unref());
  }

  #close(code: number, reason: string): void {
    this.end();
    this.#to?.close(code, reason);
    setTimeout(() => this.#cut(), 1000).unref(); // one that does not answer
  }

  #cut(): void {
    this.end();
    const raw = this.#to?.raw as Raw | undefined;
    if (raw?.terminate) raw.terminate();
    else this.#to?.close(refused);
  }

  async #hear(data: unknown): Promise<void> {
    if (this.#isOver) return;
    let named: string | undefined;
    try {
      const message = parse(data);
      named = "subscription" in message ? message.subscription : undefined;
      await this.#do(message);
    } catch (error) {
      this.#complain(error, named);
    }
  }

  #complain(error: unknown, subscription?: string): void {
    const { code, detail, path } = problemOf(error);
    this.#say({
      type: "error",
      ...(subscription !== undefined && { subscription }),
      code,
      detail,
      ...(path && { path }),
    });
    if (++this.#errors >= mostErrors) this.#close(refused, "too many messages are of no use");
  }

  async #do(message: Message): Promise<void> {
    switch (message.type) {
      case "subscribe":
        return this.#subscribe(message);
      case "unsubscribe":
        this.#subscriptions.get(message.subscription)?.abort();
        this.#subscriptions.delete(message.subscription);
        return this.#say({ type: "unsubscribed", subscription: message.subscription });
      case "ping":
        return this.#say({ type: "pong", at: new Date() });
      case "stats": {
        const now = performance.now();
        if (now - this.#statsAt < statsMs) throw new Refused("TOO_MANY_ATTEMPTS", "stats are told once a second");
        this.#statsAt = now;
        const to = await this.#call.server.open();
        return this.#say({ type: "stats", stats: await to.find.stats({ look: false }) });
      }
      default:
        return message satisfies never;
    }
  }

  #subscribe({ type: _, subscription, ...query }: Subscribe): void {
    if (this.#subscriptions.has(subscription))
      throw new Refused(
        "WRONG_STATE",
        `subscription "${subscription}" is there already; unsubscribe it, or take another name`,
      );
    if (this.#subscriptions.size >= mostSubscriptions)
      throw new Refused(
        "TOO_MANY_STREAMS",
        `a socket has ${mostSubscriptions} subscriptions at most; unsubscribe some`,
      );
    const stop = new AbortController();
    this.#subscriptions.set(subscription, stop);
    const following = this.#follow(
      subscription,
      batchesOf(this.#call.server.open, { ...query, signal: stop.signal }),
      stop,
    );
    following.catch((error: unknown) => {
      this.#subscriptions.delete(subscription);
      if (!stop.signal.aborted) this.#complain(error, subscription);
    });
  }

  async #follow(
    subscription: string,
    batches: AsyncIterable<readonly Item[]>,
    { signal }: AbortController,
  ): Promise<void> {
    let isBegun = false;
    for await (const batch of batches) {
      if (!isBegun) this.#say({ type: "subscribed", subscription });
      isBegun = true;
      for (const events of frames.of(batch)) {
        if (signal.aborted) return;
        this.#to?.send(`{"type":"events","subscription":${JSON.stringify(subscription)},"events":${events}}`);
        await this.#taken();
      }
    }
  }

  #say(message: object): void {
    if (!this.#isOver) this.#to?.send(JSON.stringify(message));
  }

  /** Waits until the socket has taken what it was given, all subscriptions together. One that takes nothing is cut off. */
  #taken(): Promise<unknown> {
    const raw = this.#to?.raw as Raw | undefined;
    const isFull = (): boolean => !this.#isOver && (raw?.bufferedAmount ?? 0) > chunkBytes;
    if (!isFull()) return Promise.resolve();
    return (this.#sending = this.#sending.then(async () => {
      let [least, until] = [Infinity, performance.now() + stallMs];
      while (isFull()) {
        await new Promise((resolve) => setTimeout(resolve, lookMs));
        const left = raw!.bufferedAmount!;
        if (left < least) [least, until] = [left, performance.now() + stallMs];
        if (performance.now() > until) return this.#cut();
      }
    }));
  }
}

function parse(data: unknown): Message {
  let value: unknown;
  try {
    value = JSON.parse(String(data));
  } catch (cause) {
    throw new Refused(
      "INVALID_JSON",
      'the message is not JSON; write { "type": "subscribe", "subscription": "a" }',
      {},
      { cause },
    );
  }
  const { data: message, error } = messages.safeParse(value);
  if (error) throw invalidOf("the message", error.issues);
  return message;
}
