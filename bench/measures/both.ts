import { setTimeout as sleep } from "node:timers/promises";
import { now } from "../contender.ts";
import { costs, perJob, type Measure } from "./measure.ts";

/** A producer process and a worker process at once. */
export const both: Measure = {
  name: "both",
  about:
    "a process with 64 callers and a worker process at once, for some seconds: jobs handled within them, and the time from a call of trigger to its handler",
  goal: "rate",
  lines: [
    { key: "rate", title: "64 callers and a worker at once", unit: "/s", better: "more" },
    { key: "p50", title: "call to handler under load, p50", unit: "ms", better: "less" },
    { key: "p99", title: "call to handler under load, p99", unit: "ms", better: "less" },
    { key: "added", title: "added meanwhile", unit: "/s", better: "more" },
    { key: "wal", title: "WAL a job", unit: "B", better: "less" },
    { key: "statements", title: "statements a job", unit: "", better: "less" },
  ],
  async run(stage, { quick }) {
    const windowMs = quick ? 1500 : 5000;
    const warmMs = quick ? 500 : 1000;
    const producer = await stage.player();
    const worker = await stage.player();
    await worker.do.work({ keep: "since", report: false });
    const adding = producer.do.add({ from: 0, callers: 64, forMs: warmMs + windowMs });
    await sleep(warmMs);
    const [before, fromMs] = [await stage.usage(), now()];
    await sleep(windowMs - 100); // ends before the callers do, however late they began
    const [after, toMs] = [await stage.usage(), now()];
    const added = await adding;
    const { count, p50, p99, duplicates } = await worker.do.spread({ fromMs, toMs });
    if (count === 0) throw new Error("no job was handled");
    return {
      jobs: count,
      rate: (count / (toMs - fromMs)) * 1000,
      p50,
      p99,
      added: (added.count / (added.toMs - added.fromMs)) * 1000,
      duplicates,
      ...costs(stage, perJob(before, after, count)),
    };
  },
};
