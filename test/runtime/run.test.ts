import { describe, expect, onTestFinished, test, vi } from "vitest";
import { z } from "zod";
import { AbortError, AttemptTimeout } from "../../sdk/port/error.ts";
import { defineMiddleware, defineService } from "../../sdk/define/use.ts";
import { addOne, only, wire } from "../kit/build.ts";
import { aBench, aJob, deferred, turns, withRuns } from "./kit.ts";

describe("a run", () => {
  test("starts at its instant: not a millisecond early, and not a millisecond late", async () => {
    const started: number[] = [];
    const bench = await aBench({ jobs: [aJob(() => started.push(bench.clock.nowMs()))] });
    const due = bench.clock.nowMs() + 90_500;

    await bench.add({ dueAt: new Date(due) });
    await bench.pass(90_499);
    const early = [...started];
    await bench.pass(1);

    expect(early).toEqual([]);
    expect(started).toEqual([due]);
  });

  test("starts before one that was to start earlier than it was known", async () => {
    const started: string[] = [];
    const bench = await aBench({ jobs: [aJob((payload) => started.push(String(payload)))] });
    await bench.add({ delayMs: 1500, input: wire("later") });

    await bench.add({ delayMs: 300, input: wire("sooner") });
    await bench.pass(400);
    const soon = [...started];
    await bench.pass(1200);

    expect(soon).toEqual(["sooner"]);
    expect(started).toEqual(["sooner", "later"]);
  });

  test("completes with the handler's result", async () => {
    const bench = await aBench({ jobs: [aJob((payload) => ({ got: payload }))] });

    const id = await bench.add({ input: wire({ a: 1 }) });

    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 1, result: wire({ got: { a: 1 } }) });
  });

  test("is tried again with growing delays, and fails after the last attempt", async () => {
    const at: number[] = [];
    const bench = await aBench({
      jobs: [
        aJob(() => {
          at.push(bench.clock.nowMs());
          throw new Error(`no ${at.length}`);
        }),
      ],
    });

    const id = await bench.add();
    await bench.pass(10_000);

    expect(at.map((ms) => ms - at[0]!)).toEqual([0, 1000, 3000]);
    expect(await bench.get(id)).toMatchObject({
      status: "failed",
      reason: "error",
      attempt: 3,
      error: { message: "no 3" },
    });
    expect((await bench.store.find.attempts({ run: id })).items).toHaveLength(3);
  });

  test("with a policy given at trigger follows that", async () => {
    const handler = vi.fn(() => Promise.reject(new Error("no")));
    const bench = await aBench({ jobs: [aJob(handler)] });

    await bench.add({ options: { retry: { attempts: 1 } } });
    await bench.pass(5000);

    expect(handler).toHaveBeenCalledOnce();
  });

  test("of a job that this node does not have is left untouched", async () => {
    const bench = await aBench({ jobs: [aJob(() => undefined)] });

    const id = await bench.add({ job: "other" });
    await bench.pass(5000);

    expect(await bench.get(id)).toMatchObject({ status: "pending", token: 0 });
  });

  test("whose ttl was over before it could start fails as expired", async () => {
    const block = deferred();
    const handler = vi.fn(() => block.promise);
    const bench = await aBench({ slots: 1, jobs: [aJob(handler)], sweep: "1h" });
    await bench.add();

    const id = await bench.add({ ttlMs: 500 });
    await bench.pass(600);
    block.resolve();
    await bench.pass(1000);

    expect(handler).toHaveBeenCalledOnce();
    expect(await bench.get(id)).toMatchObject({ status: "failed", reason: "expired" });
  });
});

describe("whatever a handler does is contained", () => {
  test.each<[string, () => unknown, string]>([
    [
      "throws at once",
      () => {
        throw new Error("sync");
      },
      "sync",
    ],
    ["rejects", () => Promise.reject(new Error("async")), "async"],
    [
      "throws undefined",
      () => {
        throw undefined;
      },
      "undefined was thrown",
    ],
    [
      "returns a thenable that throws",
      () => ({
        then: () => {
          throw new Error("then");
        },
      }),
      "then",
    ],
    [
      "returns an object whose then can't be read",
      () =>
        Object.defineProperty({}, "then", {
          get: () => {
            throw new Error("getter");
          },
        }),
      "getter",
    ],
    [
      "throws an error with NUL and half a surrogate",
      () => {
        throw new Error("a\0b\ud800");
      },
      "a\ufffdb\ufffd",
    ],
  ])("it %s", async (_name, handler, message) => {
    const bench = await aBench({ jobs: [aJob(handler, { retry: { attempts: 1 } })] });

    const id = await bench.add();

    expect(await bench.get(id)).toMatchObject({ status: "failed", reason: "error", error: { message } });
  });

  test("a thenable that calls back twice counts once", async () => {
    const twice = {
      then: (yes: (value: number) => void) => {
        yes(1);
        yes(2);
      },
    };
    const bench = await aBench({ jobs: [aJob(() => twice)] });

    const id = await bench.add();

    expect(await bench.get(id)).toMatchObject({ status: "completed", result: wire(1) });
    expect(bench.runtime.stats().busy).toBe(0);
  });

  test.each<[string, unknown]>([
    ["a function", () => undefined],
    [
      "a circle",
      Object.assign(
        {},
        {
          get self(): unknown {
            return this;
          },
        },
      ),
    ],
    ["an instance of a class", new (class Thing {})()],
  ])("a result that can't be stored, %s, fails the run at once and says why", async (_name, result) => {
    const handler = vi.fn(() => Promise.resolve({ deep: result }));
    const bench = await aBench({ jobs: [aJob(handler)] });

    const id = await bench.add();
    await bench.pass(5000);

    expect(handler).toHaveBeenCalledOnce();
    expect(await bench.get(id)).toMatchObject({ status: "failed", error: { name: "NotStorable" } });
  });

  test("a payload that the schema refuses fails the run, and is not tried again", async () => {
    const handler = vi.fn();
    const bench = await aBench({ jobs: [aJob(handler, { schema: z.object({ a: z.number() }) })] });

    const id = await bench.add({ input: wire({ a: "x" }) });
    await bench.pass(5000);

    expect(handler).not.toHaveBeenCalled();
    expect(await bench.get(id)).toMatchObject({ status: "failed", attempt: 1, error: { name: "InvalidPayload" } });
  });

  test("a schema may be asynchronous", async () => {
    const schema = z.string().transform((text) => Promise.resolve(text.length));
    const bench = await aBench({ jobs: [aJob((payload) => payload, { schema })] });

    const id = await bench.add({ input: wire("four") });

    expect((await bench.get(id)).result).toEqual(wire(4));
  });

  test("a result that the output schema refuses fails the run", async () => {
    const bench = await aBench({ jobs: [aJob(() => ({ id: 7 }), { output: z.object({ id: z.string() }) })] });

    const id = await bench.add();

    expect((await bench.get(id)).error?.message).toContain("output.id");
  });

  test("a payload is parsed once an attempt", async () => {
    const parse = vi.fn((text: string) => text.length);
    const bench = await aBench({ jobs: [aJob((payload) => payload, { schema: z.string().transform(parse) })] });

    const id = await bench.add({ input: wire("four") });

    expect(parse).toHaveBeenCalledOnce();
    expect((await bench.get(id)).result).toEqual(wire(4));
  });

  test("an outcome that the store refuses does not fail those beside it", async () => {
    const bench = await aBench({ jobs: [aJob((payload) => payload)] }, (store) =>
      withRuns(store, ({ settle }) => ({
        settle: (batch) =>
          batch.some(({ outcome }) => outcome.to === "completed" && outcome.result?.json === '"poison"')
            ? Promise.reject(new Error("bad row"))
            : settle(batch),
      })),
    );

    const [good, bad] = await Promise.all([bench.add({ input: wire("good") }), bench.add({ input: wire("poison") })]);
    await bench.pass(20_000);

    expect(await bench.get(good)).toMatchObject({ status: "completed" });
    expect(await bench.get(bad)).toMatchObject({
      status: "failed",
      error: { message: expect.stringContaining("bad row") as string },
    });
  });
});

describe("an attempt that takes too long", () => {
  test("hears it on its signal, is settled as timed out at once, and the run is tried again", async () => {
    const reasons: unknown[] = [];
    const bench = await aBench({
      jobs: [
        aJob(
          (_payload, ctx) =>
            new Promise((_, no) => ctx.signal.addEventListener("abort", () => no(reasons.push(ctx.signal.reason)))),
          { timeout: "2s" },
        ),
      ],
    });

    const id = await bench.add();
    await bench.pass(2000);

    expect(reasons).toEqual([expect.any(AttemptTimeout)]);
    expect(await bench.get(id)).toMatchObject({ attempt: 1, result: null });
    expect(only((await bench.store.find.attempts({ run: id })).items)).toMatchObject({ outcome: "timeout" });
  });

  test("has its result refused, if it ignores its signal", async () => {
    const late = deferred<string>();
    const bench = await aBench({ jobs: [aJob(() => late.promise, { timeout: "2s", retry: { attempts: 1 } })] });

    const id = await bench.add();
    await bench.pass(2000);
    late.resolve("too late");
    await turns();

    expect(await bench.get(id)).toMatchObject({ status: "failed", reason: "timeout", result: null });
  });

  test("may reject later, and nobody is hurt", async () => {
    const late = deferred<string>();
    const stray = vi.fn();
    process.on("unhandledRejection", stray);
    const bench = await aBench({ jobs: [aJob(() => late.promise, { timeout: "2s", retry: { attempts: 1 } })] });

    await bench.add();
    await bench.pass(2000);
    late.reject(new Error("late"));
    await turns();
    process.off("unhandledRejection", stray);

    expect(stray).not.toHaveBeenCalled();
  });

  test("keeps its slot while its handler goes on, but for no longer than the grace, and that is said once", async () => {
    const handler = vi.fn(() => new Promise(() => undefined));
    const bench = await aBench({
      slots: 1,
      grace: "5s",
      jobs: [aJob(handler, { timeout: "2s", retry: { attempts: 1 } })],
    });
    await bench.add();
    await bench.add();

    await bench.pass(6900);
    const during = handler.mock.calls.length;
    await bench.pass(1200);

    expect(during).toBe(1);
    expect(handler).toHaveBeenCalledTimes(2);
    expect(bench.lines.filter(({ message }) => message.startsWith("Handler goes on"))).toHaveLength(1);
  });

  test("may take longer than 2^31-1 ms, if its timeout allows", async () => {
    const end = deferred<string>();
    const bench = await aBench({
      jobs: [aJob(() => end.promise, { timeout: "30d" })],
      lease: "60d",
      poll: "10d",
      sweep: "10d",
    });

    const id = await bench.add();
    bench.clock.advance(2 ** 31);
    await turns();
    end.resolve("done");
    await turns();

    expect(await bench.get(id)).toMatchObject({ status: "completed" });
  });
});

describe("the context", () => {
  test("tells of the run, and its methods can be taken out of it", async () => {
    const seen: unknown[] = [];
    const bench = await aBench({
      jobs: [
        aJob((_payload, { run, attempt, idempotencyKey, fencingToken, skip }) => {
          seen.push({ run, attempt, idempotencyKey, fencingToken });
          skip("paid");
        }),
      ],
    });

    const id = await bench.add({ tags: ["user:7"], priority: 3 });

    const run = { id: "run_1", job: "job", queue: "default", priority: 3, tags: ["user:7"], key: null };
    expect(seen).toEqual([
      { run: expect.objectContaining(run) as object, attempt: 1, idempotencyKey: "run_1", fencingToken: 1 },
    ]);
    expect(await bench.get(id)).toMatchObject({ status: "completed", reason: "skipped", note: "paid" });
  });

  test("makes no AbortController for a handler that does not ask for its signal", async () => {
    let made = 0;
    const bench = await aBench({
      jobs: [aJob((payload, ctx) => (payload === "signal" ? ctx.signal.aborted : ctx.run.id))],
    });
    vi.stubGlobal(
      "AbortController",
      class extends AbortController {
        readonly n = ++made;
      },
    );
    onTestFinished(() => void vi.unstubAllGlobals());

    await bench.add();
    const unread = made;
    await bench.add({ input: wire("signal") });

    expect([unread, made]).toEqual([0, 1]);
  });

  test.each([
    ["there is room to lease ahead", 0],
    ["there is none", 200],
  ])("starts at the instant of its retry on a store that wakes nobody: %s", async (_when, later) => {
    const starts: number[] = [];
    const bench = await aBench(
      {
        jobs: [
          aJob(
            () => {
              if (starts.push(bench.clock.nowMs()) === 1) throw new Error("once");
            },
            { retry: { delay: "1300ms", jitter: false } },
          ),
        ],
        poll: "3s",
      },
      (store) => withRuns(store, () => ({ listen: () => Promise.reject(new Error("no notifications here")) })),
    );
    for (let i = 0; i < later; i++) await addOne(bench.store, { delayMs: 5500 });
    bench.runtime.resize(50); // looks for them
    await turns();

    await addOne(bench.store);
    bench.runtime.resize(50);
    await turns();
    await bench.pass(1400);

    expect(starts).toHaveLength(2);
    expect(starts[1]! - starts[0]!).toBe(1300);
  });

  test("a snooze is numbered as an attempt, and spends none", async () => {
    const attempts: number[] = [];
    const bench = await aBench({
      jobs: [
        aJob((_payload, ctx) => {
          if (attempts.push(ctx.attempt) < 5) ctx.snooze("10s");
        }),
      ],
    });

    const id = await bench.add();
    await bench.pass(60_000);

    expect(attempts).toEqual([1, 2, 3, 4, 5]);
    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 5 });
  });

  test("that has started once does not expire", async () => {
    const handler = vi.fn(() => {
      if (handler.mock.calls.length === 1) throw new Error("once");
    });
    const bench = await aBench({ jobs: [aJob(handler)] });

    const id = await bench.add({ ttlMs: 500 });
    await bench.pass(5000);

    expect(handler).toHaveBeenCalledTimes(2);
    expect((await bench.get(id)).status).toBe("completed");
  });

  test("whose policy or error breaks fails all the same, and its slot comes back", async () => {
    const job = aJob(() => Promise.reject(new Error("boom")));
    const retry = {
      ...job.retry,
      get jitter(): boolean {
        throw new Error("a broken policy");
      },
    };
    const bench = await aBench({ jobs: [{ ...job, retry }] });

    const id = await bench.add();

    expect(await bench.get(id)).toMatchObject({ status: "failed", error: { message: "a broken policy" } });
    expect(bench.runtime.stats().busy).toBe(0);
  });

  test("log lines are stored with the run before it is seen to have ended", async () => {
    const bench = await aBench({
      jobs: [
        aJob((_payload, { log }) => {
          log.info("hello", { count: 1n });
          log.warn("odd", { error: new Error("cause") });
        }),
      ],
    });

    const id = await bench.add();

    expect((await bench.get(id)).status).toBe("completed");
    expect((await bench.store.find.logs(id)).items).toMatchObject([
      { level: "info", message: "hello", data: '{"count":"1"}', attempt: 1 },
      { level: "warn", message: "odd", data: expect.stringContaining('"message":"cause"') as string },
    ]);
  });

  test("no more than 1000 lines of an attempt are stored, and the last one says so", async () => {
    const bench = await aBench({
      jobs: [
        aJob((_payload, { log }) => {
          for (let i = 0; i < 1500; i++) log.info(`line ${i}`);
        }),
      ],
    });
    const note = vi.spyOn(bench.store.runs, "note");

    await bench.add();

    const stored = note.mock.calls.flatMap(([batch]) => batch.flatMap(({ lines }) => lines ?? []));
    expect(stored).toHaveLength(1000);
    expect(stored.at(-1)?.message).toContain("1000 lines were kept");
  });

  test("progress is written at most twice a second, and the last one always", async () => {
    const end = deferred();
    const bench = await aBench({
      jobs: [
        aJob(async (_payload, ctx) => {
          for (let i = 1; i <= 9; i++) ctx.progress(i);
          await end.promise;
          ctx.progress(100, "done");
        }),
      ],
    });
    const write = vi.spyOn(bench.store.runs, "note");

    const id = await bench.add();
    const atOnce = write.mock.calls.length;
    await bench.pass(500);
    const later = (await bench.get(id)).progress;
    end.resolve();
    await turns();

    expect(atOnce).toBe(1);
    expect(later).toEqual({ value: 9, detail: null });
    expect(await bench.get(id)).toMatchObject({ status: "completed", progress: { value: 100, detail: "done" } });
    expect(write).toHaveBeenCalledTimes(3);
  });

  test("the last progress is written before the run ends, also if another write is under way", async () => {
    const written = deferred();
    const end = deferred();
    const order: string[] = [];
    const bench = await aBench(
      {
        jobs: [
          aJob(async (_payload, ctx) => {
            ctx.progress(1);
            await end.promise;
            ctx.progress(100);
          }),
        ],
      },
      (store) =>
        withRuns(store, ({ note, settle }) => ({
          note: async (batch) => {
            await written.promise;
            order.push(`progress ${batch[0]!.progress!.value}`);
            return note(batch);
          },
          settle: (batch) => (order.push("settle"), settle(batch)),
        })),
    );
    const id = await bench.add();

    end.resolve();
    await turns();
    written.resolve();
    await turns();

    expect(order).toEqual(["progress 1", "progress 100", "settle"]);
    expect(await bench.get(id)).toMatchObject({ status: "completed", progress: { value: 100 } });
  });

  test("services are opened once, given to every attempt, and closed in reverse when the runtime stops", async () => {
    const events: string[] = [];
    const service = (name: string): ReturnType<typeof defineService> =>
      defineService({
        name,
        open: () => (events.push(`open ${name}`), `<${name}>`),
        close: () => events.push(`close ${name}`),
      });
    const bench = await aBench({
      jobs: [
        aJob((_payload, ctx) => `${(ctx as { db?: string }).db} ${(ctx as { mail?: string }).mail}`, {
          use: [service("db"), service("mail")],
        }),
      ],
    });

    const [id] = await Promise.all([bench.add(), bench.add()]);
    const { result } = await bench.get(id);
    await bench.stop();

    expect(result).toEqual(wire("<db> <mail>"));
    expect(events).toEqual(["open db", "open mail", "close mail", "close db"]);
  });

  test("a service that does not open fails that attempt, and the next one tries again", async () => {
    let opens = 0;
    const open = (): string => {
      if (++opens === 1) throw new Error("refused");
      return "up";
    };
    const bench = await aBench({
      jobs: [aJob((_payload, ctx) => (ctx as { db?: string }).db, { use: [defineService({ name: "db", open })] })],
    });

    const id = await bench.add();
    await bench.pass(1000);

    expect(await bench.get(id)).toMatchObject({ status: "completed", attempt: 2, result: wire("up") });
  });

  test("middleware wraps the attempt, adds to the context and sees failures", async () => {
    const events: string[] = [];
    const traced = defineMiddleware(async (_args, next) => {
      events.push("before");
      try {
        return await next({ trace: "t1" });
      } finally {
        events.push("after");
      }
    });
    const handler = (_payload: unknown, ctx: object): never => {
      events.push(`handler ${(ctx as { trace?: string }).trace}`);
      throw new AbortError("no");
    };
    const bench = await aBench({ jobs: [aJob(handler, { use: [traced] })] });

    const id = await bench.add();

    expect(events).toEqual(["before", "handler t1", "after"]);
    expect((await bench.get(id)).status).toBe("failed");
  });
});
