import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { createHash } from "node:crypto";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { locked } from "../../runtime/store/lock.ts";
import { hidden } from "../../sdk/client/source.ts";

/** The one dev of a folder: it hands what it shows to those that come later, and takes their keys. */
export interface Host {
  /** Hands an entry to all viewers. One that does not read is dropped. */
  tell(entry: string): void;
  close(): void;
}

/** What a viewer is given of the dev that runs already. */
export interface View {
  press(key: string): void;
  /** Resolves when that dev has ended. */
  readonly over: Promise<void>;
  leave(): void;
}

/** How much a viewer may leave unread. */
const mostUnread = 1024 * 1024;
/** New viewers are shown this many entries of before. */
const recent = 50;

/** Paths of sockets have a limit of about 100 characters. */
function addressOf(folder: string): string {
  const path = resolve(folder, hidden, "dev.sock");
  if (path.length < 100) return path;
  return join(tmpdir(), `tasker-${createHash("sha1").update(path).digest("hex").slice(0, 16)}.sock`);
}

/** Becomes the host of this folder, or the viewer of the one that it has. */
export async function link(
  folder: string,
  ears: { pressed(key: string): void; shown(entry: string): void },
): Promise<{ readonly host: Host } | { readonly view: View }> {
  const path = addressOf(folder);
  mkdirSync(resolve(folder, hidden), { recursive: true });
  // Under a lock: of two that start together, one would take the other's socket for that of a killed one.
  return locked(resolve(folder, hidden, "dev.lock"), async () => {
    const view = await attach(path, ears.shown);
    if (view) return { view };
    rmSync(path, { force: true }); // of one that was killed
    return { host: await serve(path, ears.pressed) };
  });
}

function serve(path: string, pressed: (key: string) => void): Promise<Host> {
  const viewers = new Set<Socket>();
  const last: string[] = [];
  let closed = false;
  const server: Server = createServer((socket) => {
    viewers.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => viewers.delete(socket));
    createInterface({ input: socket }).on("line", pressed);
    socket.write(last.map((entry) => `${entry}\n`).join(""));
  });
  server.unref();
  return new Promise((done, failed) => {
    server.once("error", failed);
    server.listen(path, () => {
      chmodSync(path, 0o600);
      done({
        tell(entry) {
          const line = entry.trimEnd();
          last.push(line);
          if (last.length > recent) last.shift();
          for (const socket of viewers)
            if (socket.writableLength > mostUnread) socket.destroy();
            else socket.write(`${line}\n`);
        },
        close() {
          if (closed) return;
          closed = true;
          for (const socket of viewers) socket.end();
          server.close(); // which removes the socket's file
        },
      });
    });
  });
}

function attach(path: string, shown: (entry: string) => void): Promise<View | null> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once("error", () => done(null)); // nobody there
    socket.once("connect", () => {
      createInterface({ input: socket }).on("line", shown);
      done({
        press: (key) => void socket.write(`${key}\n`),
        over: new Promise((over) => socket.once("close", () => over())),
        leave: () => socket.destroy(),
      });
    });
  });
}
