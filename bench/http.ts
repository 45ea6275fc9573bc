/** What triggering over HTTP takes beside triggering in process: the same job, store and process, 64 callers or 64 connections, each of which awaits
 *  its commit. `npm run build && node --import tsx bench/http.ts [--seconds 4] [--rounds 5]` */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { parseArgs } from "node:util";
import { fileURLToPath } from "node:url";
import type * as httpType from "../runtime/http/index.ts";
import type * as engineType from "../runtime/index.ts";
import type * as sdkType from "../sdk/index.ts";
import { startPostgres } from "./server.ts";

const callers = 64;
const token = "bench-token-of-64-callers";
const payload = { id: 7, to: "ada@example.com", t: 1 };

interface Measured {
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
}
type Order = { readonly do: "add" | "load"; readonly ms: number; readonly port?: number };

/** As many calls at once as there are callers, until the time is over. */
async function measured(call: (caller: number) => Promise<void>, ms: number): Promise<Measured> {
  const took: number[] = [];
  const endMs = performance.now() + ms;
  const loop = async (caller: number): Promise<void> => {
    for (let now = performance.now(); now < endMs;) {
      await call(caller);
      const then = performance.now();
      took.push(then - now);
      now = then;
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => loop(caller)));
  took.sort((a, b) => a - b);
  return { rate: took.length / (ms / 1000), p50: took[took.length >> 1]!, p99: took[Math.floor(took.length * 0.99)]! };
}

/** The process under test: it triggers itself, and serves. */
async function server(url: string): Promise<void> {
  const dist = new URL("../dist/", import.meta.url).href;
  const sdk = (await import(`${dist}sdk/index.js`)) as typeof sdkType;
  const engine = (await import(`${dist}runtime/index.js`)) as typeof engineType;
  const http = (await import(`${dist}runtime/http/index.js`)) as typeof httpType;
  const { z } = await import("zod");
  const schema = z.object({ id: z.int(), to: z.email(), t: z.number() });
  const job = sdk.defineJob({ id: "noop", schema, handler: () => null });
  const runtime = engine.createRuntime({ store: engine.postgres({ url }), jobs: [job], slots: 0 }); // it publishes the job, and runs none
  await runtime.start();
  sdk.configure({ store: runtime.store });
  const tokens = [{ name: "bench", role: "operate", token }] as const;
  const served = await http.serve({ target: runtime.store, runtime, tokens, listen: "0" });
  process.on("message", (order: Order) => {
    void measured(async () => void (await job.trigger(payload)), order.ms).then((told) => process.send!(told));
  });
  process.send!({ port: Number(new URL(served.url).port) });
}

/** Another process: connections that each send a request, read its answer, and send the next. A client of its own, so that it costs little. */
function load(): void {
  const body = JSON.stringify({ payload });
  const head = `POST /api/v1/jobs/noop/trigger HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  const request = Buffer.from(head + body);
  process.on("message", ({ ms, port }: Order) => {
    const sockets = Array.from({ length: callers }, () => connect({ port: port!, host: "127.0.0.1", noDelay: true }));
    const call = (caller: number): Promise<void> =>
      new Promise((done, failed) => {
        let text = "";
        const socket = sockets[caller]!;
        const read = (chunk: Buffer): void => {
          text += chunk.toString("latin1");
          const end = text.indexOf("\r\n\r\n");
          const length = /content-length: (\d+)/i.exec(text)?.[1];
          if (end < 0 || text.length < end + 4 + Number(length)) return;
          socket.off("data", read);
          if (text.startsWith("HTTP/1.1 201")) done();
          else failed(new Error(text));
        };
        socket.on("data", read);
        socket.write(request);
      });
    void Promise.all(sockets.map((socket) => once(socket, "connect")))
      .then(() => measured(call, ms))
      .then((told) => {
        for (const socket of sockets) socket.destroy();
        process.send!(told);
      });
  });
  process.send!({});
}

async function ordered(child: ChildProcess, order: Order): Promise<Measured> {
  child.send(order);
  const [told] = (await once(child, "message")) as [Measured];
  return told;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { seconds: { type: "string", default: "4" }, rounds: { type: "string", default: "5" } },
  });
  const ms = Number(values.seconds) * 1000;
  const postgres = await startPostgres();
  const children = [fork(file, ["server", postgres.url]), fork(file, ["load"])] as const;
  try {
    const [[told]] = await Promise.all([once(children[0], "message"), once(children[1], "message")]);
    const { port } = told as { readonly port: number };
    const inside: Measured[] = [];
    const over: Measured[] = [];
    await ordered(children[0], { do: "add", ms: 1000 });
    await ordered(children[1], { do: "load", ms: 1000, port });
    for (let round = 0; round < Number(values.rounds); round++) {
      inside.push(await ordered(children[0], { do: "add", ms }));
      over.push(await ordered(children[1], { do: "load", ms, port }));
    }
    const line = (name: string, all: readonly Measured[]): string =>
      `${name.padEnd(12)} ${Math.round(median(all.map(({ rate }) => rate)))}/s  p50 ${median(all.map(({ p50 }) => p50)).toFixed(1)} ms  p99 ${median(all.map(({ p99 }) => p99)).toFixed(1)} ms`;
    const ratios = inside.map(({ rate }, i) => over[i]!.rate / rate);
    console.log(line("in process", inside));
    console.log(line("over HTTP", over));
    console.log(`ratio ${median(ratios).toFixed(2)} (${ratios.map((ratio) => ratio.toFixed(2)).join(" ")})`);
  } finally {
    for (const child of children) child.kill();
    await postgres.stop();
  }
}

const file = fileURLToPath(import.meta.url);
const [role, url] = process.argv.slice(2);
if (role === "server") await server(url!);
else if (role === "load") load();
else await main();
