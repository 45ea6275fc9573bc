import { expect, test } from "vitest";
import { z } from "zod";
import { runsOf } from "../../sdk/client/runs.ts";
import { triggerOf } from "../../sdk/client/trigger.ts";
import type { Context } from "../../sdk/define/context.ts";
import { defineJob } from "../../sdk/job.ts";
import { createRuntime } from "../../runtime/runtime.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { until } from "../kit/until.ts";
import type { Answer } from "./line.ts";
import { served } from "./served.ts";

/** The job's code as it is deployed now. */
let code: (ctx: Context, payload: unknown) => Promise<unknown>;
let token = "";
const order = defineJob({ id: "order", schema: z.unknown(), handler: (payload, ctx) => code(ctx, payload) });
const resize = defineJob({ id: "resize", schema: z.unknown(), handler: (_, ctx) => ctx.sleep("1h") });

const { tasker, open, url } = served([order, resize]);
const [trigger, runs] = [triggerOf(open), runsOf(open)];

/** Waits until a run waits for this reason. */
const waits = (id: string, reason: string): Promise<unknown> =>
  until(async () => (await runs.need(id)).reason === reason, { what: `${id} to wait: ${reason}`, timeoutMs: 15_000 });
async function started(now: typeof code, options: object = {}): Promise<string> {
  code = now;
  const { id } = await trigger("order", null, options);
  await waits(id, "signal");
  return id;
}
const ended = (id: string): Promise<unknown> =>
  until(async () => (await runs.need(id)).status === "completed", { what: `${id} to end`, timeoutMs: 15_000 });

test("a run shows what it did and waits for, with who sent what, and its children", async () => {
  const id = await started(async (ctx) => {
    await ctx.step("charge", () => ({ paid: 7 }));
    const parts = resize.batchTriggerAndWait([{ payload: 1 }]);
    await ctx.waitFor("approved");
    await ctx.waitFor("shipped", { timeout: "1h" });
    await parts;
  });
  await tasker("signal", id, "approved", '{"by":"Ada"}');
  await until(async () => (await tasker("run", id)).out.includes("wait shipped"), { what: "the second wait" });

  const { out } = await tasker("run", id);
  const document = JSON.parse((await tasker("run", id, "--json")).out) as {
    timeline: readonly {
      name: string;
      kind: string;
      status: string;
      value: unknown;
      by: string | null;
      runs: readonly { id: string; status: string }[];
    }[];
  };
  const listed = await tasker("runs", "--reason", "signal", "--job", "order");

  expect(out).toContain("Steps\n");
  expect(out).toMatch(/^ {2}charge +completed +1 +20\S+Z +\d+ms +\{"paid":7\}$/m);
  expect(out).toMatch(/^ {2}wait approved +completed/m);
  expect(out).toMatch(/^ {2}signal approved +received +20\S+Z +from \S+@\S+ {2}\{"by":"Ada"\}$/m);
  expect(out).toMatch(/^ {2}child resize +waiting .* 0 of 1 ended\n {4}run_\w+ +waiting \(sleep\)$/m);
  expect(out).toMatch(/^ {2}wait shipped +waiting +20\S+Z +until 20\S+Z$/m);
  expect(document.timeline.map(({ kind, name, status }) => [kind, name, status])).toEqual(
    expect.arrayContaining([
      ["step", "charge", "completed"],
      ["child", "resize", "waiting"],
      ["signal", "approved", "received"],
    ]),
  );
  expect(listed.out).toMatch(new RegExp(`${id} +order +waiting \\(signal\\)`));
});

test("why says in a line where a run stands, with the facts for programs, and run says so of one that is not over", async () => {
  const id = await started((ctx) => ctx.waitFor("paid", { timeout: "3d" }));

  const [said, facts, shown] = [await tasker("why", id), await tasker("why", id, "--json"), await tasker("run", id)];
  await tasker("signal", id, "paid");
  await ended(id);
  const after = await tasker("run", id);
  const missing = await tasker("why", "run_zzzz");

  expect(said.out).toMatch(
    /^It waits for signal "paid", at most until \S+ \(in \S+( \S+)?\); send it with: tasker signal run_\w+ paid\n$/,
  );
  expect(JSON.parse(facts.out)).toMatchObject({
    ...{
      run: id,
      status: "waiting",
      text: said.out
        .trimEnd()
        .replace(/\(in .*?\)/, (JSON.parse(facts.out) as { text: string }).text.match(/\(in .*?\)/)![0]),
    },
    because: { code: "signal", names: ["paid"], token: false, until: expect.stringMatching(/Z$/) as string },
  });
  expect(shown.out).toContain('\n\nIt waits for signal "paid", at most until ');
  expect(after.out).not.toContain("It completed");
  expect((await tasker("why", id)).out).toMatch(/^It completed \S+ ago, at \S+Z, on node /);
  expect([missing.code, missing.err]).toEqual([1, expect.stringContaining('run "run_zzzz" does not exist') as string]);
});

test("a run without steps shows none", async () => {
  const { id } = await trigger("resize", null, { delay: "1h" });

  expect((await tasker("run", id)).out).not.toContain("Steps");
  expect((JSON.parse((await tasker("run", id, "--json")).out) as { timeline: unknown }).timeline).toEqual([]);
});

test("a signal goes to a run by its id or by job and key, a token is answered", async () => {
  const id = await started(
    async (ctx) => {
      await ctx.waitFor("a");
      const made = await ctx.token();
      token = made.id;
      return made.wait();
    },
    { idempotencyKey: "order-7@eu" },
  );

  const sent = await tasker("signal", "order@order-7@eu", "a");
  await until(() => token !== "", { what: "the token" });
  const answered = await tasker("complete", token, '{"ok":true}');
  await ended(id);

  expect([sent.code, sent.out]).toEqual([0, "order@order-7@eu  sent a\n"]);
  expect([answered.code, answered.out]).toEqual([0, `${id}  answered; look at it with: tasker run ${id}\n`]);
  expect((await runs.need(id)).result).toEqual({ ok: true });
});

test("what can't be sent says why", async () => {
  const [missing, noId, noEvent, noToken, noJson, over] = [
    await tasker("signal", "run_zzzz", "a"),
    await tasker("signal", "order", "a"),
    await tasker("signal", "run_1", "a b"),
    await tasker("complete", "tok_1"),
    await tasker("signal", "run_1", "a", "{"),
    await tasker("signal", "order@order-7@eu", "a"),
  ];

  expect([missing.code, noId.code, noEvent.code, noToken.code, noJson.code, over.code]).toEqual([1, 2, 2, 2, 2, 1]);
  expect(missing.err).toContain('run "run_zzzz" does not exist');
  expect(noId.err).toContain('run: "order" is not a run id');
  expect(noEvent.err).toContain('event "a b" is not a name');
  expect(noToken.err).toContain('token: "tok_1" is not a token');
  expect(noJson.err).toContain("the payload is not JSON");
  expect(over.err).toMatch(/is over|has ended|is completed|does not exist/);
});

test("a parked run says why and what to do; it is mended by id, or all that match after --yes", async () => {
  const written =
    (name: string): typeof code =>
    async (ctx) => {
      await ctx.step(name, () => null);
      await ctx.waitFor("go");
    };
  const ids = [await started(written("charge")), await started(written("charge"))];
  code = written("pay");
  for (const id of ids) {
    await tasker("signal", id, "go");
    await waits(id, "parked");
  }

  const shown = await tasker("run", ids[0]!);
  const wrong = await tasker("runs", "fix", ids[0]!, "--skip", "chrage");
  const one = await tasker("runs", "fix", ids[0]!, "--rename-step", "charge=pay");
  const asked = await tasker("runs", "fix", "--reason", "parked", "--rename-step", "charge=pay");
  const rest = await tasker("runs", "fix", "--reason", "parked", "--rename-step", "charge=pay", "--yes");
  for (const id of ids) await ended(id);
  const none = await tasker("runs", "fix", "--reason", "parked", "--yes");

  expect(shown.out).toMatch(/^It is parked: run .* journal goes on with step "charge" at 1 .* asks for step "pay"/m);
  expect(shown.out).toContain(
    ` tasker runs fix ${ids[0]!} [--rename-step old=new | --skip STEP | --from STEP | --pin VERSION]\n`,
  );
  expect([wrong.code, wrong.out]).toEqual([
    1,
    `${ids[0]!}  refused to fix: its journal has no step "chrage"; it has charge, go; did you mean "charge"?\n`,
  ]);
  expect([one.code, one.out]).toEqual([0, `${ids[0]!}  mended\n`]);
  expect([asked.code, asked.err]).toEqual([2, "error: 1 run matches; add --yes to fix it"]);
  expect([rest.code, rest.out]).toEqual([0, "1 mended\n"]);
  expect([none.code, none.err]).toEqual([
    1,
    "error: no run matches, so none was mended; see what there is with: tasker runs",
  ]);
});

test.each([
  [["--rename-step", "charge"], '--rename-step: "charge" is not two names'],
  [["--skip", "a", "--from", "b"], "do one thing at a time"],
  [["--skip", "a b"], 'skip "a b" is not a step'],
  [["--pin", "run_1"], "write its id before --pin"],
  [["--pin", "--unpin"], "do one thing at a time"],
])("runs fix %j is refused", async (flags, said) => {
  const { code, err } = await tasker("runs", "fix", "run_1", ...flags);

  expect([code, err]).toEqual([2, expect.stringContaining(said)]);
});

test("a run is run again from a step with another payload; of those that match, the ones without that step are refused", async () => {
  const done: string[] = [];
  code = async (ctx, payload) => {
    await ctx.step("charge", () => done.push(`charge ${String(payload)}`));
    if (payload !== "short") await ctx.step("ship", () => done.push(`ship ${String(payload)}`));
  };
  const ids = [await trigger("order", "old"), await trigger("order", "short")].map(({ id }) => id);
  for (const id of ids) await ended(id);
  const made = async (answer: Answer): Promise<readonly (string | undefined)[]> =>
    (JSON.parse(answer.out) as { items: readonly { made?: string }[] }).items.map(({ made }) => made);

  const [one] = await made(await tasker("replay", ids[0]!, "--from", "ship", "--input", '"new"', "--json"));
  await ended(one!);
  const calls = done.toSorted();
  const some = await tasker("replay", ...ids, "--from", "ship");
  const wrong = await tasker("replay", ids[0]!, "--from", "a b");
  const both = await tasker("replay", ids[0]!, "--input", "1", "--file", "x");

  expect(calls).toEqual(["charge old", "charge short", "ship new", "ship old"]);
  expect((await runs.need(one!)).replayOf).toBe(ids[0]);
  expect([some.code, some.out]).toEqual([
    1,
    expect.stringMatching(
      new RegExp(
        `^${ids[0]}  replayed as run_\\w+\n${ids[1]}  refused to replay: its journal has no step "ship"; it has charge\n$`,
      ),
    ),
  ]);
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('from "a b" is not a step')]);
  expect([both.code, both.err]).toEqual([2, expect.stringContaining("give one of them")]);
});

test("a pinned run goes on with the code of its version, which other nodes do not take", async () => {
  const olds = createRuntime({
    store: postgres({ url: url() }),
    version: "1.4",
    queues: { old: { concurrency: 1 } },
    jobs: [defineJob({ id: "pinned", schema: z.unknown(), queue: "old", handler: older })],
  });
  async function older(_: unknown, ctx: Context): Promise<unknown> {
    await ctx.step("charge", () => null);
    await ctx.waitFor("go");
    return [ctx.run.queue, await ctx.waitFor("end")];
  }
  await olds.start();
  const { id } = await trigger("pinned", null);
  await waits(id, "signal");
  const news = createRuntime({
    store: postgres({ url: url() }),
    version: "1.5",
    jobs: [
      defineJob({ id: "pinned", schema: z.unknown(), queue: "old", handler: (_, ctx) => ctx.step("pay", () => null) }),
    ],
  });
  await olds.stop();
  await news.start();
  await tasker("signal", id, "go");
  await waits(id, "parked");

  const fixed = await tasker("runs", "fix", id, "--pin");
  const shown = await tasker("run", id);
  const back = createRuntime({
    store: postgres({ url: url() }),
    version: "1.4",
    jobs: [defineJob({ id: "pinned", schema: z.unknown(), queue: "old", handler: older })],
  });
  await back.start();
  await waits(id, "signal");
  await tasker("signal", id, "end", "7");
  await ended(id);
  const run = await runs.need(id);
  for (const each of [news, back]) await each.stop();

  expect([fixed.code, fixed.out]).toEqual([0, `${id}  mended\n`]);
  expect(shown.out).toMatch(/^queue +old, priority \d\npinned to +version 1\.4$/m);
  expect(run).toMatchObject({ status: "completed", result: ["old", 7], version: "1.4", queue: "$old@1.4" });
});

test("a signal that the code refuses is shown as passed by, and the log says why", async () => {
  const id = await started((ctx) => ctx.waitFor("paid", { schema: z.object({ cents: z.int() }) }));

  await tasker("signal", id, "paid", '{"cents":"7"}');
  await until(async () => (await tasker("run", id)).out.includes("passed by"), { what: "the signal to be passed by" });
  await waits(id, "signal");
  const { out } = await tasker("run", id);
  await tasker("signal", id, "paid", '{"cents":7}');
  await ended(id);

  expect(out).toMatch(/^ {2}wait paid +waiting/m);
  expect(out).toMatch(
    /^ {2}signal paid +passed by +20\S+Z +from \S+@\S+ {2}InvalidPayload: payload of event "paid" .*cents/m,
  );
  expect(out).toMatch(
    /^ {2}20\S+Z {2}warn {3}Signal passed by: payload of event "paid" does not match its schema: payload\.cents/m,
  );
  expect((await runs.need(id)).result).toEqual({ cents: 7 });
  expect((await tasker("run", id)).out).toMatch(/^ {2}wait paid +completed/m);
});
