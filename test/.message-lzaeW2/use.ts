
import { z } from "zod";
import { defineJob, schedules } from "../../sdk/index.ts";
const job = defineJob({ id: "x", schema: z.void(), handler: () => 1, schedule: { cron: "@daily", every: "1h" } });
defineJob({ id: "x", schema: z.void(), handler: () => 1, schedule: [{ cron: "@daily", every: "1h" }] });
defineJob({ id: "x", schema: z.void(), handler: () => 1, schedule: { every: "5 minutes" } });
void schedules.upsert({ job, key: "k", every: "1h", runAt: new Date() });
void job.trigger(undefined, { delay: "5 minutes" });
void job.trigger(undefined, { priority: 12 });
