import type { RunHandle } from "tasker";
import { flaky, greet, remind, slow } from "./jobs.ts";

/** Triggers one run of each job; `tasker dev --run` calls it once the runtime has started. */
export default async function start(): Promise<readonly RunHandle[]> {
  return Promise.all([
    greet.trigger({ name: "Ada" }),
    flaky.trigger({ orderId: "order-7" }),
    remind.trigger({ text: "Stretch", asked: new Date() }, { delay: "2s" }),
    slow.trigger({ report: "sales" }),
  ]);
}
