/** The engine: what a process starts to run jobs. */
import type { Embedded, EmbeddedOptions } from "./store/admin.ts";

export { createRuntime, type Runtime, type RuntimeState, type RuntimeStats } from "./runtime.ts";
export { Bus, type Subscription } from "./core/event.ts";
export type {
  Event,
  Filter,
  Gap,
  NodeEvent,
  PurgeEvent,
  QueueEvent,
  RunEvent,
  ScheduleEvent,
} from "../sdk/port/event.ts";
export type { Alarm, Clock } from "./core/clock.ts";
export type { Logger } from "./core/log.ts";
export type { Counted, Meter } from "./core/meter.ts";
export type { InboxCounts } from "./inbox/inbox.ts";
export type { Ear, Outlet } from "./store/outlet.ts";
export type { RuntimeOptions } from "./setting.ts";
export { openStore, type OpenOptions } from "./store/open.ts";
export { memory, type MemoryOptions } from "./store/memory/index.ts";
export { postgres, type PostgresOptions } from "./store/postgres/index.ts";
export type * from "./store/port.ts";
export type { Openable } from "../sdk/client/source.ts";
export type { DeclaredSchedule, HookSpecs, JobSpec, MiddlewareSpec, ServiceSpec } from "../sdk/define/spec.ts";
export type { RetryFunction, RetryPolicy } from "../sdk/define/retry.ts";
export type { Wire } from "../sdk/port/codec.ts";
export type * from "../sdk/port/feed.ts";
export type * from "../sdk/port/flow.ts";
export type { Histogram } from "../sdk/port/histogram.ts";
export type * from "../sdk/port/target.ts";
export type { Embedded, EmbeddedOptions };

/** Starts the PostgreSQL server of a project, or joins the one that already runs there; see `EmbeddedOptions` and `Embedded`.
 *  @throws {StoreUnusable} no binaries, data of another major, or a server that does not start, with the end of its log */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const admin = await import("./store/admin.ts"); // late: most processes are given a server's URL
  return admin.startEmbedded(options);
}
