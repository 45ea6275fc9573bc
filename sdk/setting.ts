/** Each setting, described once: checks, defaults, flags, variables, help and the table of docs/configuration.md are made from this. */
import type { Webhook } from "./client/webhook.ts";
import type { Config } from "./client/config.ts";
import { tokensIn, type Tokens } from "./client/token.ts";
import { checkZone } from "./cron/cron.ts";
import { toMs, type DurationText } from "./port/duration.ts";
import { invalid } from "./port/error.ts";
import { isRecord, shown, wrong } from "./port/option.ts";

/** What values a setting takes. */
export interface Kind<T = unknown> {
  /** Ends the sentence `--slots "x" is not …`. */
  readonly wants: string;
  /** Stands for the value in help, unless the setting has a better word. */
  readonly value: string;
  /** The value, from the text of a flag or variable or as it stands in code; undefined if it is not one.
   *  @throws {InvalidInput} if it is not one, and there is more to say about it than `wants` */
  readonly read: (value: unknown) => T | undefined;
}

export interface Setting {
  readonly kind: Kind;
  readonly default: unknown;
  /** The default for people, where the value alone does not tell. */
  readonly usual?: string;
  /** As in help, where the kind's word is not the best. */
  readonly value?: string;
  /** The flag's name, where it is not the key's. */
  readonly flag?: string;
  /** The variable's name, where it is not the key's. */
  readonly variable?: string;
  /** Whom it concerns: every command that opens a database, or only processes that run jobs. */
  readonly for: "database" | "worker";
  readonly about: string;
}

/** Dotted path in `tasker.config.ts`. */
export type SettingKey =
  Exclude<keyof Config, Groups> | { [G in Groups]: `${G}.${keyof NonNullable<Config[G]> & string}` }[Groups];
type Groups = "keep" | "inbox" | "http";

const text: Kind<string> = {
  wants: "a text",
  value: "<text>",
  read: (value) => (typeof value === "string" && value.trim() !== "" ? value : undefined),
};
const toggle: Kind<boolean> = {
  wants: "true or false",
  value: "<boolean>",
  read: (value) => (String(value) === "true" ? true : String(value) === "false" ? false : undefined),
};
const count: Kind<number> = {
  wants: "a whole number from 1 on",
  value: "<n>",
  read: (value) => {
    const number = typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value;
    return Number.isSafeInteger(number) && (number as number) > 0 ? (number as number) : undefined;
  },
};
const atLeast = (leastMs: number): Kind<DurationText> => ({
  wants: 'a duration like "500ms", "30s" or "1h30m"',
  value: "<duration>",
  read: (value) => {
    try {
      return toMs(value as DurationText) >= leastMs ? (value as DurationText) : undefined;
    } catch {
      return undefined; // `wants` says it for all reasons alike
    }
  },
});
const [span, wait] = [atLeast(1), atLeast(0)];
const pace: Kind<DurationText | "silent"> = {
  ...span,
  wants: `${span.wants}, or "silent"`,
  read: (value) => (value === "silent" ? value : span.read(value)),
};
const zone: Kind<string> = {
  wants: "the name of a time zone",
  value: "<zone>",
  read: (value) => checkZone(value),
};
const choice = <const Name extends string>(value: string, ...names: readonly Name[]): Kind<Name> => ({
  wants: `one of ${names.join(", ")}`,
  value,
  read: (given) => names.find((name) => name === given),
});
const listOf = (wants: string, value: string): Kind<readonly string[]> => ({
  wants,
  value,
  read: (value) => {
    const parts = (all: string): readonly string[] => all.split(",").map((item) => item.trim());
    const items: unknown = typeof value === "string" ? parts(value).filter(Boolean) : value;
    return Array.isArray(items) && items.length > 0 && items.every((item) => text.read(item)) ? items : undefined;
  },
});
const list = listOf("a list of folders, files or globs", "<paths>");
const secrets: Kind<Tokens> = {
  wants: "a list of tokens",
  value: "<list>",
  read: (value) => (typeof value === "string" ? tokensIn(value) : (value as Tokens)), // what code gives is checked where it is used
};
const limits: Kind<Readonly<Record<string, { readonly concurrency: number }>>> = {
  wants: 'a list of queues like "mail=5,default=20"',
  value: "<name=n,...>",
  read: (value) => {
    if (typeof value !== "string" && !isRecord(value)) return undefined;
    const pairs = typeof value === "string" ? value.split(",").map((item) => item.split("=")) : entriesOf(value);
    if (!pairs.every(([name, slots]) => String(name).trim() && count.read(String(slots).trim()))) return undefined;
    return Object.fromEntries(pairs.map(([name, slots]) => [String(name).trim(), { concurrency: Number(slots) }]));
  },
};
const hooks: Kind<readonly Webhook[]> = {
  wants: "a list of webhooks in JSON",
  value: "<json>",
  read: (value) => {
    if (typeof value !== "string") return value as readonly Webhook[]; // checked where it is used
    try {
      return JSON.parse(value) as readonly Webhook[];
    } catch {
      throw invalid("webhooks", "webhooks are not JSON"); // without the text, which has secrets
    }
  },
};
function entriesOf(queues: object): readonly (readonly unknown[])[] {
  return Object.entries(queues).map(([name, limit]) => {
    const { concurrency } = (limit ?? {}) as { readonly concurrency?: unknown };
    if (count.read(concurrency)) return [name, concurrency];
    throw invalid("queues", `queues.${name}.concurrency ${shown(concurrency)} is not ${count.wants}`);
  });
}

/** Every setting, in the order of help and docs. */
export const settings = {
  databaseUrl: {
    ...{ kind: text, value: "<url>", default: null, for: "database" },
    about: "Postgres to use; without it, the running `tasker dev` of this folder",
  },
  schema: {
    ...{ kind: text, value: "<name>", default: "tasker", for: "database" },
    about: "Schema that holds tasker's tables",
  },
  prepare: {
    ...{ kind: toggle, default: null, usual: "found out", for: "database" },
    about: "Prepare statements and listen; false behind PgBouncer in transaction mode",
  },
  jobs: {
    ...{ kind: list, default: ["jobs/"], for: "worker" },
    about: "Folders, files or globs of job files, separated by commas",
  },
  slots: { kind: count, default: 50, for: "worker", about: "Runs at once in this process" },
  queues: { kind: limits, default: {}, for: "worker", about: "Runs at once by queue in this process" },
  poll: {
    ...{ kind: pace, default: "1s", for: "worker" },
    about: "Longest wait before looking for due runs again; silent: no statement while there is nothing to do",
  },
  lease: { kind: span, default: "15s", for: "worker", about: "How long a claim lasts without being renewed" },
  sweep: {
    ...{ kind: span, default: "5s", for: "worker" },
    about: "How often, at most, runs of dead processes are taken back",
  },
  grace: { kind: wait, default: "30s", for: "worker", about: "Time that running handlers get at shutdown" },
  crashes: { kind: count, default: 3, for: "worker", about: "Crashes of its process before a run fails" },
  steps: {
    ...{ kind: count, default: 10_000, for: "worker" },
    about: "Steps, sleeps, waits and calls of children of one workflow, at most",
  },
  "keep.completed": { kind: span, default: "7d", for: "worker", about: "How long completed runs are kept" },
  "keep.other": { kind: span, default: "30d", for: "worker", about: "How long failed and canceled runs are kept" },
  "inbox.dir": {
    ...{ kind: text, value: "<folder>", default: null, for: "worker" },
    about: "Folder of JSON files that become runs and schedules",
  },
  "inbox.pattern": {
    ...{ kind: text, value: "<glob>", default: "*.{json,jsonl,ndjson}", for: "worker" },
    about: "Names of the files there to load, or with a / their paths",
  },
  "inbox.recursive": { kind: toggle, default: false, for: "worker", about: "Also look into the folders below" },
  "inbox.watch": { kind: toggle, default: true, for: "worker", about: "Also load files that come after the start" },
  "inbox.after": {
    ...{ kind: choice("<act>", "archive", "delete", "keep"), default: "archive", for: "worker" },
    about: "What becomes of a loaded file: archive, delete or keep",
  },
  "inbox.archiveDir": {
    ...{ kind: text, value: "<folder>", default: "archive", for: "worker" },
    about: "Where loaded files go, relative to inbox.dir",
  },
  "inbox.errorDir": {
    ...{ kind: text, value: "<folder>", default: "errors", for: "worker" },
    about: "Where refused files go, relative to inbox.dir, each beside a text that says why",
  },
  webhooks: {
    ...{ kind: hooks, default: [], for: "worker" },
    about: "Where events of runs are posted to, signed",
  },
  "http.listen": {
    ...{ kind: text, value: "<[host:]port>", flag: "http", default: null, for: "worker" },
    usual: "none, and for dev 127.0.0.1:4747 or the next free port",
    about: "Serve the HTTP API on [HOST:]PORT",
  },
  "http.tokens": {
    ...{ kind: secrets, default: null, variable: "TASKER_TOKENS", for: "worker" },
    about: "Who may use it: name:role:secret, `@path` of a file, or none for anybody on loopback",
  },
  "http.hosts": {
    ...{ kind: listOf("a list of host names", "<names>"), default: [], for: "worker" },
    about: "Names under which it is reached, beside localhost, separated by commas",
  },
  "http.cors": {
    ...{ kind: listOf("a list of origins", "<origins>"), default: [], for: "worker" },
    about: "Origins whose pages may call it, exact, separated by commas",
  },
  timezone: {
    ...{ kind: zone, default: "UTC", for: "worker" },
    about: "Zone of cron schedules that name none, like Europe/Paris",
  },
  logLevel: {
    ...{ kind: choice("<level>", "debug", "info", "warn", "error", "silent"), default: "info", for: "worker" },
    about: "Least level that is logged: debug, info, warn, error, silent",
  },
  logFormat: {
    ...{ kind: choice("<format>", "pretty", "json"), default: null, for: "worker" },
    usual: "pretty on a terminal and for dev, else json",
    about: "pretty or json",
  },
  telemetry: {
    kind: toggle,
    default: false,
    for: "worker",
    about: "Make OpenTelemetry spans of triggers, attempts and steps",
  },
  app: {
    ...{ kind: text, value: "<name>", default: "app", for: "worker" },
    about: "Application that the jobs belong to",
  },
  version: {
    ...{ kind: text, flag: "app-version", default: "0", for: "worker" },
    about: "Version of the application's code",
  },
  name: {
    ...{ kind: text, value: "<name>", default: null, usual: "host:pid", for: "worker" },
    about: "Name of this process among the nodes",
  },
} as const satisfies Record<SettingKey, Setting>;

/** What a setting is, once it was read. */
export type Value<K extends SettingKey> = (typeof settings)[K]["kind"] extends Kind<infer T> ? T : never;

/** Checks the value of a setting that code gives.
 *  @throws {InvalidInput} naming the setting */
export function checkSetting<K extends SettingKey>(key: K, value: unknown): Value<K> {
  const { read, wants }: Kind = settings[key].kind;
  const checked = read(value);
  if (checked !== undefined) return checked as Value<K>; // its kind read it
  throw wrong(key, value, `is not ${wants}`);
}
