import { createHash } from "node:crypto";
import type { NewSchedule } from "../../../sdk/port/target.ts";
import type { Nodes, Published } from "../port.ts";
import type { Lanes } from "./lane.ts";
import { fields, numbers, type Pool, texts } from "./pool.ts";
import { columnsOf } from "./schedule.ts";
import { publish as statements } from "./sql/publish.ts";
import { bitsOf } from "./sql/status.ts";
import type { Statements } from "./sql.ts";

/** Attempts to apply a declaration; the next beat goes on. */
const most = 5;

export function publisher(pool: Pool, sql: Statements, lanes: Lanes): Nodes["publish"] {
  const text = statements(sql);
  return async (node, jobs) => {
    const hooked = jobs.filter((job) => job.hooks.length > 0);
    await lanes.ensure([
      ...jobs.map((job) => ({ queue: job.queue, job: job.id, priority: job.priority })),
      ...hooked.map((job) => ({ queue: "$hooks", job: job.id, priority: 5 })),
    ]);
    const seen = await pool.rows("tasker_publish", text.publish, jobColumns(node, jobs));
    if (seen.length === 0) return;
    const all = jobs.flatMap(({ schedules }) => schedules ?? []);
    const values = [...columnsOf(all), numbers(seen.map((row) => Number(row[0])))];
    // Repeated until nothing is left: a step does not see what another node wrote while it waited for a lock.
    for (let tries = 0, left = 1; left > 0 && tries < most; tries++)
      left = Number((await pool.rows("tasker_publish_apply", text.apply, values))[0]![0]);
  };
}

function jobColumns(node: number, jobs: readonly Published[]): readonly unknown[] {
  return [
    ...fields(jobs, "id", "description", "queue", "priority", "schema"),
    texts(jobs.map((job) => JSON.stringify(job.tags))),
    numbers(jobs.map((job) => job.ttlMs)),
    numbers(jobs.map((job) => bitsOf(job.hooks))),
    node,
    texts(jobs.map(({ schedules }) => schedules && hashOf(schedules))),
    numbers(jobs.map(({ schedules }) => schedules?.length ?? null)),
    ...fields(jobs, "attempts"),
  ];
}

/** The hash of a version of a job's schedules. */
function hashOf(schedules: readonly NewSchedule[]): string {
  const sorted = [...schedules].sort((a, b) => (a.key < b.key ? -1 : 1));
  return createHash("sha1")
    .update(JSON.stringify(sorted.map((one) => columnsOf([one]))))
    .digest("hex");
}
