import { setTimeout as sleep } from "node:timers/promises";
import { now } from "../contender.ts";
import type { Measure } from "./measure.ts";

const everyMs = 12;
const warm = 30;

/** How long an idle worker takes to start a job. */
export function pickup(where: "own" | "across"): Measure {
  const title = where === "own" ? "idle pick-up, same process" : "idle pick-up, across processes";
  return {
    name: where,
    about: `one job each ${everyMs} ms to an idle worker in ${where === "own" ? "the same" : "another"} process: from the call of trigger to the handler; after ${warm} to warm up`,
    goal: "latency",
    lines: [
      { key: "p50", title: `${title}, p50`, unit: "ms", better: "less" },
      { key: "p99", title: `${title}, p99`, unit: "ms", better: "less" },
    ],
    takes: ({ store }) => store !== "memory" || where === "own",
    async run(stage, { quick }) {
      const count = quick ? 100 : 500;
      const producer = await stage.player();
      const worker = where === "own" ? producer : await stage.player();
      await worker.do.work({ keep: "since", report: true });
      await sleep(quick ? 200 : 1000); // whatever it does at start is over
      await producer.do.pace({ from: count, count: warm, everyMs });
      await stage.handled([worker], warm);
      const fromMs = now();
      await producer.do.pace({ from: 0, count, everyMs });
      await stage.handled([worker], warm + count);
      const { p50, p99 } = await worker.do.spread({ fromMs, toMs: Infinity });
      return { jobs: count, p50, p99 };
    },
  };
}
