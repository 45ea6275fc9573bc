/** What authors and senders may pass by mistake, and what they hear. */
import { expect, test } from "vitest";
import { z } from "zod";
import {
  complete,
  defineEvent,
  defineJob,
  signal,
  signalWithTrigger,
  TaskerError,
  type Context,
} from "../../../sdk/index.ts";
import type { TxSource } from "../../../sdk/define/flow.ts";
import { testRuntime } from "../../../runtime/testing/index.ts";

/** What a handler's call throws, in its handler. */
async function thrownIn(act: (ctx: Context) => unknown): Promise<unknown> {
  const thrown: unknown[] = [];
  const job = defineJob({
    id: "job",
    schema: z.unknown(),
    handler: async (_, ctx) => {
      try {
        await act(ctx);
      } catch (error) {
        thrown.push(error);
      }
    },
  });
  await using t = await testRuntime({ jobs: [job] });
  const run = await job.trigger(null);
  await signal(run, "got", { n: 1 });
  await t.idle();
  return thrown[0];
}

function revoked(): never {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy as never;
}
const child = defineJob({ id: "child", schema: z.unknown(), handler: () => 1 });
const once = { retry: { attempts: 1 } } as const;

test.each<[string, (ctx: Context) => unknown]>([
  ["a step's options that are null", (ctx) => ctx.step("a", () => 1, null as never)],
  ["an option that steps lack", (ctx) => ctx.step("a", () => 1, { attempts: 3 } as never)],
  ["a length of a sleep that can't be read", (ctx) => ctx.sleep(revoked())],
  ["an instant that can't be read", (ctx) => ctx.sleepUntil(revoked())],
  ["no event", (ctx) => ctx.waitFor(undefined as never)],
  ["an event that can't be read", (ctx) => ctx.waitFor(revoked())],
  ["a match that is not a function", (ctx) => ctx.waitFor("got", { match: { n: 1 } as never })],
  ["an option that waits lack", (ctx) => ctx.waitFor("got", { timout: "1s" } as never)],
  ["a schema that can't be read", (ctx) => ctx.waitFor("got", { schema: revoked() })],
  ["a token's options that are null", (ctx) => ctx.token(null as never)],
  ["a token's limit that is not an option", async (ctx) => (await ctx.token()).wait("1s" as never)],
  ["a database that can't be read", (ctx) => ctx.tx(revoked(), () => 1)],
  ["a transaction without a function", (ctx) => ctx.tx((work) => work({}), undefined as never)],
  [
    "a transaction's options that are null",
    (ctx) =>
      ctx.tx(
        (work) => work({}),
        () => 1,
        null as never,
      ),
  ],
  ["a batch's options that are null", () => child.batchTriggerAndWait([{ payload: 1 }], null as never)],
])("in a handler: %s", async (_, act) => {
  expect(await thrownIn(act)).toMatchObject({ name: "InvalidInput", code: "INVALID_INPUT" });
});

test("a step that throws what can't be read fails as any other", async () => {
  const failed = await thrownIn((ctx) =>
    ctx.step(
      "a",
      () => {
        throw revoked();
      },
      once,
    ),
  );

  expect(failed).toMatchObject({ code: "STEP_FAILED" });
});

test.each<[string, TxSource<object>, string]>([
  ["does not run its work", () => Promise.resolve(), "did not run"],
  ["does not wait for its work", (work) => Promise.resolve(void work({}).catch(() => undefined)), "did not run"],
  ["hides that its work failed", (work) => work({}).catch(() => undefined), "hid that it failed"],
])("a transaction that %s fails its step", async (_, source, message) => {
  const failed = await thrownIn((ctx) => ctx.tx(source, () => Promise.reject(new Error("boo")), once));

  expect(failed).toMatchObject({
    code: "STEP_FAILED",
    cause: { message: expect.stringContaining(message) as unknown },
  });
});

test.each<[string, (id: string) => Promise<unknown>]>([
  ["a run's id that is not a text", () => signal({ id: 7 as never }, "a", 1)],
  ["a run that can't be read", () => signal(revoked(), "a", 1)],
  ["a key that is not a text", () => signal({ job: "job", key: Symbol("k") as never }, "a", 1)],
  ["no event", (id) => signal(id, undefined as never, 1 as never)],
  ["an event without a schema", (id) => signal(id, { kind: "event", id: "a" } as never, 1 as never)],
  ["options that are null", (id) => signal(id, "a", 1, null as never)],
  ["an option that there is not", (id) => signal(id, "a", 1, { from: "me" } as never)],
  ["a token that is not a text", () => complete(Symbol("t") as never)],
  ["a completion's options that are null", () => complete(`tok_1.${"a".repeat(22)}`, 1, null as never)],
  ["no options to trigger with", () => signalWithTrigger(child, 1, undefined as never, "a", 1)],
  ["what is not a job", () => signalWithTrigger(null as never, 1 as never, { idempotencyKey: "k" }, "a", 1)],
])("to a run: %s", async (_, send) => {
  await using t = await testRuntime({ jobs: [child] });
  const { id } = await child.trigger(1);

  await expect(send(id)).rejects.toBeInstanceOf(TaskerError);

  await t.idle();
});

test("an event with a schema that can't be read is refused", () => {
  expect(() => defineEvent({ id: "a", schema: revoked() })).toThrow(TaskerError);
});

test("a trigger with a signal that can't be sent makes no run", async () => {
  await using t = await testRuntime({ jobs: [child] });

  await expect(signalWithTrigger(child, 1, { idempotencyKey: "k" }, "", 1)).rejects.toThrow("event");

  expect((await t.store.find.list({}, {})).items).toEqual([]);
});
