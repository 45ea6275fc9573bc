/** The job whose runs are deliveries. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { AbortError } from "../../sdk/port/error.ts";
import { isRecord } from "../../sdk/port/option.ts";
import { jobOf } from "../../sdk/job.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import type { Hook } from "./hook.ts";

export const deliveryJob = "tasker/webhook";

/** What a delivery gets. */
export interface Delivery {
  /** The id of the webhook: where it leads to, and its secret, stay in the configuration. */
  readonly webhook: string;
  /** What is sent: the event's type, its instant as ISO text, and the rest of it. */
  readonly event: {
    readonly type: string;
    readonly timestamp: string;
    readonly data: Readonly<Record<string, unknown>>;
  };
}

const schema: StandardSchemaV1<Delivery> = {
  "~standard": {
    version: 1,
    vendor: "tasker",
    validate: (value) =>
      isRecord(value) &&
      typeof (value as Partial<Delivery>).webhook === "string" &&
      isRecord((value as Partial<Delivery>).event)
        ? { value: value as Delivery }
        : { issues: [{ message: "is not what a webhook delivers" }] },
  },
};

/** Twelve tries in the three hours after the event, or when the receiver asks for it. */
const retry = { attempts: 12, backoff: "exponential", delay: "5s", maxDelay: "3h" } as const;

export function deliveries(hooks: readonly Hook[]): JobSpec {
  return jobOf(
    {
      ...{ id: deliveryJob, schema, retry, timeout: "30s", queue: "tasker/webhooks" },
      description: "Delivers an event to a webhook",
      handler: async ({ webhook, event }, ctx) => {
        const hook = hooks.find(({ id }) => id === webhook);
        if (!hook)
          throw new AbortError(
            `webhook "${webhook}" is not configured on this node; it was taken out, or another node has it alone`,
          );
        const { post } = await import("./post.ts"); // late: http is loaded by the first delivery
        return { status: await post(hook, { id: ctx.run.id, body: JSON.stringify(event) }, ctx.signal) };
      },
    },
    null,
  );
}
