import { createServer, type AddressInfo, type Socket } from "node:net";
import { Client } from "pg";

/** Stands for a pooler in transaction mode: all its clients share one session of the server, a transaction at a time. */
export interface Pooler {
  readonly port: number;
  close(): Promise<void>;
}

interface Near {
  readonly socket: Socket;
  /** What it has sent since the session was another's. */
  waiting: Buffer[];
}

/** Answers what opens a session: authentication ok, a key of its own making, ready. */
const welcome = Buffer.concat([
  message("R", Buffer.alloc(4)),
  message("K", Buffer.from([1, 2, 3, 4, 5, 6, 7, 8])),
  message("Z", Buffer.from("I")),
]);

/** Makes one on 127.0.0.1. Its one session is that of a client of `pg` that has logged in. */
export async function startPooler(url: string): Promise<Pooler> {
  const client = new Client(url);
  await client.connect();
  const far = (client as unknown as { readonly connection: { readonly stream: Socket } }).connection.stream;
  const open = new Set<Socket>([far]);
  let holder: Near | null = null;
  let queue: Near[] = [];
  let rest = Buffer.alloc(0);

  function next(): void {
    holder = queue.shift() ?? null;
    if (holder) for (const chunk of holder.waiting.splice(0)) far.write(chunk);
  }

  far.removeAllListeners().on("error", () => undefined);
  far.on("data", (chunk: Buffer) => {
    holder?.socket.write(chunk);
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5 && rest.length > rest.readInt32BE(1)) {
      const isOver = rest[0] === 90 && rest[5] === 73; // ready for a query, and in no transaction
      rest = rest.subarray(rest.readInt32BE(1) + 1);
      if (isOver) next();
    }
  });
  const server = createServer((socket) => {
    const near: Near = { socket, waiting: [] };
    open.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => (queue = queue.filter((one) => one !== near)));
    socket.once("data", () => {
      socket.write(welcome);
      socket.on("data", (chunk: Buffer) => {
        if (chunk[0] === 88) return void socket.end(); // goodbye
        if (holder === near) return void far.write(chunk);
        near.waiting.push(chunk);
        if (!queue.includes(near)) queue.push(near);
        if (!holder) next();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

function message(type: string, body: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), size, body]);
}
