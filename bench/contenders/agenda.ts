import { chunked, load, type Contender, type Payload } from "../contender.ts";

interface Agenda {
  readonly ready: Promise<unknown>;
  on(event: "error", listener: () => void): void;
  define(name: string, handler: (job: { readonly attrs: { readonly data: Payload } }) => Promise<void>): void;
  now(name: string, data: Payload): Promise<unknown>;
  schedule(at: Date, name: string, data: Payload): Promise<unknown>;
  start(): Promise<void>;
  stop(): Promise<void>;
}
interface Library {
  Agenda: new (options: object) => Agenda;
}
interface Backend {
  PostgresBackend: new (options: object) => unknown;
}

/** Polls each 100 ms and by NOTIFY, 100 at once; adds one by one, 64 at a time, for it has no bulk. */
export const { open }: Contender = {
  async open(place) {
    const { Agenda } = await load<Library>("agenda");
    const { PostgresBackend } = await load<Backend>("@agendajs/postgres-backend");
    const backend = new PostgresBackend({ poolConfig: { connectionString: place.url, max: 20 } });
    const agenda = new Agenda({ backend, processEvery: 100, defaultConcurrency: 100, maxConcurrency: 100 });
    agenda.on("error", () => undefined);
    await agenda.ready;
    const parallel = (payloads: readonly Payload[], act: (payload: Payload) => Promise<unknown>): Promise<void> =>
      chunked(payloads, { size: 1, width: 64 }, ([payload]) => act(payload!));
    return {
      install: () => Promise.resolve(),
      add: (payload) => agenda.now("noop", payload),
      addMany: (payloads) => parallel(payloads, (payload) => agenda.now("noop", payload)),
      addAt: (payloads) => parallel(payloads, (payload) => agenda.schedule(new Date(payload.t), "noop", payload)),
      async work(handle) {
        agenda.define("noop", async ({ attrs }) => handle(attrs.data));
        await agenda.start();
      },
      close: () => agenda.stop(),
    };
  },
};
