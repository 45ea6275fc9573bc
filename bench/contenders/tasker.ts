import type * as engineType from "../../runtime/index.ts";
import type * as metricsType from "../../runtime/metrics/index.ts";
import type * as sdkType from "../../sdk/index.ts";
import type { Contender, Payload, Place, Session } from "../contender.ts";

type Sdk = typeof sdkType;
type Engine = typeof engineType;

/** tasker as built. `null`: defaults, the row that counts. `memory`: its memory store. `full`: a zod schema, retry, timeout, hooks
 *  and a listener of events, all in use. `tuned`: more slots and connections. `metrics`: with metrics that are read every second. */
export const { open }: Contender = {
  async open(place, variant) {
    const sdk = (await import(`${place.root}tasker/sdk/index.js`)) as Sdk;
    const engine = (await import(`${place.root}tasker/runtime/index.js`)) as Engine;
    if (variant === "full") return full(sdk, engine, place);
    if (variant !== "metrics") return plain(sdk, engine, place, variant).session;
    const { session, runtime } = plain(sdk, engine, place, variant);
    const { metrics } = (await import(`${place.root}tasker/runtime/metrics/index.js`)) as typeof metricsType;
    const measured = metrics(runtime);
    setInterval(() => void measured.text(), 1000).unref();
    return session;
  },
};

/** A Standard Schema that lets everything through: rivals check nothing either. */
const anything = {
  "~standard": { version: 1 as const, vendor: "bench", validate: (value: unknown) => ({ value }) },
};

function plain(
  sdk: Sdk,
  engine: Engine,
  place: Place,
  variant: string | null,
): { readonly session: Session; readonly runtime: ReturnType<Engine["createRuntime"]> } {
  let handle: (payload: Payload) => void = () => undefined;
  const job = sdk.defineJob({ id: "noop", schema: anything, handler: (payload) => handle(payload as Payload) });
  const store =
    variant === "memory"
      ? engine.memory()
      : engine.postgres({ url: place.url, ...(variant === "tuned" ? { max: 5 } : {}) });
  const runtime = engine.createRuntime({ store, jobs: [job], ...(variant === "tuned" ? { slots: 200 } : {}) });
  return { session: session(sdk, job, runtime, (each) => (handle = each)), runtime };
}

async function full(sdk: Sdk, engine: Engine, place: Place): Promise<Session> {
  const { z } = await import("zod");
  let handle: (payload: Payload) => void = () => undefined;
  let heard = 0;
  const job = sdk.defineJob({
    id: "noop",
    schema: z.object({ id: z.int(), to: z.email(), t: z.number() }),
    output: z.object({ status: z.int() }),
    retry: { attempts: 5, backoff: "exponential", delay: "1s" },
    timeout: "30s",
    hooks: { onStart: () => void heard++, onFailure: () => void heard++ },
    handler: (payload) => {
      handle(payload);
      return { status: 200 };
    },
  });
  const runtime = engine.createRuntime({ store: engine.postgres({ url: place.url }), jobs: [job] });
  runtime.events.on({}, () => void heard++);
  return session(sdk, job, runtime, (each) => (handle = each));
}

interface Triggered {
  trigger(payload: Payload): Promise<unknown>;
  batchTrigger(
    items: readonly { readonly payload: Payload; readonly options?: { readonly runAt: Date } }[],
  ): Promise<readonly unknown[]>;
}

function session(
  sdk: Sdk,
  job: Triggered,
  runtime: ReturnType<Engine["createRuntime"]>,
  listen: (handle: (payload: Payload) => void) => void,
): Session {
  sdk.configure({ store: runtime.store });
  let working = false;
  const all = async (answers: Promise<readonly unknown[]>): Promise<void> => {
    for (const answer of await answers) if (answer instanceof Error) throw answer;
  };
  return {
    install: () => runtime.store.open(),
    add: (payload) => job.trigger(payload),
    addMany: (payloads) => all(job.batchTrigger(payloads.map((payload) => ({ payload })))),
    addAt: (payloads) =>
      all(job.batchTrigger(payloads.map((payload) => ({ payload, options: { runAt: new Date(payload.t) } })))),
    async work(handle) {
      listen(handle);
      working = true;
      await runtime.start();
    },
    close: () => (working ? runtime.stop({ grace: "5s" }) : sdk.close()),
  };
}
