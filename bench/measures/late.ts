import type { Measure } from "./measure.ts";

/** How exactly delayed jobs start. */
export const late: Measure = {
  name: "late",
  about:
    "2,000 jobs that are due one a millisecond, added 3 s before the first: how long after its instant each handler is called, and the earliest of all, which must not be below 0",
  goal: "latency",
  lines: [
    { key: "p50", title: "lateness of delayed jobs, p50", unit: "ms", better: "less" },
    { key: "p99", title: "lateness of delayed jobs, p99", unit: "ms", better: "less" },
    { key: "least", title: "the earliest, after its instant", unit: "ms", better: "more" },
  ],
  async run(stage, { quick }) {
    const count = quick ? 500 : 2000;
    const producer = await stage.player();
    const worker = await stage.player();
    await worker.do.work({ keep: "late", report: true });
    await producer.do.later({ count, leadMs: quick ? 1500 : 3000, spreadMs: count });
    await stage.handled([worker], count);
    const { p50, p99, least } = await worker.do.spread({ fromMs: 0, toMs: Infinity });
    return { jobs: count, p50, p99, least };
  },
};
