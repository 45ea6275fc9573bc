import { median } from "../number.ts";
import type { Measure } from "./measure.ts";

/** How soon a new process works. */
export const cold: Measure = {
  name: "cold",
  about:
    "from the start of a process, in plain Node, to the call of its first handler; a job waits, the tables are there; the median of five",
  goal: "latency",
  lines: [{ key: "start", title: "process start to first handler", unit: "ms", better: "less" }],
  takes: ({ store }) => store !== "memory", // a new process has nothing waiting
  async run(stage, { quick }) {
    const producer = await stage.player();
    const starts: number[] = [];
    for (let from = 0; from < (quick ? 3 : 5); from++) {
      await producer.do.bulk({ from, count: 1, callers: 1 });
      starts.push(await stage.cold());
    }
    return { jobs: starts.length, start: median(starts) };
  },
};
