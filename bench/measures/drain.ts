import { now } from "../contender.ts";
import { costs, perJob, type Measure } from "./measure.ts";

/** Worker processes run what waits. */
export function drain(workers: number): Measure {
  return {
    name: `drain${workers}`,
    about: `${workers} worker process${workers > 1 ? "es run" : " runs"} 100,000 waiting jobs: from the order to start (modules loaded, connections not) to the last handler`,
    goal: "rate",
    lines: [
      { key: "rate", title: `drain, ${workers} worker${workers > 1 ? "s" : ""}`, unit: "/s", better: "more" },
      { key: "wal", title: "WAL a job", unit: "B", better: "less" },
      { key: "statements", title: "statements a job", unit: "", better: "less" },
      { key: "peak", title: "memory at most", unit: "MB", better: "less" },
    ],
    takes: ({ store }) => store !== "memory" || workers === 1, // nobody else sees what one process has in memory
    async run(stage, size) {
      const count = size.jobs(stage.entrant.rates.drain, 100_000);
      const producer = await stage.player();
      await producer.do.bulk({ from: 0, count, callers: 1 });
      const players = [];
      for (let i = 0; i < workers; i++) players.push(await stage.player());
      const before = await stage.usage();
      const fromMs = now();
      await Promise.all(players.map((each) => each.do.work({ keep: "none", report: true })));
      const toMs = await stage.handled(players, count);
      const peaks = await Promise.all(players.map((each) => each.do.memory()));
      await Promise.all(players.map((each) => each.do.close()));
      const counts = await Promise.all(players.map((each) => each.do.counted()));
      const duplicates = counts.reduce((sum, each) => sum + each.count, 0) - count;
      const cost = perJob(before, await stage.usage(), count);
      const peak = Math.max(...peaks.map((each) => each.peak));
      return { jobs: count, rate: (count / (toMs - fromMs)) * 1000, peak, duplicates, ...costs(stage, cost) };
    },
  };
}
