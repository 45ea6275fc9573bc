import { costs, perJob, type Measure } from "./measure.ts";

/** Many jobs in one call, or one call for each of two callers. */
export function bulk(callers: number): Measure {
  return {
    name: `bulk${callers}`,
    about: `${callers === 1 ? "one caller adds" : "two callers of one process share"} 100,000 jobs in bulk; after 2,000 to warm up`,
    goal: "rate",
    lines: [
      { key: "rate", title: `bulk trigger, ${callers} caller${callers > 1 ? "s" : ""}`, unit: "/s", better: "more" },
      { key: "wal", title: "WAL a job", unit: "B", better: "less" },
      { key: "statements", title: "statements a job", unit: "", better: "less" },
    ],
    async run(stage, size) {
      const count = size.jobs(stage.entrant.rates.bulk, 100_000);
      const producer = await stage.player();
      await producer.do.bulk({ from: count, callers, count: Math.min(2000, count) });
      const before = await stage.usage();
      const { fromMs, toMs } = await producer.do.bulk({ from: 0, callers, count });
      const cost = perJob(before, await stage.usage(), count);
      return { jobs: count, rate: (count / (toMs - fromMs)) * 1000, ...costs(stage, cost) };
    },
  };
}
