import { costs, perJob, type Measure } from "./measure.ts";

const warm = 200;

/** Callers that each wait for their own add. */
export function add(callers: number): Measure {
  return {
    name: `add${callers}`,
    about: `${callers === 1 ? "one caller adds" : `${callers} callers at once add`} one job after another, each awaiting its commit; after ${warm} calls to warm up`,
    goal: "rate",
    lines: [
      { key: "rate", title: `trigger, ${callers} caller${callers > 1 ? "s" : ""}`, unit: "/s", better: "more" },
      { key: "p50", title: "one call, p50", unit: "ms", better: "less" },
      { key: "p99", title: "one call, p99", unit: "ms", better: "less" },
      { key: "wal", title: "WAL a job", unit: "B", better: "less" },
      { key: "statements", title: "statements a job", unit: "", better: "less" },
    ],
    async run(stage, size) {
      const { rates } = stage.entrant;
      const count = callers === 1 ? size.jobs(rates.one, 10_000) : size.jobs(rates.many, 100_000);
      const producer = await stage.player();
      await producer.do.add({ from: count, callers, count: warm });
      const before = await stage.usage();
      const { fromMs, toMs, p50, p99 } = await producer.do.add({ from: 0, callers, count });
      const cost = perJob(before, await stage.usage(), count);
      return { jobs: count, rate: (count / (toMs - fromMs)) * 1000, p50, p99, ...costs(stage, cost) };
    },
  };
}
