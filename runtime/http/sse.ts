/** Events as a stream of server-sent events, which browsers read with `EventSource`. */
import { batchesOf, type Batches, type EventQuery } from "../../sdk/client/events.ts";
import type { Item } from "../../sdk/client/hub.ts";
import type { Call } from "./route.ts";
import { Frames, longestMs, pingMs, stallMs, textOf } from "./stream.ts";

const headers = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "Cache-Control": "no-store",
  "X-Accel-Buffering": "no", // a proxy is to pass each event on at once
  "X-Content-Type-Options": "nosniff",
} as const;

/** Answers with the events of a query as they come, until the client leaves or the server stops. A client that takes nothing is cut off.
 *  @throws {Refused} if the server has too many streams */
export async function sse(call: Call, query: EventQuery): Promise<Response> {
  const over = new AbortController();
  const leave = call.server.streams.enter(() => over.abort());
  try {
    const batches = batchesOf(call.server.open, { ...query, signal: over.signal });
    const first = await batches.next(); // once the store is watched; what is refused is no stream
    const chunks = framed(first, batches);
    return new Response(streamOf(chunks, { over, leave, cut: () => call.cut() }), { headers });
  } catch (error) {
    over.abort();
    leave();
    throw error;
  }
}

interface Ends {
  readonly over: AbortController;
  leave(): void;
  cut(): void;
}

/** A stream that asks for a chunk once the one before was taken. */
function streamOf(chunks: AsyncGenerator<Uint8Array, void, undefined>, ends: Ends): ReadableStream {
  let stalled: NodeJS.Timeout | undefined;
  const longest = setTimeout(() => ends.over.abort(), longestMs).unref();
  const end = (): void => {
    clearTimeout(stalled);
    clearTimeout(longest);
    ends.over.abort();
    ends.leave();
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        clearTimeout(stalled);
        try {
          const { value: chunk, done } = await chunks.next();
          if (done) {
            end();
            return controller.close();
          }
          controller.enqueue(chunk);
          stalled = setTimeout(() => (end(), ends.cut()), stallMs).unref();
        } catch (error) {
          end();
          controller.error(error);
        }
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
}

/** The stream, in chunks: events, and pings where there are none. */
async function* framed(
  first: IteratorResult<readonly Item[], void>,
  batches: Batches,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield hello;
  for (let coming = Promise.resolve(first); ;) {
    const batch = await soon(coming);
    if (batch === null) yield ping;
    else if (batch.done) return;
    else {
      yield* frames.of(batch.value);
      coming = batches.next();
    }
  }
}

/** What comes, or null if nothing does for a while. */
async function soon<T>(coming: Promise<T>): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => (timer = setTimeout(resolve, pingMs, null)));
  try {
    return await Promise.race([coming, late]);
  } finally {
    clearTimeout(timer);
  }
}

const encoder = new TextEncoder();
const frames = new Frames((part) => encoder.encode(part.map(frame).join("")));
const hello = encoder.encode("retry: 2000\n\n");
const ping = encoder.encode(": ping\n\n");

/** Without a name, so that one listener hears all. */
function frame(item: Item): string {
  return item.id === undefined ? `data: ${textOf(item)}\n\n` : `id: ${item.id}\ndata: ${textOf(item)}\n\n`;
}
