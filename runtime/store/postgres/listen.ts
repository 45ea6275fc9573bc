import pg from "pg";
import type { Heard } from "../port.ts";
import { connection } from "./pool.ts";
import { growing } from "./retry.ts";
import { connectMs, prepareSession } from "./session.ts";

const partMs = 1000;

type Hear = (kind: string, rest: string) => void;

/** The notifier: listens on a connection of its own, and reconnects. Best effort: everybody also polls. */
export class Listener {
  readonly #heard = new Set<Hear>();
  #client: pg.Client | null = null;
  #timer: NodeJS.Timeout | null = null;
  #tries = 0;
  #closed = false;
  #isDeaf = false;
  #first: Promise<void> | null = null;
  readonly #url: string;
  readonly #channel: string;
  readonly #isOwn: boolean;
  readonly #mailed: (() => unknown) | undefined;
  readonly #watched: ((leftMs: string) => void) | undefined;

  /** `isOwn`: its connection has a session of its own. `mailed` is called after something was sent in a transaction, `watched` when somebody
   *  begins to read the feed. */
  constructor(
    url: string,
    channel: string,
    isOwn: boolean,
    { mailed, watched }: { readonly mailed?: () => unknown; readonly watched?: (leftMs: string) => void } = {},
  ) {
    this.#url = url;
    this.#channel = channel;
    this.#isOwn = isOwn;
    this.#mailed = mailed;
    this.#watched = watched;
  }

  /** A pooler stands between, so nothing is heard. */
  get isDeaf(): boolean {
    return this.#isDeaf;
  }

  /** As `listen` of `Runs`. `due` comes with the lanes where runs may be; undefined: anywhere. */
  async listen(node: number, hear: (what: Heard, numbers?: readonly number[]) => void): Promise<() => Promise<void>> {
    const stop = this.#add((kind, rest) => {
      const due = kind === "d" || kind === "l"; // soon, or later, for nodes that sleep
      if (kind === "r" || (due && rest === "")) hear("due");
      else if (due) hear("due", rest.split(",").map(Number));
      if (kind === "p" || kind === "y") hear(kind === "p" ? "sent" : "woken", rest.split(",").map(Number));
      if (kind === "x") hear("deaf");
      if (kind === "s" || kind === "r") hear("tick");
      if (kind === "r" || (kind === "c" && rest.split(",").includes(String(node)))) hear("command");
    });
    await this.#first;
    return async () => stop();
  }

  /** Calls back with ids of watched runs that ended; with none after a reconnect. */
  ended(hear: (ids: readonly number[]) => void): () => void {
    return this.#add((kind, rest) => {
      if (kind === "w") hear(rest.split(",").map(Number));
      if (kind === "r") hear([]);
    });
  }

  /** Resolves once it listens, or has failed to. */
  async ready(): Promise<void> {
    await (this.#first ??= this.#connect());
  }

  /** Calls back when the feed has more, or may have. */
  written(hear: () => void): () => void {
    return this.#add((kind) => {
      if (kind === "e" || kind === "r") hear();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    const last = this.#client;
    this.#client = null;
    if (last) await part(last);
  }

  #add(hear: Hear): () => void {
    this.#heard.add(hear);
    this.#first ??= this.#connect();
    return () => void this.#heard.delete(hear);
  }

  #connect(): Promise<void> {
    if (this.#client || this.#timer || this.#closed || this.#isDeaf) return Promise.resolve();
    const fresh = new pg.Client(connection(this.#url));
    this.#client = fresh;
    fresh.on("error", () => this.#lose(fresh));
    fresh.on("end", () => this.#lose(fresh));
    fresh.on("notification", ({ payload = "" }) => this.#tell(payload.slice(0, 1), payload.slice(1)));
    return this.#subscribe(fresh).catch(() => this.#lose(fresh));
  }

  async #subscribe(fresh: pg.Client): Promise<void> {
    await fresh.connect();
    if (!(await prepareSession(fresh, this.#isOwn))) return this.#defer(fresh);
    await fresh.query({ text: `listen "${this.#channel}"`, query_timeout: connectMs } as pg.QueryConfig);
    streamOf(fresh)?.unref?.(); // not before: an awaiting caller may have nothing else that keeps the process up
    if (this.#tries > 0) this.#tell("r", ""); // notifications may have been missed
    this.#tries = 0;
  }

  /** Stops listening: through a pooler other clients would get our notifications. */
  #defer(fresh: pg.Client): void {
    this.#isDeaf = true;
    this.#client = null;
    void part(fresh);
    this.#tell("r", ""); // they poll from now on
    this.#tell("x", "");
  }

  #lose(lost: pg.Client): void {
    if (this.#client !== lost) return;
    this.#client = null;
    void part(lost);
    if (this.#closed) return;
    if (this.#heard.size === 0) return void (this.#first = null); // the next listener reconnects
    this.#tell("x", "");
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        void this.#connect();
      },
      growing(this.#tries++, 100, 5000),
    ).unref();
  }

  #tell(kind: string, rest: string): void {
    if (kind === "m") this.#mailed?.();
    else if (kind === "v") this.#watched?.(rest);
    else for (const hear of [...this.#heard]) hear(kind, rest);
  }
}

/** What the types of `pg` leave out. */
interface Socketed {
  readonly connection?: { readonly stream?: { unref?(): void; destroy(): void } };
}

function streamOf(client: pg.Client) {
  return (client as unknown as Socketed).connection?.stream;
}

/** Ends a connection, or cuts it if the server does not answer. */
async function part(client: pg.Client): Promise<void> {
  const timer = setTimeout(() => streamOf(client)?.destroy(), partMs);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}
