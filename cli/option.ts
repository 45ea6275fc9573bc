import { checkZone } from "../sdk/cron/cron.ts";
import { toMs, type DurationText } from "../sdk/port/duration.ts";

/** What values a key takes. */
export interface Kind {
  /** Ends the sentence `--slots "x" is not …`. */
  readonly wants: string;
  /** The value, from the text of a flag or variable or as it stands in a config file; undefined if it is none.
   *  @throws {InvalidInput} if it is none, and there is more to say about it than `wants` */
  readonly read: (value: unknown) => unknown;
}

/** A key of the configuration. Help, merging and the table in docs/configuration.md are all made from these. */
export interface Option {
  /** Dotted path in `tasker.config.ts`. */
  readonly key: string;
  /** As in help: `--slots <n>`. */
  readonly flag: string;
  readonly variable: string;
  /** As in the docs; null: none. */
  readonly default: string | null;
  readonly about: string;
  /** Whom it concerns: every command that opens a database, or only processes that run jobs. */
  readonly for: "database" | "worker";
  readonly kind: Kind;
}

const text: Kind = {
  wants: "a text",
  read: (value) => (typeof value === "string" && value.trim() !== "" ? value : undefined),
};
const count: Kind = {
  wants: "a whole number from 1 on",
  read: (value) => {
    const number = typeof value === "string" && /^\d{1,9}$/.test(value) ? Number(value) : value;
    return Number.isInteger(number) && (number as number) > 0 ? number : undefined;
  },
};
const span: Kind = {
  wants: 'a duration like "500ms", "30s" or "1h30m"',
  read: (value) => {
    try {
      return toMs(value as DurationText) > 0 ? value : undefined;
    } catch {
      return undefined; // `wants` says it for all reasons alike
    }
  },
};
const pace: Kind = {
  wants: `${span.wants}, or "silent"`,
  read: (value) => (value === "silent" ? value : span.read(value)),
};
const zone: Kind = { wants: "the name of a time zone", read: checkZone };
const choice = (...names: readonly string[]): Kind => ({
  wants: `one of ${names.join(", ")}`,
  read: (value) => (names.includes(value as string) ? value : undefined),
});
const list: Kind = {
  wants: "a list of folders, files or globs",
  read: (value) => {
    const items =
      typeof value === "string"
        ? value
            .split(",")
            .map((item) => item.trim())
            .filter(Boolean)
        : value;
    return Array.isArray(items) && items.length > 0 && items.every((item) => text.read(item)) ? items : undefined;
  },
};
/** `mail=5,default=20`, or `{ mail: { concurrency: 5 } }`. */
const limits: Kind = {
  wants: 'a list of queues like "mail=5,default=20"',
  read: (value) => {
    const pairs = typeof value === "string" ? value.split(",").map((item) => item.split("=")) : entries(value);
    if (!pairs?.every(([name, slots]) => String(name).trim() && /^[1-9]\d{0,5}$/.test(String(slots).trim())))
      return undefined;
    return Object.fromEntries(pairs.map(([name, slots]) => [String(name).trim(), { concurrency: Number(slots) }]));
  },
};
function entries(value: unknown): readonly (readonly unknown[])[] | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  return Object.entries(value).map(([name, limit]) => [name, (limit as { concurrency?: unknown } | null)?.concurrency]);
}

/** Every key, in the order of the docs. */
export const options: readonly Option[] = [
  {
    key: "databaseUrl",
    flag: "--database-url <url>",
    variable: "TASKER_DATABASE_URL",
    default: null,
    for: "database",
    kind: text,
    about: "Postgres to use; without it, the running `tasker dev` of this folder",
  },
  {
    key: "schema",
    flag: "--schema <name>",
    variable: "TASKER_SCHEMA",
    default: "tasker",
    for: "database",
    kind: text,
    about: "Schema that holds tasker's tables",
  },
  {
    key: "jobs",
    flag: "--jobs <paths>",
    variable: "TASKER_JOBS",
    default: "jobs/",
    for: "worker",
    kind: list,
    about: "Folders, files or globs of job files, separated by commas",
  },
  {
    key: "slots",
    flag: "--slots <n>",
    variable: "TASKER_SLOTS",
    default: "50",
    for: "worker",
    kind: count,
    about: "Runs at once in this process",
  },
  {
    key: "queues",
    flag: "--queues <limits>",
    variable: "TASKER_QUEUES",
    default: null,
    for: "worker",
    kind: limits,
    about: "Runs at once by queue in this process, like mail=5,default=20",
  },
  {
    key: "poll",
    flag: "--poll <duration>",
    variable: "TASKER_POLL",
    default: "1s",
    for: "worker",
    kind: pace,
    about: "Longest wait before looking for due runs again; silent: no statement while there is nothing to do",
  },
  {
    key: "lease",
    flag: "--lease <duration>",
    variable: "TASKER_LEASE",
    default: "15s",
    for: "worker",
    kind: span,
    about: "How long a claim lasts without being renewed",
  },
  {
    key: "sweep",
    flag: "--sweep <duration>",
    variable: "TASKER_SWEEP",
    default: "5s",
    for: "worker",
    kind: span,
    about: "How often, at most, runs of dead processes are taken back",
  },
  {
    key: "grace",
    flag: "--grace <duration>",
    variable: "TASKER_GRACE",
    default: "30s",
    for: "worker",
    kind: span,
    about: "Time that running handlers get at shutdown",
  },
  {
    key: "crashes",
    flag: "--crashes <n>",
    variable: "TASKER_CRASHES",
    default: "3",
    for: "worker",
    kind: count,
    about: "Crashes of its process before a run fails",
  },
  {
    key: "keep.completed",
    flag: "--keep-completed <duration>",
    variable: "TASKER_KEEP_COMPLETED",
    default: "7d",
    for: "worker",
    kind: span,
    about: "How long completed runs are kept",
  },
  {
    key: "keep.other",
    flag: "--keep-other <duration>",
    variable: "TASKER_KEEP_OTHER",
    default: "30d",
    for: "worker",
    kind: span,
    about: "How long failed and canceled runs are kept",
  },
  {
    key: "timezone",
    flag: "--timezone <zone>",
    variable: "TASKER_TIMEZONE",
    default: "UTC",
    for: "worker",
    kind: zone,
    about: "Zone of cron schedules that name none, like Europe/Paris",
  },
  {
    key: "logLevel",
    flag: "--log-level <level>",
    variable: "TASKER_LOG_LEVEL",
    default: "info",
    for: "worker",
    kind: choice("debug", "info", "warn", "error", "silent"),
    about: "Least level that is logged: debug, info, warn, error, silent",
  },
  {
    key: "logFormat",
    flag: "--log-format <format>",
    variable: "TASKER_LOG_FORMAT",
    default: "pretty on a terminal and for dev, else json",
    for: "worker",
    kind: choice("pretty", "json"),
    about: "pretty or json",
  },
  {
    key: "app",
    flag: "--app <name>",
    variable: "TASKER_APP",
    default: "app",
    for: "worker",
    kind: text,
    about: "Application that the jobs belong to",
  },
  {
    key: "version",
    flag: "--app-version <text>",
    variable: "TASKER_VERSION",
    default: "0",
    for: "worker",
    kind: text,
    about: "Version of the application's code",
  },
  {
    key: "name",
    flag: "--name <name>",
    variable: "TASKER_NAME",
    default: "host:pid",
    for: "worker",
    kind: text,
    about: "Name of this process among the nodes",
  },
];

/** The flag's name alone: `database-url`. */
export function flagName(option: { readonly flag: string }): string {
  return /--([a-z-]+)/.exec(option.flag)![1]!;
}
