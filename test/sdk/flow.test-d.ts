/** Types of flows, both ways: `tsc -p tsconfig.json` is the check; nothing here runs. */
import { expectTypeOf } from "vitest";
import { z } from "zod";
import { defineJob, flow, type Job, type ResultOf } from "../../sdk/index.ts";

const load = defineJob({ id: "load", schema: z.string(), handler: (shop) => ({ shop, days: [1, 2] }) });
const price = defineJob({ id: "price", schema: z.number(), handler: async (day) => BigInt(day) });
const print = defineJob({ id: "print", schema: z.array(z.bigint()), handler: (all) => all.join() });
const store = defineJob({
  id: "store",
  schema: z.array(z.bigint()).transform((all) => all.length),
  handler: () => new Date(),
});
const clean = defineJob({ id: "clean", schema: z.void(), handler: () => undefined });

const report = flow({ id: "report", schema: z.object({ shop: z.string().default("x") }) }, (start) =>
  start
    .then(load, ({ shop }, { input }) => {
      expectTypeOf(shop).toEqualTypeOf<string>();
      expectTypeOf(input).toEqualTypeOf<{ shop: string }>();
      return shop;
    })
    .map(price, ({ days }) => days)
    .parallel({
      printed: print,
      stored: (from) =>
        from.then(store).then(clean, (at, { results }) => {
          expectTypeOf(at).toEqualTypeOf<Date>();
          expectTypeOf(results.store).toEqualTypeOf<Date>();
          expectTypeOf(results.price).toEqualTypeOf<bigint[]>();
        }),
      again: (from) => from.then(print),
    })
    .then(load, ({ printed, again }, { results }) => {
      expectTypeOf(printed).toEqualTypeOf<string>();
      expectTypeOf(again).toEqualTypeOf<string>();
      expectTypeOf(results.printed).toEqualTypeOf<string>();
      expectTypeOf(results.load.days).toEqualTypeOf<number[]>();
      // @ts-expect-error -- no such job before
      void results.nothing;
      return printed;
    }),
);
expectTypeOf(report.id).toEqualTypeOf<"report">();
expectTypeOf<ResultOf<typeof report>>().toEqualTypeOf<{ shop: string; days: number[] }>();
expectTypeOf(report.trigger).parameter(0).toEqualTypeOf<{ shop?: string | undefined }>();
expectTypeOf(report).toExtend<Job>();

const branched = flow({ id: "branched", schema: z.array(z.bigint()) }, (start) =>
  start.parallel({ a: print, b: (from) => from.then(store) }),
);
expectTypeOf<ResultOf<typeof branched>>().toEqualTypeOf<{ readonly a: string; readonly b: Date }>();

// a flow is a job: also of another flow
flow({ id: "outer", schema: z.string(), queue: "slow", schedule: { cron: "0 0 * * *", payload: "x" } }, (start) =>
  start.then(report, (shop) => ({ shop })).then(clean, () => undefined),
);

// @ts-expect-error -- price takes a number, the input is text
flow({ id: "a", schema: z.string() }, (start) => start.then(price));
// @ts-expect-error -- what feeds it answers text, too
flow({ id: "b", schema: z.string() }, (start) => start.then(price, (text) => text));
// @ts-expect-error -- a number is not a list of them
flow({ id: "c", schema: z.number() }, (start) => start.map(price));
// @ts-expect-error -- a flow has no handler of its own
flow({ id: "d", schema: z.number(), handler: () => 1 }, (start) => start.then(price));
// @ts-expect-error -- nothing of it is a chain
flow({ id: "e", schema: z.number() }, () => 1);
// @ts-expect-error -- print takes a list
flow({ id: "f", schema: z.number() }, (start) => start.parallel({ one: (from) => from.then(print) }));
