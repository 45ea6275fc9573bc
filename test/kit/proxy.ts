import { createServer, connect, type AddressInfo, type Socket } from "node:net";

/** A TCP relay on a port of its own, whose far end can be moved, cut and held. */
export interface Proxy {
  readonly port: number;
  /** How many connections were refused. */
  readonly refused: number;
  /** Sends new connections there; null refuses them. */
  aim(port: number | null): void;
  /** From now on a connection that sends this text hears nothing more, and neither does the far end; null: none does. */
  hush(text: string | null): void;
  /** The next answer to this text is kept back, and its connection ended. */
  lose(text: string): void;
  /** How many answers were. */
  readonly lost: number;
  /** Ends all connections at once. */
  cut(): void;
  close(): Promise<void>;
}

/** Makes a relay on 127.0.0.1 towards `port`. */
export async function startProxy(port: number): Promise<Proxy> {
  let target: number | null = port;
  let refused = 0;
  let hushed: string | null = null;
  let losing: string | null = null;
  let lost = 0;
  const open = new Set<Socket>();
  const server = createServer((near) => {
    open.add(near);
    near.on("error", () => undefined).on("close", () => open.delete(near));
    if (target === null) {
      refused++;
      return void near.destroy();
    }
    const far = connect(target, "127.0.0.1");
    far.on("error", () => near.destroy()).on("close", () => near.destroy());
    near.on("close", () => far.destroy());
    near.on("data", (chunk) => {
      if (losing !== null && chunk.includes(losing)) {
        losing = null;
        far
          .unpipe(near)
          .once("data", () => (lost++, near.destroy()))
          .resume();
      }
      if (hushed === null || !chunk.includes(hushed)) return void far.write(chunk);
      near.removeAllListeners("data");
      far.unpipe(near).resume();
    });
    near.on("end", () => far.end());
    far.pipe(near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const cut = (): void => {
    for (const socket of open) socket.destroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    get refused() {
      return refused;
    },
    aim: (to) => void (target = to),
    get lost() {
      return lost;
    },
    hush: (text) => void (hushed = text),
    lose: (text) => void (losing = text),
    cut,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        cut();
      }),
  };
}
