import { chunked, load, type Contender, type Payload } from "../contender.ts";

interface Library {
  DBOS: {
    setConfig(config: object): void;
    registerWorkflow(handler: (payload: Payload) => Promise<void>, config: object): unknown;
    launch(): Promise<void>;
    registerQueue(name: string, options: object): Promise<unknown>;
    shutdown(): Promise<void>;
  };
  DBOSClient: { create(options: object): Promise<Client> };
}
interface Client {
  enqueue(options: object, payload: Payload): Promise<unknown>;
  destroy(): Promise<void>;
}

const quiet = { info() {}, debug() {}, warn() {}, error() {} };
const to = { workflowName: "noop", queueName: "noop", appVersion: "1" };

/** 200 at once, polls each 10 ms; adds one by one, 64 at a time. A delayed job's delay counts in ms. */
export const { open }: Contender = {
  async open(place) {
    const { DBOS, DBOSClient } = await load<Library>("@dbos-inc/dbos-sdk");
    let launching: Promise<void> | null = null;
    let handle: (payload: Payload) => void = () => undefined;
    const launched = (): Promise<void> => (launching ??= launch());
    let registered = false;
    async function launch(): Promise<void> {
      process.env["DBOS__APPVERSION"] = "1";
      DBOS.setConfig({
        name: "bench",
        systemDatabaseUrl: place.url,
        systemDatabasePoolSize: 20,
        runAdminServer: false,
        applicationVersion: "1",
        logger: quiet,
      });
      if (!registered) DBOS.registerWorkflow(async (payload: Payload) => handle(payload), { name: "noop" });
      registered = true;
      await DBOS.launch();
      await DBOS.registerQueue("noop", { workerConcurrency: 200, minPollingIntervalMs: 10 });
    }
    let connecting: Promise<Client> | null = null;
    const client = (): Promise<Client> =>
      (connecting ??= DBOSClient.create({
        systemDatabaseUrl: place.url,
        systemDatabasePoolSize: 20,
        logger: quiet,
        applicationName: "bench",
      }));
    const parallel = (payloads: readonly Payload[], act: (payload: Payload) => Promise<unknown>): Promise<void> =>
      chunked(payloads, { size: 1, width: 64 }, ([payload]) => act(payload!));
    const add = async (payload: Payload): Promise<unknown> => (await client()).enqueue(to, payload);
    return {
      async install() {
        await launched();
        await DBOS.shutdown();
        launching = null;
      },
      add,
      addMany: (payloads) => parallel(payloads, add),
      addAt: (payloads) =>
        parallel(payloads, async (payload) =>
          (await client()).enqueue({ ...to, delaySeconds: Math.max(0, payload.t - Date.now()) / 1000 }, payload),
        ),
      async work(each) {
        handle = each;
        await launched();
      },
      async close() {
        if (connecting) await (await connecting).destroy();
        if (launching) await DBOS.shutdown();
      },
    };
  },
};
