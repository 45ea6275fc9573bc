/** What a runtime is told, and that with its defaults. */
import { hostname } from "node:os";
import { resolve, sep } from "node:path";
import type { Config } from "../sdk/client/config.ts";
import { toMs, type DurationText } from "../sdk/port/duration.ts";
import { invalid } from "../sdk/port/error.ts";
import { checkKeys, checkWhole, isList } from "../sdk/port/option.ts";
import type { JobSpec } from "../sdk/define/spec.ts";
import { checkSetting, settings, type SettingKey, type Value } from "../sdk/setting.ts";
import { systemClock, type Clock } from "./core/clock.ts";
import { guarded, silent, type Logger } from "./core/log.ts";
import { hooksOf, type Hook } from "./webhook/hook.ts";
import { deliveries } from "./webhook/job.ts";
import { guard } from "./store/guard.ts";
import type { Guarded, NodeInfo, Store } from "./store/port.ts";

/** The settings of a runtime, with what only code can give. */
export interface RuntimeOptions extends Pick<Config, Own> {
  /** Belongs to the runtime from now on: it opens it at start and closes it at stop. */
  readonly store: Store;
  readonly jobs?: readonly JobSpec[] | undefined;
  /** Silent by default. */
  readonly logger?: Logger | undefined;
  /** The process's own by default; tests pass one that they move. */
  readonly clock?: Clock | undefined;
}

const own = [
  ...(["slots", "queues", "poll", "lease", "sweep", "grace", "crashes", "steps", "keep", "telemetry"] as const),
  ...(["inbox", "webhooks", "timezone"] as const),
  ...(["app", "version", "name"] as const),
] as const;
type Own = (typeof own)[number];

/** Options, checked; durations in ms. */
export interface Settings {
  readonly store: Guarded;
  readonly jobs: readonly JobSpec[];
  readonly slots: number;
  readonly queues: NonNullable<RuntimeOptions["queues"]>;
  readonly pollMs: number;
  readonly silent: boolean;
  readonly leaseMs: number;
  readonly sweepMs: number;
  readonly graceMs: number;
  readonly maxCrashes: number;
  readonly maxSteps: number;
  readonly keep: { readonly completedMs: number; readonly otherMs: number };
  readonly inbox: InboxSettings | null;
  readonly hooks: readonly Hook[];
  readonly timezone: string;
  readonly telemetry: boolean;
  readonly logger: Logger;
  readonly info: NodeInfo;
  readonly clock: Clock;
}

const known = new Set<string>([...own, "store", "jobs", "logger", "clock"]);

/** Folders are whole. */
export interface InboxSettings {
  readonly dir: string;
  readonly pattern: string;
  readonly recursive: boolean;
  readonly watch: boolean;
  readonly after: "archive" | "delete" | "keep";
  readonly archiveDir: string;
  readonly errorDir: string;
}

/** @throws {InvalidInput} naming the option that is out of its range */
export function settingsOf(options: RuntimeOptions): Settings {
  checkKeys("createRuntime", options, known);
  const { store, jobs = [], slots = settings.slots.default, keep } = options;
  const ms = (key: SettingKey, given: unknown): number => toMs(valueOf(key, given) as DurationText);
  if (!isList(jobs)) throw invalid("jobs", "jobs are not a list; write jobs: [hello]");
  const [leaseMs, poll] = [ms("lease", options.lease), valueOf("poll", options.poll)];
  const pollMs = poll === "silent" ? Math.min(1000, leaseMs / 5) : toMs(poll);
  // What is leased ahead (two polls) must start well within its lease.
  if (pollMs * 4 >= leaseMs)
    throw invalid(
      "poll",
      `poll "${poll}" is not less than a quarter of lease "${options.lease ?? settings.lease.default}"`,
    );
  const queues = valueOf("queues", options.queues);
  const hooks = hooksOf(options.webhooks ?? []);
  return {
    ...{
      store: guard(store),
      jobs: hooks.length > 0 ? [...jobs, deliveries(hooks)] : jobs,
      slots: checkSlots(slots),
      queues,
    },
    ...{ pollMs, silent: poll === "silent", leaseMs, sweepMs: ms("sweep", options.sweep) },
    graceMs: ms("grace", options.grace),
    maxCrashes: valueOf("crashes", options.crashes),
    maxSteps: valueOf("steps", options.steps),
    keep: { completedMs: ms("keep.completed", keep?.completed), otherMs: ms("keep.other", keep?.other) },
    inbox: options.inbox === undefined ? null : inboxOf(options.inbox),
    hooks,
    timezone: valueOf("timezone", options.timezone),
    telemetry: valueOf("telemetry", options.telemetry),
    logger: guarded(options.logger ?? silent),
    info: {
      app: valueOf("app", options.app),
      version: valueOf("version", options.version),
      name: valueOf("name", options.name ?? `${hostname()}:${process.pid}`),
      limits: Object.fromEntries(Object.entries(queues).map(([queue, { concurrency }]) => [queue, concurrency])),
    },
    clock: options.clock ?? systemClock,
  };
}

const inboxKeys = ["dir", "pattern", "recursive", "watch", "after", "archiveDir", "errorDir"] as const;

function inboxOf(given: NonNullable<RuntimeOptions["inbox"]>): InboxSettings {
  checkKeys("inbox", given, new Set<string>(inboxKeys));
  if (given.dir === undefined) throw invalid("inbox.dir", 'inbox has no dir; write inbox: { dir: "inbox" }');
  const read = inboxKeys.map((key) => [key, valueOf(`inbox.${key}`, given[key])] as const);
  const { dir, archiveDir, errorDir, ...rest } = Object.fromEntries(read) as unknown as InboxSettings; // each has its kind
  const root = resolve(dir);
  const folders = { archiveDir: resolve(root, archiveDir), errorDir: resolve(root, errorDir) };
  for (const [key, folder] of Object.entries(folders))
    if (root === folder || root.startsWith(folder + sep))
      throw invalid(
        `inbox.${key}`,
        `inbox.${key} "${folder}" is inbox.dir or above it; name a folder in it or beside it`,
      );
  return { ...rest, dir: root, ...folders };
}

/** What was given, checked, or the default. */
function valueOf<K extends SettingKey>(key: K, given: unknown): Value<K> {
  return checkSetting(key, given ?? settings[key].default);
}

/** @throws {InvalidInput} unless it is a whole number from 0 on */
export function checkSlots(slots: number): number {
  return checkWhole("slots", slots, 0);
}
