/** Signals that no schema takes. */
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { defineEvent, defineJob, type Context } from "../../../sdk/index.ts";
import { runsOf } from "../../../sdk/client/runs.ts";
import { completeOf, signalOf } from "../../../sdk/client/signal.ts";
import { decode } from "../../../sdk/port/codec.ts";
import { formatId } from "../../../sdk/port/id.ts";
import { aBench, turns, type Bench } from "../kit.ts";

const approved = defineEvent({ id: "approved", schema: z.object({ by: z.string() }) });

async function aFlow(handler: (ctx: Context) => unknown) {
  const retry = { attempts: 1 };
  const bench = await aBench({
    jobs: [defineJob({ id: "flow", schema: z.unknown(), retry, handler: (_, ctx) => handler(ctx) })],
  });
  const id = await bench.add({ job: "flow" });
  await bench.pass(1);
  const send = signalOf(async () => bench.store);
  return {
    bench,
    id,
    async send(event: string | typeof approved, payload: unknown): Promise<void> {
      await send(formatId(id), event as string, payload, { by: "Ann" });
      await bench.pass(1100);
    },
    journal: async () => (await bench.store.flow.read(id)).map(({ kind, key }) => `${kind} ${key}`),
    lines: async () => (await runsOf(async () => bench.store).logs(formatId(id))).items,
  };
}
async function endOf(bench: Bench, id: number) {
  const { status, reason, result } = await bench.get(id);
  return [status, reason, result && decode(result)];
}

test("a signal is refused where its sender knows the schema, and nothing of it is kept", async () => {
  const { bench, id, send, journal } = await aFlow((ctx) => ctx.waitFor(approved));

  await expect(send(approved, { by: 7 })).rejects.toThrow(/payload of event "approved" .* payload.by/);
  await bench.pass(1100);

  expect(await endOf(bench, id)).toEqual(["waiting", "signal", null]);
  expect(await journal()).toEqual(["wait approved"]);
});

test("one that arrives anyway is passed by, with a warning in the run's log, and the wait goes on", async () => {
  const { bench, id, send, journal, lines } = await aFlow((ctx) => ctx.waitFor(approved));

  await send("approved", { by: 7 });
  const waits = await endOf(bench, id);
  await send("approved", { by: "Bob" });

  expect(waits).toEqual(["waiting", "signal", null]);
  expect(await endOf(bench, id)).toEqual(["completed", null, { by: "Bob" }]);
  expect(await journal()).toEqual(["wait approved", "mail approved", "passed approved", "mail approved"]);
  expect(await lines()).toMatchObject([
    {
      level: "warn",
      message: expect.stringMatching(/^Signal passed by: payload of event "approved" .* payload\.by: /),
      data: { event: "approved", entry: 2, by: "Ann" },
    },
  ]);
});

test("what was passed by is never taken, though newer code would take it", async () => {
  let schema: z.ZodType = z.number();
  const { bench, id, send, journal, lines } = await aFlow(async (ctx) => [
    await ctx.waitFor("go", { schema }),
    await ctx.waitFor("go", { schema }),
  ]);
  await send("go", "bad");
  await send("go", 1);
  await send("go", "worse");
  schema = z.unknown();

  await send("go", 2);

  expect(await endOf(bench, id)).toEqual(["completed", null, [1, 2]]);
  expect((await journal()).filter((entry) => entry.startsWith("passed"))).toEqual(["passed go", "passed go#3"]);
  expect(await lines()).toHaveLength(2);
});

test("a run that failed for another reason does not meet it again", async () => {
  let fails = true;
  const { bench, id, send } = await aFlow(async (ctx) => {
    const sent = await ctx.waitFor(approved);
    if (fails) throw new Error("no");
    return sent;
  });
  await send("approved", null);
  await send("approved", { by: "Bob" });
  const failed = await endOf(bench, id);
  fails = false;

  await runsOf(async () => bench.store).retry(formatId(id));
  await bench.pass(1100);

  expect(failed).toEqual(["failed", "error", null]);
  expect(await endOf(bench, id)).toEqual(["completed", null, { by: "Bob" }]);
});

test("a bad signal leaves the time limit of a wait as it was, also beside a running step", async () => {
  let release = (): void => undefined;
  const { bench, id, send, journal } = await aFlow(async (ctx) =>
    Promise.all([
      ctx.waitFor(approved, { timeout: "5s" }),
      ctx.step("work", () => new Promise<void>((resolve) => (release = resolve))),
    ]),
  );
  await send("approved", 1);
  await send("approved", 2);
  const early = await journal();
  await bench.pass(5000);
  release();
  await bench.pass(1100);

  expect(early).toEqual(["wait approved", "mail approved", "passed approved", "mail approved", "passed approved#2"]);
  expect(await endOf(bench, id)).toEqual(["completed", null, [null, undefined]]);
});

describe("schemas that are not plain", () => {
  const port = (sent: unknown): string => new URL(sent as string).port;
  const urls = ["http://a:7", "http://b:8"];
  test.each([
    ["asynchronous", z.number().refine(async (sent) => (await turns(3), sent > 0)), [1, 2], [1, 2]],
    ["throwing", z.unknown().transform(port), urls, ["7", "8"]],
    ["rejecting", z.unknown().refine(async (sent) => (await turns(3), port(sent) !== "")), urls, urls],
  ])("an %s schema passes bad signals by, and the others keep their order", async (_, schema, good, taken) => {
    const { bench, id, send, lines } = await aFlow(async (ctx) => {
      const both = await Promise.all([ctx.waitFor("go", { schema }), ctx.waitFor("go", { schema })]);
      await ctx.sleep("1h");
      return [...both, await ctx.waitFor("go", { schema, timeout: "1h" })];
    });
    for (const sent of ["bad", good[0], null, good[1], "worse"]) await send("go", sent);
    const passed = (await lines()).length;
    await bench.pass(7_202_000);

    expect(await endOf(bench, id)).toEqual(["completed", null, [...taken, null]]);
    expect([passed, (await lines()).length]).toEqual([2, 3]);
  });

  test("an asynchronous schema may come with a match; what that throws is the handler's", async () => {
    const schema = z.number().refine(async (sent) => (await turns(2), sent > 0));
    const { bench, id, send } = await aFlow(async (ctx) => {
      const even = await ctx.waitFor("go", { schema, match: (sent) => sent % 2 === 0 });
      const odd = await ctx.waitFor("go", { schema });
      const thrown = await ctx
        .waitFor("go", { schema, match: () => JSON.parse("{") as boolean })
        .catch((error: unknown) => (error as Error).name);
      return [even, odd, thrown];
    });
    for (const sent of [-1, 3, 4, 5]) await send("go", sent);

    expect(await endOf(bench, id)).toEqual(["completed", null, [4, 3, "SyntaxError"]]);
  });
});

test("a bad answer to a token is passed by without telling its secret; the next answer counts", async () => {
  let token = "";
  const { bench, id, lines } = await aFlow(async (ctx) => {
    const made = await ctx.token({ schema: z.object({ ok: z.boolean() }) });
    token = made.id;
    return made.wait();
  });
  const complete = completeOf(async () => bench.store);
  for (const answer of ["yes", { ok: true }]) {
    await complete(token, answer);
    await bench.pass(1100);
  }

  expect(await endOf(bench, id)).toEqual(["completed", null, { ok: true }]);
  const said = await lines();
  expect(said).toMatchObject([{ level: "warn", data: { event: "token" } }]);
  expect(JSON.stringify([said, bench.lines])).not.toContain(token.split(".")[1]);
});
