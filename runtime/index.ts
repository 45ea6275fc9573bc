/** The engine: what a process starts to run jobs. */
export { createRuntime, type Runtime, type RuntimeState, type RuntimeStats } from "./runtime.ts";
export {
  Bus,
  type Event,
  type Filter,
  type Gap,
  type NodeEvent,
  type RunEvent,
  type ScheduleEvent,
  type Subscription,
} from "./event.ts";
export type { Alarm, Clock } from "./clock.ts";
export type { Logger } from "./log.ts";
export type { RuntimeOptions } from "./setting.ts";
export { openStore, type OpenOptions } from "./store/open.ts";
export { memory, type MemoryOptions } from "./store/memory.ts";
export { postgres, type PostgresOptions } from "./store/postgres/index.ts";
export type * from "./store/store.ts";
export { startEmbedded, type Embedded, type EmbeddedOptions } from "./store/postgres/embedded.ts";
