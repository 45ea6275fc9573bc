import pg from "pg";
import { connection } from "./pool.ts";
import { connectMs, prepareSession } from "./session.ts";

const partMs = 1000;

/** Hears notifications on one connection of its own, which comes back by itself. Best effort: everybody also polls. */
export interface Listener {
  /** As `listen` of `Runs`. `lanes`: where runs may be due; anywhere if they are left out. */
  listen(
    node: number,
    hear: (what: "due" | "command" | "tick", lanes?: readonly number[]) => void,
  ): Promise<() => Promise<void>>;
  /** Calls back with the runs that ended, of those that somebody waits for; also, with none, after a gap. */
  ended(hear: (ids: readonly number[]) => void): () => void;
  /** Nobody can listen here: a pooler stands between. */
  readonly isDeaf: boolean;
  close(): Promise<void>;
}

type Hear = (kind: string, rest: string) => void;

/** `isOwn`: its connection is known to have a session of its own. */
export function listener(url: string, channel: string, isOwn: boolean): Listener {
  const heard = new Set<Hear>();
  let client: pg.Client | null = null;
  let timer: NodeJS.Timeout | null = null;
  let tries = 0;
  let closed = false;
  let isDeaf = false;
  let first: Promise<void> | null = null;

  function connect(): Promise<void> {
    if (client || timer || closed || isDeaf) return Promise.resolve();
    const fresh = new pg.Client(connection(url));
    client = fresh;
    fresh.on("error", () => lose(fresh));
    fresh.on("end", () => lose(fresh));
    fresh.on("notification", ({ payload = "" }) => tell(payload.slice(0, 1), payload.slice(1)));
    return subscribe(fresh).catch(() => lose(fresh));
  }

  async function subscribe(fresh: pg.Client): Promise<void> {
    await fresh.connect();
    if (!(await prepareSession(fresh, isOwn))) return defer(fresh);
    await fresh.query({ text: `listen "${channel}"`, query_timeout: connectMs } as pg.QueryConfig);
    streamOf(fresh)?.unref?.(); // not before: who awaits this may have nothing else that keeps the process up
    if (tries > 0) tell("r", ""); // whatever was missed while nobody listened
    tries = 0;
  }

  /** Gives up listening: through a pooler others would be sent what is meant for us. */
  function defer(fresh: pg.Client): void {
    isDeaf = true;
    client = null;
    void part(fresh);
    tell("r", ""); // they will look by themselves from now on
  }

  function lose(lost: pg.Client): void {
    if (client !== lost) return;
    client = null;
    void part(lost);
    if (closed) return;
    if (heard.size === 0) return void (first = null); // the next listener connects anew
    const wait = Math.min(5000, 100 * 2 ** tries++) * (0.75 + Math.random() / 2);
    timer = setTimeout(() => {
      timer = null;
      void connect();
    }, wait).unref();
  }

  function tell(kind: string, rest: string): void {
    for (const hear of [...heard]) hear(kind, rest);
  }

  function add(hear: Hear): () => void {
    heard.add(hear);
    first ??= connect();
    return () => void heard.delete(hear);
  }

  return {
    async listen(node, hear) {
      const stop = add((kind, rest) => {
        const due = kind === "d" || kind === "l"; // soon; or later, for nodes that sleep
        if (kind === "r" || (due && rest === "")) hear("due");
        else if (due) hear("due", rest.split(",").map(Number));
        if (kind === "s" || kind === "r") hear("tick");
        if (kind === "r" || (kind === "c" && rest.split(",").includes(String(node)))) hear("command");
      });
      await first;
      return async () => stop();
    },
    ended: (hear) =>
      add((kind, rest) => {
        if (kind === "w") hear(rest.split(",").map(Number));
        if (kind === "r") hear([]);
      }),
    get isDeaf() {
      return isDeaf;
    },
    async close() {
      closed = true;
      if (timer) clearTimeout(timer);
      const last = client;
      client = null;
      if (last) await part(last);
    },
  };
}

/** What the types of `pg` leave out. */
interface Socketed {
  readonly connection?: { readonly stream?: { unref?(): void; destroy(): void } };
}

function streamOf(client: pg.Client) {
  return (client as unknown as Socketed).connection?.stream;
}

/** Ends a connection; one whose far end says nothing more is cut off. */
async function part(client: pg.Client): Promise<void> {
  const timer = setTimeout(() => streamOf(client)?.destroy(), partMs);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}
