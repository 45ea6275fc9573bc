import type { DurationText } from "../port/duration.ts";
import { InvalidInput, NotConfigured, StoreUnavailable, invalid } from "../port/error.ts";
import { checkFlag, checkKeys } from "../port/option.ts";
import { slot, type Opened } from "./scope.ts";
import { codeOf } from "../define/signal.ts";
import type { Tokens } from "./token.ts";
import { locate, type Openable, type Source } from "./source.ts";
import type { Webhook } from "./webhook.ts";
import type { Bare, Target } from "../port/target.ts";

/** The content of `tasker.config.ts`. Every key has a flag and a variable that win over it. */
export interface Config {
  /** Postgres to use; without it, the running `tasker dev` of this folder, or the embedded one of `tasker dev`. */
  readonly databaseUrl?: string | undefined;
  /** Schema that holds tasker's tables; `tasker` by default. */
  readonly schema?: string | undefined;
  /** Prepare statements and listen; false behind PgBouncer in transaction mode; found out by default. */
  readonly prepare?: boolean | undefined;
  /** Folders, files or globs of job files, separated by commas or in a list, relative to the config file; `jobs/` by default. */
  readonly jobs?: string | readonly string[] | undefined;
  /** Runs at once in this process; `50` by default. */
  readonly slots?: number | undefined;
  /** Runs at once by queue in this process. */
  readonly queues?: Readonly<Record<string, { readonly concurrency: number }>> | undefined;
  /** Longest wait before looking for due runs again; silent: no statement while there is nothing to do. `1s` by default, and less than a
   *  quarter of `lease`. A silent node that is alone sends nothing, up to an hour, until something falls due or it is told of a run. */
  readonly poll?: DurationText | "silent" | undefined;
  /** How long a claim lasts without being renewed; `15s` by default. */
  readonly lease?: DurationText | undefined;
  /** How often, at most, runs of dead processes are taken back; `5s` by default. */
  readonly sweep?: DurationText | undefined;
  /** Time that running handlers get at shutdown, and that one keeps its slot after its attempt was ended; `30s` by default. */
  readonly grace?: DurationText | undefined;
  /** Crashes of its process before a run fails; `3` by default. */
  readonly crashes?: number | undefined;
  /** Steps, sleeps, waits and calls of children of one workflow, at most; `10000` by default. Each replay reads them all. */
  readonly steps?: number | undefined;
  /** How long finished runs are kept. */
  readonly keep?:
    | {
        /** How long completed runs are kept; `7d` by default. */
        readonly completed?: DurationText | undefined;
        /** How long failed and canceled runs are kept; `30d` by default. */
        readonly other?: DurationText | undefined;
      }
    | undefined;
  /** JSON files that become runs and schedules. */
  readonly inbox?:
    | {
        /** Folder of JSON files that become runs and schedules, relative to the config file; without it there is no inbox. It is made if it is
         *  not there. */
        readonly dir?: string | undefined;
        /** Names of the files there to load, or with a / their paths; `*.{json,jsonl,ndjson}` by default. */
        readonly pattern?: string | undefined;
        /** Also look into the folders below; `false` by default. */
        readonly recursive?: boolean | undefined;
        /** Also load files that come after the start; `true` by default. */
        readonly watch?: boolean | undefined;
        /** What becomes of a loaded file: archive, delete or keep; `archive` by default. */
        readonly after?: "archive" | "delete" | "keep" | undefined;
        /** Where loaded files go, relative to inbox.dir; `archive` by default. */
        readonly archiveDir?: string | undefined;
        /** Where refused files go, relative to inbox.dir, each beside a text that says why; `errors` by default. */
        readonly errorDir?: string | undefined;
      }
    | undefined;
  /** Where events of runs are posted to, signed. As flag or variable a list in JSON. */
  readonly webhooks?: readonly Webhook[] | undefined;
  /** The HTTP API of this process. */
  readonly http?:
    | {
        /** Serve the HTTP API on [HOST:]PORT; none, and for dev 127.0.0.1:4747 or the next free port by default. */
        readonly listen?: string | undefined;
        /** Who may use it: name:role:secret, `@path` of a file, or none for anybody on loopback. In code a list, a function that is asked again every few
         *  seconds, or `{ file }`, which is read again when it changes. */
        readonly tokens?: Tokens | undefined;
        /** Names under which it is reached, beside localhost, separated by commas or in a list. */
        readonly hosts?: string | readonly string[] | undefined;
        /** Origins whose pages may call it, exact, separated by commas or in a list. */
        readonly cors?: string | readonly string[] | undefined;
      }
    | undefined;
  /** Zone of cron schedules that name none, like Europe/Paris; `UTC` by default. */
  readonly timezone?: string | undefined;
  /** Least level that is logged: debug, info, warn, error, silent; `info` by default. */
  readonly logLevel?: "debug" | "info" | "warn" | "error" | "silent" | undefined;
  /** pretty or json; pretty on a terminal and for dev, else json by default. */
  readonly logFormat?: "pretty" | "json" | undefined;
  /** Make OpenTelemetry spans of triggers, attempts and steps, with `@opentelemetry/api`, which the application has; `false` by default. A process
   *  that only triggers calls `telemetry()` of `tasker/telemetry`. */
  readonly telemetry?: boolean | undefined;
  /** Application that the jobs belong to; `app` by default. */
  readonly app?: string | undefined;
  /** Version of the application's code; `0` by default. */
  readonly version?: string | undefined;
  /** Name of this process among the nodes; `host:pid` by default. */
  readonly name?: string | undefined;
}

/** Types the default export of `tasker.config.ts`; it is checked when a command reads it. */
export function defineConfig(config: Config): Config {
  return config;
}

/** Where this process triggers to. */
export type Connection =
  | {
      readonly store: Openable;
      readonly url?: undefined;
      readonly schema?: undefined;
      readonly prepare?: undefined;
      readonly token?: undefined;
    }
  | {
      /** `postgres://…`, `memory:`, or `https://…` of a server of the HTTP API. */
      readonly url: string;
      /** The secret for that server; none by default. */
      readonly token?: string | undefined;
      /** `tasker` by default. */
      readonly schema?: string | undefined;
      /** Prepare statements and listen; false behind PgBouncer in transaction mode. Found out by default. */
      readonly prepare?: boolean | undefined;
      readonly store?: undefined;
    };

/** Says where `trigger` and `runs` of this process go; nothing is opened before the first use. A second call replaces
 *  the first. Within a handler its own runtime wins.
 *  @throws {InvalidInput} unless there is exactly one of `store` and `url`. */
export function configure(connection: Connection): void {
  slot().configured = sourceOf(connection);
}

/** As `configure({ store })`, until what it answers is called. What was configured since then stays. */
export function configured(store: Openable): () => void {
  const place = slot();
  const source: Source = { kind: "store", store };
  place.configured = source;
  return () => {
    if (place.configured && isSame(place.configured, source)) place.configured = null;
    if (place.opened && isSame(place.opened.source, source)) place.opened = null;
  };
}

const connectionKeys = new Set(["store", "url", "schema", "prepare", "token"]);

function sourceOf(connection: Connection): Source {
  checkKeys("configure", connection, connectionKeys);
  const { store, url, schema, prepare, token } = connection;
  if ((store === undefined) === (url === undefined))
    throw new InvalidInput("configure takes either a store or a url; give one of them");
  if (store !== undefined) return { kind: "store", store };
  if (typeof url !== "string" || url === "")
    throw invalid("url", 'url is empty; write configure({ url: "postgres://…" })');
  if (prepare !== undefined) checkFlag("prepare", prepare);
  return { kind: "url", url, schema, prepare, token };
}

/** Ends what `trigger` has opened in this process, so that a script can exit, and forgets what was configured.
 *  The store of a runtime is that runtime's own. May be called twice. */
export async function close(): Promise<void> {
  const place = slot();
  const opened = place.opened;
  place.opened = null;
  place.configured = null;
  await opened?.target.then(
    (target) => target.close(),
    () => undefined,
  ); // what never opened needs no end
}

/** What the functions are bound to: it is asked for its target at each call. */
export type Open = () => Promise<Target>;

/** The target of this call: the runtime that the handler runs in, else what was configured, else the environment's,
 *  else that of `tasker dev`. Opened at most once; after a failure the next call tries again.
 *  @throws {NotConfigured} if none of these is set. @throws {StoreUnavailable} if it does not answer within 10 s. */
export async function target(): Promise<Target> {
  const place = slot();
  const own = place.scope.getStore();
  if (own) return own;
  const source = place.configured ?? locate();
  if (!source) throw new NotConfigured();
  const opened = place.opened;
  if (opened && isSame(opened.source, source)) return opened.target;
  const fresh: Opened = { source, target: open(source) };
  place.opened = fresh;
  fresh.target.catch(() => place.opened === fresh && (place.opened = null));
  // a restarted dev has another address
  if (opened?.source.kind === "url") opened.target.then((old) => old.close()).catch(() => undefined);
  return fresh.target;
}

function isSame(a: Source, b: Source): boolean {
  if (a.kind === "store" || b.kind === "store")
    return a.kind === b.kind && (a as { store?: unknown }).store === (b as { store?: unknown }).store;
  return a.url === b.url && a.schema === b.schema && a.prepare === b.prepare && a.token === b.token;
}

async function open(source: Source): Promise<Target> {
  const { store, target } = await load(source);
  const limit = AbortSignal.timeout(10_000); // a caller waits, so that a database that is away is an error
  try {
    await store.open?.(limit);
    return target;
  } catch (error) {
    // what went wrong first is what people need to hear
    if (source.kind === "url") await store.close().catch(() => undefined);
    if (codeOf(error) === "STORE_UNAVAILABLE" || !limit.aborted) throw error;
    throw new StoreUnavailable(store.name ?? "the store", "no answer within 10s");
  }
}

/** The one arrow from sdk to runtime: late, so that importing tasker costs no driver. */
async function load(source: Source): Promise<{ readonly store: Openable; readonly target: Target }> {
  if (source.kind === "store" && "add" in source.store) return { store: source.store, target: source.store };
  if (source.kind === "url" && /^https?:/i.test(source.url)) {
    const { remote } = await import("../remote/target.ts");
    const server = remote({ url: source.url, token: source.token });
    return { store: server, target: server };
  }
  const { openStore, targetOf } = await import("../../runtime/store/open.ts");
  if (source.kind === "store") return { store: source.store, target: targetOf(source.store as Bare) };
  const { kind: _kind, token: _token, url, ...options } = source;
  const store = await openStore(url, options);
  return { store, target: store };
}
