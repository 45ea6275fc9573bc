/** Metrics for Prometheus. */
import { collectDefaultMetrics, Registry } from "prom-client";
import { target, type Open } from "../../sdk/client/config.ts";
import { slot } from "../../sdk/client/scope.ts";
import { InvalidInput } from "../../sdk/port/error.ts";
import { checkKeys, isRecord, wrong } from "../../sdk/port/option.ts";
import type { Target } from "../../sdk/port/target.ts";
import type { Runtime } from "../runtime.ts";
import { Counter } from "./counter.ts";
import { busyness, depths } from "./gauge.ts";

/** A `Registry` of prom-client, of any version. */
export interface Register {
  registerMetric(metric: never): void;
  removeSingleMetric(name: string): void;
  metrics(): Promise<string>;
  readonly contentType: string;
}

export interface MetricsOptions<R extends Register = Register> {
  /** Where the metrics go, beside others; a register of their own by default. */
  readonly register?: R | undefined;
  /** Also the process's own: CPU, memory, garbage collection, event loop, as prom-client names them. False by default. */
  readonly process?: boolean | undefined;
  /** Also what the store says: queues and nodes. True by default; false where another process shows it. */
  readonly store?: boolean | undefined;
}

/** Metrics that are counted, and read at a scrape. */
export interface Metrics<R extends Register = Register> {
  readonly register: R;
  /** Of the text, for the header `Content-Type`. */
  readonly contentType: string;
  /** All that the register has, in the format of Prometheus. */
  text(): Promise<string>;
  /** Counts no more, and takes the metrics out of the register. */
  close(): void;
}

const optionKeys = new Set(["register", "process", "store"]);

/** Counts from now on what a runtime does; or, of a store or what opens one, what this process adds and what the store says; without a source, of where
 *  `trigger` of this process goes.
 *  @throws {InvalidInput} for another source, and for a register that has tasker's metrics already */
export function metrics<R extends Register = Register>(
  source?: Runtime | Target | Open,
  options: MetricsOptions<R> = {},
): Metrics<R> {
  checkKeys("metrics", options, optionKeys);
  const open = openOf(source);
  const { register = new Registry() as Register as R, store = true } = options;
  const runtime = source !== undefined && "measure" in source ? source : null; // `openOf` has looked at it
  const counter = new Counter();
  const busy = runtime && busyness(runtime);
  const families = [
    ...counter.adding,
    ...(runtime && busy ? [...counter.running(() => runtime.jobs()), ...busy.families] : []),
    ...(store ? depths(open) : []),
    ...(options.process ? ofProcess() : []),
  ];
  const ends = [enter(register, families), counting(counter)];
  if (runtime) ends.push(runtime.measure(counter));
  if (busy) ends.push(busy.start());
  return {
    register,
    get contentType() {
      return register.contentType;
    },
    text: () => register.metrics(),
    close: () => ends.forEach((end) => end()),
  };
}

/** @throws {InvalidInput} for what is neither a runtime nor a store */
function openOf(source: Runtime | Target | Open = target): Open {
  if (typeof source === "function") return source;
  const to = isRecord(source) && "measure" in source ? source.store : source;
  if (isRecord(to) && "find" in to) return async () => to;
  throw wrong("source", source, "is neither a runtime nor a store; write metrics(runtime)");
}

function counting({ counting: count }: Counter): () => void {
  const { counting: all } = slot();
  all.add(count);
  return () => void all.delete(count);
}

/** Reading these ends a process now and then, for they use what is private in Node; and sums must not be named as counters are. */
const unwanted = /^nodejs_active_(handles|requests|resources_total)/;

/** What prom-client measures of a process. */
function ofProcess(): readonly Named[] {
  const register = new Registry();
  collectDefaultMetrics({ register });
  return register.getMetricsAsArray().filter(({ name }) => !unwanted.test(name));
}

interface Named {
  readonly name: string;
}

/** Puts metrics into a register; the answer takes them out.
 *  @throws {InvalidInput} if it has one of that name; then none is in */
function enter(register: Register, families: readonly Named[]): () => void {
  const entered: string[] = [];
  const leave = (): void => entered.forEach((name) => register.removeSingleMetric(name));
  for (const family of families) {
    const { name } = family;
    try {
      register.registerMetric(family as never);
    } catch (cause) {
      leave();
      const problem = `the register has a metric "${name}" already`;
      throw new InvalidInput(`${problem}; give each runtime a register of its own, or close() what is there`, {
        cause,
      });
    }
    entered.push(name);
  }
  return leave;
}
