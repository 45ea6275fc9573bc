import { chunked, load, type Contender, type Payload } from "../contender.ts";

interface Workflow {
  run(input: Payload, options?: { readonly availableAt: Date }): Promise<unknown>;
}
interface Flows {
  defineWorkflow(spec: object, handler: (call: { readonly input: Payload }) => Promise<void>): Workflow;
  newWorker(options: object): { start(): Promise<void>; stop(): Promise<void> };
}
interface Library {
  OpenWorkflow: new (options: object) => Flows;
}
interface Backend {
  BackendPostgres: { connect(url: string): Promise<{ stop(): Promise<void> }> };
}

/** 100 at once; adds one by one, 64 at a time, for it has no bulk. */
export const { open }: Contender = {
  async open(place) {
    const { OpenWorkflow } = await load<Library>("openworkflow");
    const { BackendPostgres } = await load<Backend>("openworkflow/postgres");
    const backend = await BackendPostgres.connect(place.url);
    const flows = new OpenWorkflow({ backend });
    let handle: (payload: Payload) => void = () => undefined;
    const noop = flows.defineWorkflow({ name: "noop" }, async ({ input }) => handle(input));
    let worker: { start(): Promise<void>; stop(): Promise<void> } | null = null;
    const parallel = (payloads: readonly Payload[], act: (payload: Payload) => Promise<unknown>): Promise<void> =>
      chunked(payloads, { size: 1, width: 64 }, ([payload]) => act(payload!));
    return {
      install: () => Promise.resolve(),
      add: (payload) => noop.run(payload),
      addMany: (payloads) => parallel(payloads, (payload) => noop.run(payload)),
      addAt: (payloads) => parallel(payloads, (payload) => noop.run(payload, { availableAt: new Date(payload.t) })),
      async work(each) {
        handle = each;
        worker = flows.newWorker({ concurrency: 100 });
        await worker.start();
      },
      async close() {
        await worker?.stop();
        await backend.stop();
      },
    };
  },
};
