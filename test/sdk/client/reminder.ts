/** A job that reminds, and its schedule for one user. */
import { z } from "zod";
import type { Guarded } from "../../../runtime/store/port.ts";
import { defineJob } from "../../../sdk/job.ts";
import type { Upsert } from "../../../sdk/client/schedules.ts";
import { jsonSchemaOf } from "../../../sdk/define/schema.ts";
import type { JobRecord } from "../../../sdk/port/target.ts";
import { aJobRecord } from "./recorder.ts";

const schema = z.object({ userId: z.string(), at: z.date().optional() });
export const remind = defineJob({ id: "remind", schema, handler: () => ({ sent: true }) });
export const daily = { job: remind, key: "user:7", cron: "0 9 * * *", payload: { userId: "7" } } as const;
/** How stores name `daily`. */
export const named = { job: "remind", key: "user:7" };

/** Publishes job `remind`, as a node does. */
export async function publish(store: Guarded, overrides: Partial<JobRecord> = {}): Promise<void> {
  const { seenAt: _seenAt, ...job } = aJobRecord({ id: "remind", schema: jsonSchemaOf(schema), ...overrides });
  await store.nodes.publish(0, [{ ...job, schedules: null }]);
}

/** As JavaScript would call it. */
export function loose(given: unknown): Upsert {
  return given as Upsert;
}
