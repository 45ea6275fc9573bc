import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../../../sdk/index.ts";
import { signalOf } from "../../../sdk/client/signal.ts";
import { decode } from "../../../sdk/port/codec.ts";
import { formatId } from "../../../sdk/port/id.ts";
import type { Flow } from "../../../runtime/store/port.ts";
import { aBench, deferred, turns } from "../kit.ts";

test("nothing begins before the journal is read, whatever is asked or sent meanwhile", async () => {
  const calls: string[] = [];
  let gate = Promise.resolve();
  let fails = 1;
  const bench = await aBench(
    {
      jobs: [
        defineJob({
          id: "flow",
          schema: z.unknown(),
          retry: { attempts: 2, delay: "1s", jitter: false },
          handler: async (_, ctx) => {
            const steps = await Promise.all([
              ctx.step("a", () => calls.push("a")),
              turns(3).then(() => ctx.step("b", () => calls.push("b"))), // while the journal is being read
            ]);
            if (fails-- > 0) throw new Error("between");
            return [...steps, await ctx.waitFor("go")];
          },
        }),
      ],
    },
    (store) => {
      const load: Flow["load"] = async (batch) => {
        await gate;
        return store.flow.load(batch);
      };
      return { ...store, flow: { ...store.flow, load } };
    },
  );
  const id = await bench.add({ job: "flow" });
  await turns(40);
  const opened = deferred();
  gate = opened.promise;
  await bench.pass(1100);

  await signalOf(async () => bench.store)(formatId(id), "go", 7);
  await turns(40);
  opened.resolve();
  await turns(40);

  expect(calls).toEqual(["a", "b"]);
  const { status, result } = await bench.get(id);
  expect([status, result && decode(result)]).toEqual(["completed", [1, 2, 7]]);
});
