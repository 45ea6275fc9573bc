import { expect, test } from "vitest";
import { z } from "zod";
import { queuesOf, runsOf } from "../../sdk/client/runs.ts";
import { triggerOf } from "../../sdk/client/trigger.ts";
import { defineJob } from "../../sdk/job.ts";
import { served } from "./served.ts";

const hello = defineJob({ id: "hello", schema: z.unknown(), handler: () => null });

const { tasker, open } = served([hello]);
const [trigger, runs, queues] = [triggerOf(open), runsOf(open), queuesOf(open)];

test("an act that is refused says what to do next", async () => {
  const { id, result } = await trigger("hello", null);
  await result();

  const [canceled, retried] = [await tasker("cancel", id), await tasker("retry", id)];

  expect([canceled.code, canceled.out]).toEqual([
    1,
    `${id}  refused to cancel: it is completed; only a run that has not ended can be; see how it ended with: tasker run ${id}\n`,
  ]);
  expect(retried.out).toBe(
    `${id}  refused to retry: it is completed; only a failed run can be; make a new one with "replay"\n`,
  );
});

test("canceling twice is as canceling once", async () => {
  const { id } = await trigger("hello", null, { delay: "1h" });

  const answers = [await tasker("cancel", id), await tasker("cancel", id)];

  expect(answers.map(({ code, out }) => [code, out])).toEqual([
    [0, `${id}  canceled\n`],
    [0, `${id}  canceled\n`],
  ]);
});

test("a replay by the command line makes what one by code makes", async () => {
  const { id } = await trigger("hello", { n: 1 }, { delay: "1h", priority: 3, tags: ["a"], timeout: "5s" });

  const line = JSON.parse((await tasker("replay", id, "--json")).out) as { items: { made: string }[] };
  const made = [await runs.need(line.items[0]!.made), await runs.need((await runs.replay(id)).id)];

  for (const { payload, priority, tags, replayOf } of made)
    expect({ payload, priority, tags, replayOf }).toEqual({
      ...{ payload: { n: 1 }, priority: 3, tags: ["a"] },
      replayOf: id,
    });
});

test("a queue that is paused says so in queues and in stats, with the same counts", async () => {
  await trigger("hello", null, { queue: "mail", delay: "1h" });
  await queues.pause("mail");
  await trigger("hello", null, { queue: "mail" });

  const [listed, stats] = [await tasker("queues"), await tasker("stats")];
  const document = JSON.parse((await tasker("stats", "--json")).out) as {
    lanes: readonly { readonly queue: string }[];
  };

  expect(listed.out).toMatch(/^mail +paused +1 +1 +0$/m);
  expect(stats.out).toMatch(/^mail \(paused\) +hello +0 +1 +1 +0/m);
  expect(document.lanes.find(({ queue }) => queue === "mail")).toMatchObject({ paused: true, ready: 1, delayed: 1 });
});

test("the queue of hooks can be paused by code and by the command line; a name that is none is refused by both", async () => {
  await queues.pause("$hooks");
  const line = await tasker("queues", "resume", "$hooks");
  const wrong = await tasker("queues", "pause", "$mail");

  expect([line.code, line.out]).toEqual([0, 'queue "$hooks" is running\n']);
  expect(await queues.list()).toContainEqual({ name: "$hooks", paused: false });
  expect(wrong.code).toBe(2);
  expect(wrong.err).toMatch(/queue "\$mail" begins with "\$", which is reserved/);
  await expect(queues.pause("$mail")).rejects.toThrow("reserved");
});
