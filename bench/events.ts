/** Readers of events over HTTP, good and bad ones at once: `npm run build && node --import tsx bench/events.ts [--seconds 120] [--rate 1000]
 *  [--idle 200] [--slow 200] [--reconnects 100] [--json FILE]`.
 *
 *  A process writes events at a rate, as a node does. Another serves them. A third reads: 20 take all that comes, half of them by WebSocket; 200
 *  never read; 200 read 1 KB a second; and 100 a second connect and leave. It prints how late the fast ones are, from the event's instant to
 *  their hands, what they missed, and the server's memory, CPU and streams as time goes on. tasker is its build, on a Postgres of its own. */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { WebSocket } from "ws";
import type * as Http from "../runtime/http/index.ts";
import type * as Engine from "../runtime/index.ts";
import { quantile } from "./number.ts";
import { startPostgres } from "./server.ts";

const { values } = parseArgs({
  options: {
    role: { type: "string" },
    seconds: { type: "string", default: "120" },
    rate: { type: "string", default: "1000" },
    idle: { type: "string", default: "200" },
    slow: { type: "string", default: "200" },
    reconnects: { type: "string", default: "100" },
    fast: { type: "string", default: "20" },
    json: { type: "string" },
  },
});
const [seconds, rate, idle, slow, reconnects, fast] = (
  ["seconds", "rate", "idle", "slow", "reconnects", "fast"] as const
).map((name) => Number(values[name])) as [number, number, number, number, number, number];
const built = new URL("../dist/", import.meta.url).href;
const engine = (): Promise<typeof Engine> => import(`${built}runtime/index.js`) as Promise<typeof Engine>;

interface Order {
  readonly url: string;
}
interface Late {
  /** By ten seconds. */
  readonly p99s: readonly number[];
  readonly events: number;
  readonly gaps: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const roles: Readonly<Record<string, (order: Order) => Promise<unknown>>> = { write, serve, read };

/** Writes events of runs, at the rate, in ticks of 10 ms, as the outlet of a node does. */
async function write({ url }: Order): Promise<number> {
  const store = (await engine()).postgres({ url });
  await store.feed.watch(60_000); // so that it knows at once that somebody does
  let told = 0;
  for (const began = performance.now(); performance.now() < began + seconds * 1000; await pause(10))
    for (const due = ((performance.now() - began) * rate) / 1000; told < due; told++)
      store.outlet.take({
        ...{ type: "run.completed", at: new Date(), run: `run_${told.toString(36)}`, job: "remind", queue: "default" },
        ...{ tags: ["user:7"], attempt: 1, durationMs: 12, reason: null },
      });
  await store.close();
  return told;
}

/** Serves until the parent goes; tells its memory, CPU and sockets every five seconds. */
async function serve({ url }: Order): Promise<string> {
  const { serve: start } = (await import(`${built}runtime/http/index.js`)) as typeof Http;
  const store = (await engine()).postgres({ url });
  await store.open();
  const served = await start({ listen: "127.0.0.1:0", tokens: "none", target: store });
  let before = process.cpuUsage();
  setInterval(() => {
    const { rss, heapUsed } = process.memoryUsage();
    const { user, system } = process.cpuUsage(before);
    before = process.cpuUsage();
    const sockets = process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
    process.send?.({ rssMb: mb(rss), heapMb: mb(heapUsed), cpu: Math.round((user + system) / 50_000), sockets });
  }, 5000);
  return served.url;
}

/** Reads in all the ways. */
async function read({ url }: Order): Promise<Late> {
  const late: number[] = [];
  const windows: number[][] = [];
  const began = performance.now();
  const about = { gaps: 0, isOver: false };
  const take = (event: { type: string; at: string; lost?: number | null }): void => {
    if (event.type === "gap") about.gaps += event.lost ?? 1;
    else {
      const ms = Date.now() - Date.parse(event.at);
      late.push(ms);
      (windows[Math.floor((performance.now() - began) / 10_000)] ??= []).push(ms);
    }
  };
  for (let n = 0; n < fast; n++) (n % 2 === 0 ? listen : follow)(url, take);
  for (let n = 0; n < idle; n++) raw(url).pause();
  for (let n = 0; n < slow; n++) sip(raw(url), about);
  const end = performance.now() + seconds * 1000;
  for (let n = 0; performance.now() < end; n++) {
    visit(url);
    await pause(1000 / reconnects);
  }
  about.isOver = true;
  await pause(1000);
  const p99s = Array.from(windows, (some = []) => quantile(some, 0.99));
  return {
    ...{ events: late.length / fast, gaps: about.gaps },
    ...{ p50: quantile(late, 0.5), p99: quantile(late, 0.99), max: quantile(late, 1), p99s },
  };
}

/** A reader of server-sent events that takes all. */
function listen(url: string, take: (event: never) => void): void {
  let rest = "";
  request(`${url}/api/v1/events`, (answer) => {
    answer.setEncoding("utf8").on("data", (text: string) => {
      const parts = (rest + text).split("\n\n");
      rest = parts.pop()!;
      for (const part of parts)
        if (part.includes("data: ")) take(JSON.parse(part.slice(part.indexOf("data: ") + 6)) as never);
    });
  }).end();
}

function follow(url: string, take: (event: never) => void): void {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws`);
  socket.on("open", () => socket.send(JSON.stringify({ type: "subscribe", subscription: "all" })));
  socket.on("message", (data: Buffer) => {
    const { events = [] } = JSON.parse(data.toString()) as { events?: readonly never[] };
    for (const event of events) take(event);
  });
}

/** A connection that has asked for events. */
function raw(url: string) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => undefined);
  socket.write(`GET /api/v1/events HTTP/1.1\r\nHost: ${hostname}:${port}\r\n\r\n`);
  return socket;
}

/** Reads a kilobyte a second. */
function sip(socket: ReturnType<typeof raw>, until: { readonly isOver: boolean }): void {
  socket.pause();
  const timer = setInterval(() => {
    if (until.isOver || socket.destroyed) clearInterval(timer);
    socket.read(Math.min(1024, socket.readableLength || 1));
  }, 1000);
}

/** Connects, and leaves once it is answered. */
function visit(url: string): void {
  const asked = request(`${url}/api/v1/events`, (answer) => answer.destroy());
  asked.on("error", () => undefined).end();
}

function mb(bytes: number): number {
  return Math.round(bytes / 1_048_576);
}

interface Started {
  readonly child: ChildProcess;
  /** What its role has come to. */
  readonly answer: Promise<unknown>;
}

function start(role: string, order: Order, hear: (message: object) => void = () => undefined): Started {
  const child = fork(fileURLToPath(import.meta.url), [...process.argv.slice(2), "--role", role]);
  child.send(order);
  const answer = new Promise((resolve, reject) => {
    child.on("message", (message: { answer?: unknown }) =>
      "answer" in message ? resolve(message.answer) : hear(message),
    );
    child.on("exit", (code) => reject(new Error(`${role} ended with ${code}`)));
  });
  answer.catch(() => undefined);
  return { child, answer };
}

async function main(): Promise<void> {
  const server = await startPostgres();
  try {
    const samples: object[] = [];
    const serving = start("serve", { url: server.url }, (sample) => {
      samples.push(sample);
      console.log(JSON.stringify(sample));
    });
    const url = (await serving.answer) as string;
    const reading = start("read", { url });
    await pause(2000);
    const writing = start("write", { url: server.url });
    const [written, late] = await Promise.all([writing.answer, reading.answer]);
    reading.child.kill();
    await pause(6000);
    const result = { written, ...(late as Late), atEnd: samples.at(-1) };
    console.log(JSON.stringify(result, null, 2));
    if (values.json) writeFileSync(values.json, JSON.stringify({ ...result, samples }, null, 2));
    serving.child.kill();
    await once(serving.child, "exit");
  } finally {
    await server.stop();
  }
}

if (values.role === undefined) await main();
else
  process.once("message", (order: Order) => {
    void roles[values.role!]!(order).then((answer) => process.send?.({ answer }));
  });
