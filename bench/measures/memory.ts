import { setTimeout as sleep } from "node:timers/promises";
import { median } from "../number.ts";
import type { Measure } from "./measure.ts";

/** What a worker holds that has nothing to do yet. */
export const memory: Measure = {
  name: "memory",
  about: "resident memory of a worker process while 100,000 jobs wait that are due in an hour",
  goal: "rate",
  lines: [{ key: "rss", title: "worker memory, 100,000 waiting", unit: "MB", better: "less" }],
  async run(stage, size) {
    const count = size.jobs(stage.entrant.rates.bulk, 100_000);
    const producer = await stage.player();
    await producer.do.later({ count, leadMs: 3_600_000, spreadMs: 0 });
    const worker = await stage.player();
    await worker.do.work({ keep: "none", report: false });
    const seen: number[] = [];
    for (let i = 0; i < 5; i++) {
      await sleep(size.quick ? 150 : 500);
      seen.push((await worker.do.memory()).rss);
    }
    return { jobs: count, rss: median(seen) };
  },
};
