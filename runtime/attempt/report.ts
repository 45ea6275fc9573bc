import { humanMs } from "../../sdk/port/duration.ts";
import { count } from "../../sdk/port/histogram.ts";
import { formatId } from "../../sdk/port/id.ts";
import type { Entry } from "../../sdk/port/flow.ts";
import { notesOf } from "../../sdk/port/note.ts";
import type { Progress } from "../../sdk/port/target.ts";
import type { RunEvent } from "../../sdk/port/event.ts";
import { fields, type Leased } from "../core/lease.ts";
import { logged, writes } from "../core/log.ts";
import type { Outcome, Settled } from "../store/port.ts";
import type { Core } from "../core/core.ts";

const canceled: Outcome = { to: "canceled", reason: "user", error: null };

/** Tells of runs: to the log, to the bus, and to the counts that the node reports. Nothing is built for which nobody listens. */
export class Reporter {
  readonly #core: Pick<Core, "logger" | "bus" | "storeClock" | "registry" | "meters">;

  constructor(core: Pick<Core, "logger" | "bus" | "storeClock" | "registry" | "meters">) {
    this.#core = core;
  }

  started(leased: Leased): void {
    if (writes(this.#core.logger, "debug")) this.#core.logger.debug(fields(leased), "Run started");
    if (this.#core.bus.hears("run.started")) this.#publish(leased, { type: "run.started" });
    if (this.#core.meters.size === 0) return;
    const { lease, startedMs } = leased;
    for (const meter of this.#core.meters) meter.started(lease, startedMs! - lease.dueMs);
  }

  progress(leased: Leased, progress: Progress): void {
    if (this.#core.bus.hears("run.progress")) this.#publish(leased, { type: "run.progress", progress });
  }

  /** A workflow that waited goes on. */
  resumed(leased: Leased, reason: string): void {
    if (writes(this.#core.logger, "info")) this.#core.logger.info(fields(leased), `Run goes on (${reason})`);
    if (this.#core.bus.hears("run.resumed")) this.#publish(leased, { type: "run.resumed", reason });
  }

  stepped(leased: Leased, { key: step, data }: Pick<Entry, "key" | "data">): void {
    if (!this.#core.bus.hears("step.completed")) return;
    const durationMs = notesOf({ data }).took ?? 0;
    this.#publish(leased, { type: "step.completed", step, durationMs });
  }

  /** What the store answered to an attempt's outcome. */
  ended(leased: Leased, asked: Outcome, settled: Settled, runMs: number): void {
    if (settled === "lost")
      return this.#core.logger.warn(
        fields(leased),
        "Lease lost: it was not renewed in time, so this result was refused",
      );
    const outcome = settled === "canceled" && asked.to !== "canceled" ? canceled : asked;
    this.#count(leased, outcome, runMs);
    for (const meter of this.#core.meters) meter.ended(leased.lease, outcome, leased.startedMs === null ? null : runMs);
    this.#write(leased, outcome, runMs);
    if (this.#core.bus.hears(types[outcome.to])) this.#publish(leased, { ...eventOf(outcome), durationMs: runMs });
  }

  #publish({ lease, attempt }: Leased, about: Pick<RunEvent, "type"> & Partial<RunEvent>): void {
    const { job, queue, tags } = lease;
    const at = this.#core.storeClock.date();
    this.#core.bus.publish({ at, run: formatId(lease.id), job, queue, tags, attempt, ...about });
  }

  #count({ lease, startedMs }: Leased, outcome: Outcome, runMs: number): void {
    const counts = this.#core.registry.counts(lease.job, lease.queue);
    if (outcome.to === "waiting") return;
    if (outcome.to === "pending") {
      if (outcome.spent) counts.retried++;
      return;
    }
    counts[outcome.to]++;
    if (outcome.to === "canceled") return;
    counts.runMs += runMs;
    count(counts.runs, runMs);
    if (startedMs === null) return;
    counts.waitMs += startedMs - lease.dueMs;
    count(counts.waits, startedMs - lease.dueMs);
  }

  #write(leased: Leased, outcome: Outcome, runMs: number): void {
    const level = levelOf(outcome);
    if (!writes(this.#core.logger, level)) return;
    const error = outcome.to === "completed" ? null : outcome.error;
    const about = { ...fields(leased), duration: humanMs(runMs), ...(error && { err: logged(error) }) };
    this.#core.logger[level](about, messageOf(outcome));
  }
}

function levelOf(outcome: Outcome): "error" | "warn" | "info" {
  switch (outcome.to) {
    case "failed":
      return "error";
    case "pending":
      return outcome.spent ? "warn" : "info";
    case "waiting":
      return outcome.reason === "parked" ? "error" : "info";
    default:
      return "info";
  }
}

function messageOf(outcome: Outcome): string {
  switch (outcome.to) {
    case "completed":
      return outcome.reason === "skipped" ? "Run skipped" : "Run completed";
    case "failed":
      return "Run failed";
    case "canceled":
      return "Run canceled";
    case "pending":
      return outcome.spent
        ? `Run failed, retrying in ${humanMs(outcome.delayMs)}`
        : `Run put off for ${humanMs(outcome.delayMs)}`;
    case "waiting":
      return outcome.reason === "parked" ? "Run parked" : `Run waits (${outcome.reason})`;
    default:
      return outcome satisfies never;
  }
}

const types = {
  completed: "run.completed",
  failed: "run.failed",
  canceled: "run.canceled",
  pending: "run.retrying",
  waiting: "run.waiting",
} as const satisfies Record<Outcome["to"], RunEvent["type"]>;

function eventOf(outcome: Outcome): Pick<RunEvent, "type"> & Partial<RunEvent> {
  const type = types[outcome.to];
  switch (outcome.to) {
    case "completed":
    case "canceled":
      return { type, reason: outcome.reason };
    case "failed":
      return { type, reason: outcome.reason, error: outcome.error };
    case "pending":
      return { type, reason: outcome.outcome, error: outcome.error, retryInMs: outcome.delayMs };
    case "waiting":
      return { type, reason: outcome.reason, ...(outcome.error && { error: outcome.error }) };
    default:
      return outcome satisfies never;
  }
}
