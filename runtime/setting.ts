/** What a runtime is told, and that with its defaults. */
import { hostname } from "node:os";
import { checkZone } from "../sdk/cron/cron.ts";
import { toMs, type DurationText } from "../sdk/port/duration.ts";
import { InvalidInput } from "../sdk/port/error.ts";
import { checkKeys } from "../sdk/port/option.ts";
import type { JobSpec } from "../sdk/define/spec.ts";
import { systemClock, type Clock } from "./core/clock.ts";
import { guarded, silent, type Logger } from "./core/log.ts";
import type { Store } from "./store/port.ts";

export interface RuntimeOptions {
  /** Belongs to the runtime from now on: it opens it at start and closes it at stop. */
  readonly store: Store;
  readonly jobs?: readonly JobSpec[] | undefined;
  /** Runs at once in this process; 50 by default. */
  readonly slots?: number | undefined;
  /** Runs at once by queue, in this process. */
  readonly queues?: Readonly<Record<string, { readonly concurrency: number }>> | undefined;
  /** Longest wait before looking for due runs again; 1s by default, less than a quarter of `lease`. `silent`: as by default, but a node that
   *  is alone and has nothing to do sends nothing at all, up to an hour, until something falls due or it is told of a run. */
  readonly poll?: DurationText | "silent" | undefined;
  /** How long a claim lasts without being renewed; 15s by default. */
  readonly lease?: DurationText | undefined;
  /** How often, at most, runs of dead processes are taken back; 5s by default. */
  readonly sweep?: DurationText | undefined;
  /** Time that running handlers get at stop, and that a handler keeps its slot after its attempt was ended; 30s by default. */
  readonly grace?: DurationText | undefined;
  /** Crashes of its process before a run fails; 3 by default. */
  readonly crashes?: number | undefined;
  /** How long finished runs are kept: 7d if completed, else 30d, by default. */
  readonly keep?:
    { readonly completed?: DurationText | undefined; readonly other?: DurationText | undefined } | undefined;
  /** Zone of declared schedules that name none; UTC by default. */
  readonly timezone?: string | undefined;
  /** Silent by default. */
  readonly logger?: Logger | undefined;
  /** Application that the jobs belong to, and the version of its code. */
  readonly app?: string | undefined;
  readonly version?: string | undefined;
  /** `host:pid` by default. */
  readonly name?: string | undefined;
  /** The process's own by default; tests pass one that they move. */
  readonly clock?: Clock | undefined;
}

/** Options, checked; durations in ms. */
export interface Settings {
  readonly store: Store;
  readonly jobs: readonly JobSpec[];
  readonly slots: number;
  readonly queues: NonNullable<RuntimeOptions["queues"]>;
  readonly pollMs: number;
  readonly silent: boolean;
  readonly leaseMs: number;
  readonly sweepMs: number;
  readonly graceMs: number;
  readonly maxCrashes: number;
  readonly keep: { readonly completedMs: number; readonly otherMs: number };
  readonly timezone: string;
  readonly logger: Logger;
  readonly info: { readonly app: string; readonly version: string; readonly name: string };
  readonly clock: Clock;
}

const known = new Set([
  ...["store", "jobs", "slots", "queues", "poll", "lease", "sweep", "grace", "crashes", "keep"],
  ...["timezone", "logger", "app", "version", "name", "clock"],
]);

/** @throws {InvalidInput} naming the option that is out of its range */
export function settingsOf(options: RuntimeOptions): Settings {
  checkKeys("createRuntime", options, known);
  const {
    store,
    jobs = [],
    queues = {},
    keep = {},
    app = "app",
    version = "0",
    name = `${hostname()}:${process.pid}`,
  } = options;
  const leaseMs = span("lease", options.lease ?? "15s");
  const isSilent = options.poll === "silent";
  const pollMs = options.poll === "silent" ? Math.min(1000, leaseMs / 5) : span("poll", options.poll ?? "1s");
  // What is leased ahead (two polls) must start well within its lease.
  if (pollMs * 4 >= leaseMs)
    throw new InvalidInput(
      `poll "${options.poll ?? "1s"}" is not less than a quarter of lease "${options.lease ?? "15s"}"`,
      { path: "poll" },
    );
  for (const [queue, { concurrency }] of Object.entries(queues))
    checkCount(`queues.${queue}.concurrency`, concurrency, 1);
  return {
    store,
    jobs,
    queues,
    slots: checkSlots(options.slots ?? 50),
    pollMs,
    silent: isSilent,
    leaseMs,
    sweepMs: span("sweep", options.sweep ?? "5s"),
    graceMs: toMs(options.grace ?? "30s"),
    maxCrashes: checkCount("crashes", options.crashes ?? 3, 1),
    keep: { completedMs: toMs(keep.completed ?? "7d"), otherMs: toMs(keep.other ?? "30d") },
    timezone: checkZone(options.timezone ?? "UTC"),
    logger: guarded(options.logger ?? silent),
    info: { app, version, name },
    clock: options.clock ?? systemClock,
  };
}

function span(path: string, text: DurationText): number {
  const ms = toMs(text);
  if (ms < 1) throw new InvalidInput(`${path} "${text}" is nothing; write a duration from 1ms on`, { path });
  return ms;
}

/** @throws {InvalidInput} unless it is a whole number from 0 on */
export function checkSlots(slots: number): number {
  return checkCount("slots", slots, 0);
}

function checkCount(path: string, count: number, least: number): number {
  if (!Number.isSafeInteger(count) || count < least)
    throw new InvalidInput(`${path} ${String(count)} is not a whole number from ${least} on`, { path });
  return count;
}
