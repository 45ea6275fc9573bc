/** Events over HTTP: server-sent events and WebSockets, with a real server and real clients. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { WebSocket, type ClientOptions } from "ws";
import { batchesOf } from "../../sdk/client/events.ts";
import { formatId } from "../../sdk/port/id.ts";
import { api } from "../../runtime/http/app.ts";
import type { Call } from "../../runtime/http/route.ts";
import { socket } from "../../runtime/http/socket.ts";
import { sse } from "../../runtime/http/sse.ts";
import { serve, type Served } from "../../runtime/http/serve.ts";
import { Streams } from "../../runtime/http/stream.ts";
import { guard } from "../../runtime/store/guard.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import { addOne } from "../kit/build.ts";
import { least } from "../kit/least.ts";
import { until } from "../kit/until.ts";
import { admin, any, anApi, tokens, type Api, type Body } from "./kit.ts";

afterEach(() => void vi.useRealTimers());

/** `any`, by another name. */
const reminding = { ...any, id: "remind" };
const bearer = { Authorization: `Bearer ${admin}` };
const path = "/api/v1/events";

interface Message extends Body {
  readonly type: string;
  readonly events: readonly Body[];
  readonly stats: { readonly queues: readonly unknown[] };
}

/** Reads a stream of server-sent events, as EventSource does. */
async function listen(api: Api, query = "", headers: Readonly<Record<string, string>> = bearer) {
  const leaving = new AbortController();
  const response = await fetch(`${api.url}${path}${query}`, { headers, signal: leaving.signal });
  let text = "";
  const over = (async () => {
    for await (const part of response.body!.pipeThrough(new TextDecoderStream())) text += part;
    return "ended";
  })().catch(() => "cut");
  onTestFinished(() => leaving.abort());
  const events = (): readonly Body[] =>
    [...text.matchAll(/^(?:id: (.*)\n)?data: (.*)\n\n/gm)].map(([, id, data]) => {
      const event = JSON.parse(data!) as Body;
      expect(event.id).toBe(id);
      return event;
    });
  return {
    ...{ response, events, over, text: () => text, leave: () => leaving.abort() },
    count: (n: number) =>
      until(() => (events().length >= n ? events() : null), { what: () => `${n} events in ${text}` }),
  };
}

/** A client of `/ws`, and what it was told. */
async function connect(api: Api, query = "", options: ClientOptions = { headers: bearer }) {
  const client = new WebSocket(`${api.url.replace("http", "ws")}/ws${query}`, options);
  const told: Message[] = [];
  const closed = once(client, "close").then(([code, reason]: unknown[]) => [code, String(reason)]);
  client.on("message", (data: Buffer) => told.push(JSON.parse(data.toString()) as Message));
  client.on("error", () => undefined);
  onTestFinished(() => client.terminate());
  await Promise.race([once(client, "open"), closed]);
  const said = (type: string, n = 1): Promise<readonly Message[]> =>
    until(
      () => (told.filter((one) => one.type === type).length >= n ? told.filter((one) => one.type === type) : null),
      {
        what: () => `${n} × ${type} in ${JSON.stringify(told)}`,
      },
    );
  const events = (subscription: string): readonly Body[] =>
    told.flatMap((one) => (one.type === "events" && one["subscription"] === subscription ? one.events : []));
  return { client, told, closed, said, events, say: (message: unknown) => client.send(JSON.stringify(message)) };
}

/** The status that a handshake is refused with. */
async function refusal(api: Api, query: string, options: ClientOptions): Promise<number> {
  const client = new WebSocket(`${api.url.replace("http", "ws")}/ws${query}`, options);
  client.on("error", () => undefined);
  const [, response] = (await once(client, "unexpected-response")) as [unknown, { statusCode: number }];
  client.terminate();
  return response.statusCode;
}

describe("server-sent events", () => {
  test("come as they happen, each with its id, and none from before", async () => {
    const api = await anApi();
    await addOne(api.store, { job: "before" });
    const { response, count, text } = await listen(api);

    const id = formatId(
      await addOne(api.store, { job: "hello", input: { json: '{"name":"Ada"}', meta: null }, tags: ["a"] }),
    );

    const events = await count(3);
    expect(response.status).toBe(200);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    expect(text().startsWith("retry: 2000\n\n")).toBe(true);
    expect(events.map((event) => [event["type"], event.run])).toEqual([
      ["run.scheduled", id],
      ["run.started", id],
      ["run.completed", id],
    ]);
    expect(events[0]).toMatchObject({ job: "hello", tags: ["a"], at: expect.stringMatching(/^20.*Z$/) as string });
  });

  test("are those that the query asks for; what it can't ask for is refused with the field", async () => {
    const api = await anApi();
    const { count } = await listen(api, "?types=run.completed,run.failed&jobs=any&tags=a,b&tags=c");
    const about = { job: "any", input: { json: "1", meta: null } };

    await addOne(api.store, { ...about, tags: ["a", "b", "c"] });
    const id = await addOne(api.store, { ...about, tags: ["a,b", "c", "d"] });

    expect(await count(1)).toMatchObject([{ type: "run.completed", run: formatId(id) }]);
    for (const [query, field] of [
      ["types=run.fail", "types.0"],
      ["statuses=done", "statuses.0"],
      ["ids=7", "ids.0"],
      ["since=7", "since"],
      ["job=a", "job"],
    ])
      expect(await api.get(`${path}?${query}`)).toMatchObject({
        status: 400,
        body: { code: "INVALID_INPUT", path: field },
      });
  });

  test("go on after Last-Event-ID, which wins over since, without a hole", async () => {
    const api = await anApi({ works: false });
    const first = await listen(api);
    for (let n = 0; n < 5; n++) await addOne(api.store, { job: `job${n}` });
    const ids = (await first.count(5)).map(({ id }) => id);
    first.leave();
    await addOne(api.store, { job: "job5" });

    const again = await listen(api, `?since=${ids[0]}`, { ...bearer, "Last-Event-ID": ids[2]! });
    await addOne(api.store, { job: "job6" });
    const since = await listen(api, `?since=${ids[3]}`);

    expect((await again.count(4)).map((event) => event["job"])).toEqual(["job3", "job4", "job5", "job6"]);
    expect((await since.count(3)).map((event) => event["job"])).toEqual(["job4", "job5", "job6"]);
  });

  test("begin with a gap after an event that is not kept any more", async () => {
    const store = memory();
    const api = await anApi({ store });

    const { count, text } = await listen(api, "", { ...bearer, "Last-Event-ID": "000000000-000000000" });

    expect(await count(1)).toMatchObject([{ type: "gap", lost: null }]);
    expect(text()).not.toContain("id: ");
  });

  test("need a token of any role, or a ticket, which lets in once", async () => {
    const api = await anApi();
    const ticket = async (): Promise<string> =>
      (await api.post("/api/v1/tickets", undefined, { token: tokens[0].token })).body["ticket"] as string;
    const one = await ticket();

    const nobody = await api.get(path, { token: null });
    const wrong = await api.get(path, { token: "wrong-secret-of-tests" });
    const reader = await listen(api, "", { Authorization: `Bearer ${tokens[0].token}` });
    const cookie = await listen(api, "", { Cookie: `tasker_token=${admin}` });
    const first = await listen(api, `?ticket=${one}`, {});
    const second = await api.get(`${path}?ticket=${one}`, { token: null });
    const [elsewhere] = [await api.get(`/api/v1/runs?ticket=${await ticket()}`, { token: null })];

    expect([nobody.status, wrong.status, second.status, elsewhere.status]).toEqual([401, 401, 401, 401]);
    expect([reader, cookie, first].map(({ response }) => response.status)).toEqual([200, 200, 200]);
    expect(second.body.detail).toMatch(/the ticket is used, or over/);
    expect(JSON.stringify(api.lines)).not.toContain(one);
  });

  test("are limited in number; one that ends makes room", async () => {
    const api = await anApi({ streams: 2 });
    const [one] = [await listen(api), await listen(api)];

    const third = await api.get(path);
    const viaSocket = await refusal(api, "", { headers: bearer });
    one.leave();
    const room = await until(async () => (await api.get(path)).status === 200, { what: "there is room again" });

    expect(third).toMatchObject({ status: 503, body: { code: "TOO_MANY_STREAMS" } });
    expect(third.headers.get("retry-after")).toBe("5");
    expect([viaSocket, room]).toEqual([503, true]);
  });

  test("end at once when the server stops", async () => {
    const api = await anApi();
    const { over } = await listen(api);
    const { closed } = await connect(api);

    const since = performance.now();
    await api.close();

    expect(await over).toBe("ended");
    expect(await closed).toEqual([1001, "the server stops"]);
    expect(performance.now() - since).toBeLessThan(1500);
  });

  test("are refused where the store has none", async () => {
    const api = await anApi({ store: guard(least()), works: false });

    expect(await api.get(path)).toMatchObject({ status: 501, body: { code: "NOT_SUPPORTED" } });
    expect(await api.get(path)).toMatchObject({ status: 501 }); // none is left behind
  });

  /** A stream without a server around it. */
  async function alone() {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const store = memory();
    const streams = new Streams(10, new AbortController().signal);
    const cut = vi.fn();
    const call = { server: { open: () => Promise.resolve(store), streams }, cut } as unknown as Call;
    const response = await sse(call, {});
    const reader = response.body!.getReader();
    const next = async (): Promise<string> => new TextDecoder().decode((await reader.read()).value as Uint8Array);
    expect(await next()).toBe("retry: 2000\n\n");
    return { store, streams, cut, reader, next };
  }

  test("say something every 20 s where nothing happens", async () => {
    const { next, reader } = await alone();

    const pings = [next()];
    await vi.advanceTimersByTimeAsync(19_900);
    const early = await Promise.race([pings[0], Promise.resolve("nothing")]);
    await vi.advanceTimersByTimeAsync(200);
    pings.push(next());
    await vi.advanceTimersByTimeAsync(20_000);

    expect(early).toBe("nothing");
    expect(await Promise.all(pings)).toEqual([": ping\n\n", ": ping\n\n"]);
    await reader.cancel();
  });

  test("are cut off from a reader that takes nothing for 30 s, and from none that is only slow", async () => {
    const { next, cut, streams } = await alone();

    await vi.advanceTimersByTimeAsync(29_000); // it took the first part
    const ping = next();
    await vi.advanceTimersByTimeAsync(20_000);
    await ping;
    await vi.advanceTimersByTimeAsync(29_000);
    const before = [cut.mock.calls.length, streams.count];
    await vi.advanceTimersByTimeAsync(2000);

    expect(before).toEqual([0, 1]);
    expect(cut).toHaveBeenCalledOnce();
    expect(streams.count).toBe(0);
  });

  test("are cut off by the connection itself, as a server of Node has it", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    const store = memory();
    const app = api({ target: () => Promise.resolve(store), tokens: "none" });
    const outgoing = { destroy: vi.fn() };

    const response = await app.fetch(new Request(`http://localhost${path}`, { headers: { Host: "localhost" } }), {
      outgoing,
    });
    await response.body!.getReader().read();
    await vi.advanceTimersByTimeAsync(31_000);

    expect(response.status).toBe(200);
    expect(outgoing.destroy).toHaveBeenCalledOnce();
  });

  test("end after an hour, so that the reader shows its token again", async () => {
    const { reader, streams } = await alone();

    const ended = (async () => {
      while (!(await reader.read()).done);
    })();
    await vi.advanceTimersByTimeAsync(3_601_000);
    await ended;

    expect(streams.count).toBe(0);
  });

  test("of much are given in parts of about 16 kB", async () => {
    const { store, next, reader } = await alone();
    const other = batchesOf(() => Promise.resolve(store));
    await other.next();
    const texts = Array.from({ length: 800 }, (_, n) => JSON.stringify({ type: "node.started", node: `node ${n}` }));

    for (let at = 0; at < texts.length; at += 100) await store.feed.write(texts.slice(at, at + 100));
    await vi.advanceTimersByTimeAsync(100);
    const sizes = [(await next()).length, (await next()).length];
    await Promise.all([reader.cancel(), other.return()]);

    for (const size of sizes) expect(size).toBeGreaterThan(10_000);
    for (const size of sizes) expect(size).toBeLessThan(25_000);
  });
});

describe("a WebSocket", () => {
  test("has several subscriptions, each with what it asked for, until it is told to end them", async () => {
    const api = await anApi();
    const { say, said, events, told } = await connect(api);
    say({ type: "subscribe", subscription: "all" });
    say({ type: "subscribe", subscription: "ends", types: ["run.completed"], jobs: ["any"] });
    await said("subscribed", 2);

    await addOne(api.store, { job: "any", input: { json: "1", meta: null } });
    await until(() => events("all").length >= 3 && events("ends").length >= 1, { what: "both have heard of it" });
    say({ type: "unsubscribe", subscription: "all" });
    await said("unsubscribed");
    await addOne(api.store, { job: "any", input: { json: "2", meta: null } });
    await until(() => events("ends").length >= 2, { what: "the other goes on" });

    expect(events("all").map((event) => event["type"])).toEqual(["run.scheduled", "run.started", "run.completed"]);
    expect(events("ends").map((event) => event["type"])).toEqual(["run.completed", "run.completed"]);
    expect(told.filter(({ type }) => type === "error")).toEqual([]);
  });

  test("goes on after the last event that another socket has seen", async () => {
    const api = await anApi({ works: false });
    const first = await connect(api);
    first.say({ type: "subscribe", subscription: "a" });
    await first.said("subscribed");
    for (let n = 0; n < 3; n++) await addOne(api.store, { job: `job${n}` });
    await until(() => first.events("a").length === 3, { what: "it has seen three" });
    first.client.close();
    await addOne(api.store, { job: "job3" });

    const second = await connect(api);
    second.say({ type: "subscribe", subscription: "a", since: first.events("a")[1]!.id });
    await addOne(api.store, { job: "job4" });

    await until(() => second.events("a").length >= 3, { what: "it has seen the rest" });
    expect(second.events("a").map((event) => event["job"])).toEqual(["job2", "job3", "job4"]);
  });

  test("answers a ping, and figures once a second", async () => {
    const api = await anApi();
    const { say, said } = await connect(api);

    say({ type: "ping" });
    say({ type: "stats" });
    say({ type: "stats" });

    expect(await said("pong")).toMatchObject([{ at: expect.stringMatching(/^20.*Z$/) as string }]);
    expect((await said("stats"))[0]!.stats.queues).toBeInstanceOf(Array);
    expect(await said("error")).toMatchObject([{ code: "TOO_MANY_ATTEMPTS" }]);
  });

  test("is told what is wrong with a message, with the subscription that it was about", async () => {
    const api = await anApi();
    const { client, say, said } = await connect(api);
    client.send("{");
    say({ type: "sing" });
    say({ type: "subscribe", subscription: "a", job: "any" });
    say({ type: "subscribe", subscription: "b", types: ["run.fail"] });
    say({ type: "subscribe", subscription: "c", since: "7" });
    say({ type: "subscribe", subscription: "d" });
    say({ type: "subscribe", subscription: "d" });

    const errors = await said("error", 6);

    const about = (named: string | undefined) => errors.find((one) => one["subscription"] === named);
    expect(errors[0]).toMatchObject({ code: "INVALID_JSON" });
    expect(errors[1]).toMatchObject({ code: "INVALID_INPUT", path: "type" });
    expect(errors.filter(({ path }) => path === "job" || path === "types.0")).toHaveLength(2);
    expect(about("c")).toMatchObject({ code: "INVALID_INPUT", path: "since" });
    expect(about("d")).toMatchObject({ code: "WRONG_STATE" });
    expect(JSON.stringify(errors)).not.toContain("undefined");
  });

  test("has twenty subscriptions at most, and is closed after twenty messages that are of no use, or one that is too long", async () => {
    const api = await anApi();
    const [many, useless, long] = [await connect(api), await connect(api), await connect(api)];

    for (let n = 0; n <= 20; n++) many.say({ type: "subscribe", subscription: `s${n}` });
    for (let n = 0; n < 20; n++) useless.client.send("no");
    long.client.send("x".repeat(70_000));

    expect(await many.said("error")).toMatchObject([{ code: "TOO_MANY_STREAMS", subscription: "s20" }]);
    expect(await useless.closed).toEqual([1008, "too many messages are of no use"]);
    expect((await long.closed)[0]).toBe(1009);
  });

  test("is for callers with a token or a ticket, from this server's pages or allowed ones", async () => {
    const api = await anApi({ cors: ["https://app.example"] });
    const { body } = await api.post("/api/v1/tickets");
    const ticket = `?ticket=${String(body["ticket"])}`;

    const refused = [
      await refusal(api, "", {}),
      await refusal(api, "", { headers: { Authorization: "Bearer wrong-secret-of-tests" } }),
      await refusal(api, "", { headers: bearer, origin: "https://evil.example" }),
      await refusal(api, "", { headers: { ...bearer, Host: "evil.example" } }),
      await refusal(api, "?ticket=none", {}),
    ];
    const let_in = [
      await connect(api, "", { headers: { Cookie: `tasker_token=${admin}` }, origin: api.url }),
      await connect(api, "", { headers: bearer, origin: "https://app.example" }),
      await connect(api, ticket, {}),
    ];
    const again = await refusal(api, ticket, {});

    expect(refused).toEqual([401, 401, 403, 421, 401]);
    expect(let_in.map(({ client }) => client.readyState)).toEqual([1, 1, 1]);
    expect(again).toBe(401);
    expect(await api.get("/ws")).toMatchObject({ status: 426, body: { code: "UPGRADE_REQUIRED" } });
  });

  test("makes room when it ends, however it does", async () => {
    const api = await anApi({ streams: 1 });
    const ends = [
      async () => (await connect(api)).client.close(),
      async () => (await connect(api)).client.terminate(),
      async () => (await connect(api)).client.send("x".repeat(70_000)),
    ];

    for (const end of ends) {
      await until(async () => (await api.get(path)).status === 200, { what: "there is room" });
      await pause(0);
      await until(
        () =>
          end().then(
            () => true,
            () => false,
          ),
        { what: "it comes in and goes" },
      );
    }

    await until(async () => (await api.get(path)).status === 200, { what: "there is room at the end" });
  });

  /** A socket without a server around it. */
  async function alone(bufferedAmount: number) {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
    const store = memory();
    const streams = new Streams(10, new AbortController().signal);
    const hear: { pong: () => void } = { pong: () => undefined };
    const raw = {
      bufferedAmount,
      ping: vi.fn(),
      terminate: vi.fn(),
      on: (_: string, pong: () => void) => (hear.pong = pong),
    };
    const to = { raw, send: vi.fn(), close: vi.fn() };
    let events: Parameters<Call["upgrade"]>[0] = {};
    const upgrade: Call["upgrade"] = (given) => {
      events = given;
      return Promise.resolve(new Response());
    };
    await socket({ server: { open: () => Promise.resolve(store), streams }, upgrade } as unknown as Call);
    events.onOpen?.(new Event("open"), to as never);
    const say = (message: object): void =>
      events.onMessage?.(new MessageEvent("message", { data: JSON.stringify(message) }), to as never);
    return { store, streams, raw, to, say, hear };
  }

  test("is cut off where it takes nothing for 30 s, having been given no more than a part", async () => {
    const { store, say, to, raw, streams } = await alone(20_000);
    say({ type: "subscribe", subscription: "a" });
    await vi.advanceTimersByTimeAsync(10);

    for (let n = 0; n < 50; n++) {
      await addOne(store, { tags: ["x".repeat(100)] });
      await vi.advanceTimersByTimeAsync(100);
    }
    const given = to.send.mock.calls.length;
    await vi.advanceTimersByTimeAsync(31_000);

    expect(given).toBeLessThanOrEqual(2);
    expect(raw.terminate).toHaveBeenCalledOnce();
    expect(streams.count).toBe(0);
  });

  test("is pinged every 20 s, and cut off once it has not answered two of them", async () => {
    const { raw, hear } = await alone(0);
    await vi.advanceTimersByTimeAsync(20_100);
    hear.pong();
    await vi.advanceTimersByTimeAsync(40_000);
    const before = [raw.ping.mock.calls.length, raw.terminate.mock.calls.length];
    await vi.advanceTimersByTimeAsync(20_000);

    expect(before).toEqual([3, 0]);
    expect(raw.terminate).toHaveBeenCalledOnce();
  });
});

describe("docs/events.md", () => {
  const page = readFileSync(new URL("../../docs/events.md", import.meta.url), "utf8");
  const blocks = (language: string): readonly string[] =>
    [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, of, code]) => (of === language ? [code!] : []));

  /** A client that runs until the test ends, and what it has printed. */
  function client(command: string, ...args: readonly string[]) {
    const child = spawn(command, args, { env: { ...process.env, NODE_NO_WARNINGS: "1" } });
    onTestFinished(() => void child.kill("SIGKILL"));
    let out = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (part: Buffer) => (out += part.toString()));
    return () => out;
  }
  const browser = (url: string, code: string) => {
    const page = `const base = "${url}"; setInterval(() => undefined, 60_000);`; // a page stays open
    return client(process.execPath, "--experimental-eventsource", "--experimental-websocket", "-e", page + code);
  };
  const remind = (store: Api["store"]): Promise<number> =>
    addOne(store, { job: "remind", input: { json: '"fail"', meta: null } });

  test("its command and programs read what happens, by what browsers have", async () => {
    const [closed, open] = [await anApi({ jobs: [reminding] }), await anApi({ jobs: [reminding], tokens: "none" })];
    const curl = client("sh", "-c", `URL=${closed.url}; TOKEN=${admin}; ${blocks("sh")[1]!}`);
    const [source, socket] = blocks("js").map((code) => browser(open.url, code));

    await until(
      async () => {
        for (const { store } of [closed, open]) await remind(store);
        return /"type":"run.failed"/.test(curl()) && [source!(), socket!()].every((out) => /run.failed run_/.test(out));
      },
      { what: () => `all read: ${curl()}, ${source!()}, ${socket!()}`, timeoutMs: 20_000 },
    );

    expect(curl()).toMatch(/^retry: 2000\n\nid: \S+\ndata: \{"id":/);
    expect(curl()).not.toContain("run.started");
    expect(socket!()).toMatch(/^queues: \d+$/m);
  });

  test("an EventSource goes on without a hole after the server was gone", async () => {
    const store = memory();
    const start = async (listen: string): Promise<Served> => {
      const served = await serve({ listen, tokens: "none", target: () => Promise.resolve(store) });
      onTestFinished(() => served.close(0));
      return served;
    };
    const first = await start("127.0.0.1:0");
    const out = browser(first.url, blocks("js")[0]!);
    const lines = (): readonly string[] => out().trim().split("\n");
    const ids: string[] = [];
    const add = async (): Promise<void> => {
      const id = formatId(await addOne(store, { job: "remind" }));
      if (out() !== "") ids.push(id);
    };
    await until(async () => (await add(), out() !== ""), { what: () => `it reads ${out()}` });
    for (let n = 0; n < 5; n++) await add();
    await until(() => lines().at(-1) === `run.scheduled ${ids.at(-1)}`, { what: "it has seen the last" });

    await first.close();
    for (let n = 0; n < 5; n++) await add();
    await start(new URL(first.url).host);
    await add();

    await until(() => lines().at(-1) === `run.scheduled ${ids.at(-1)}`, { what: out, timeoutMs: 20_000 });
    expect(lines().slice(-ids.length)).toEqual(ids.map((id) => `run.scheduled ${id}`));
  });
});
