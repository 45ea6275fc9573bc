/** From the events of this process to runs that deliver them. */
import { StoreUnavailable } from "../../sdk/port/error.ts";
import { plainRun } from "../../sdk/client/option.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import type { NewRun } from "../../sdk/port/target.ts";
import { wait } from "../core/clock.ts";
import type { Core } from "../core/core.ts";
import type { Event } from "../../sdk/port/event.ts";
import { logged } from "../core/log.ts";
import type { Guarded } from "../store/port.ts";
import type { Hook } from "./hook.ts";
import { deliveryJob, type Delivery } from "./job.ts";

/** Deliveries of one write, and those that wait while the store is away; beyond that the oldest are dropped. */
const [mostAtOnce, mostWaiting] = [1000, 10_000];
const againMs = 1000;

/** Adds a run for each event that a webhook wants. Those of deliveries themselves are left out, or each would bring the next. */
export class Outbox {
  readonly #core: Core;
  readonly #to: Guarded;
  readonly #job: JobSpec;
  readonly #over = new AbortController();
  #waiting: NewRun[] = [];
  #dropped = 0;
  #sending: Promise<void> | null = null;

  /** `to`: the store as this process's application sees it. */
  constructor(core: Core, to: Guarded, hooks: readonly Hook[]) {
    this.#core = core;
    this.#to = to;
    this.#job = core.registry.get(deliveryJob)!.spec;
    for (const { id, filter } of hooks) core.bus.on(filter, (event) => this.#take(id, event));
  }

  /** Resolves when nothing waits any more; what then comes is dropped. Never rejects. */
  async close(): Promise<void> {
    this.#over.abort();
    await this.#sending;
  }

  #take(webhook: string, event: Event): void {
    if (("job" in event && event.job === deliveryJob) || this.#over.signal.aborted) return;
    const input = { json: JSON.stringify({ webhook, event: documentOf(event) } satisfies Delivery), meta: null };
    if (this.#waiting.push({ ...plainRun(this.#job, input), tags: [`webhook:${webhook}`] }) > mostWaiting) {
      this.#waiting.shift();
      this.#dropped++;
    }
    this.#sending ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#send());
  }

  async #send(): Promise<void> {
    const { clock, health, logger } = this.#core;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, mostAtOnce);
      try {
        const failed = (await this.#to.add(batch)).find((answer) => answer instanceof Error);
        if (failed) logger.error({ err: logged(failed) }, "Events are not delivered to webhooks");
        if (this.#dropped > 0)
          logger.error({ events: this.#dropped }, "Events were dropped: the store was away for too long");
        this.#dropped = 0;
      } catch (error) {
        health.failed("Delivering events to webhooks", error);
        if (!(error instanceof StoreUnavailable) || this.#over.signal.aborted) continue; // those are lost
        this.#waiting.unshift(...batch);
        await wait(clock, clock.ticks() + againMs, this.#over.signal);
      }
    }
    this.#sending = null;
  }
}

/** An event as it is sent. Of an error the name and the message: its stack tells of the code. */
function documentOf({ type, at, ...data }: Event): Delivery["event"] {
  const { error } = data as { readonly error?: { readonly name: string; readonly message: string } | null };
  const told = error ? { ...data, error: { name: error.name, message: error.message } } : data;
  return { type, timestamp: at.toISOString(), data: told };
}
