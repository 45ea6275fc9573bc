/** What `dev` and `start` have in common: a runtime, from the first line to the exit code. */
import { toMs } from "../sdk/port/duration.ts";
import { createRuntime, type Logger, type Runtime, type RuntimeOptions } from "../runtime/index.ts";
import type { Served } from "../runtime/http/index.ts";
import type { Settings } from "./config.ts";
import { exit } from "./error.ts";
import { byNpx, watchParent } from "./parent.ts";
import { watch } from "./watch.ts";

/** A runtime for the settings; nothing is opened yet. */
export function runtimeOf(settings: Settings, parts: Pick<RuntimeOptions, "store" | "jobs" | "logger">): Runtime {
  const {
    slots,
    queues,
    poll,
    lease,
    sweep,
    grace,
    crashes,
    steps,
    keep,
    inbox,
    webhooks,
    telemetry,
    timezone,
    app,
    version,
    name,
  } = settings;
  const own = {
    slots,
    queues,
    poll,
    lease,
    sweep,
    grace,
    crashes,
    steps,
    keep,
    webhooks,
    telemetry,
    timezone,
    app,
    version,
  };
  return createRuntime({ ...parts, ...own, inbox: inbox ?? undefined, name: name ?? undefined });
}

export interface Work {
  readonly grace: Settings["grace"];
  readonly logger: Logger;
  /** Starts what the process serves, before the runtime, so that it can tell that it is not ready; it ends as the runtime does. */
  readonly serve?: (() => Promise<Served>) | undefined;
  /** Called once the runtime has started. */
  readonly ready?: () => void;
  /** Called after that; the runtime stops when it resolves. It hears of a signal on `stop`. */
  readonly until?: (stop: AbortSignal) => Promise<number>;
}

/** Starts the runtime, and stops it at the first SIGINT or SIGTERM, or when `until` resolves. Answers the exit code: 0, or what
 *  `until` answered. The end of the npx that started it counts as a signal. A second signal exits at once with 130 or 143, and so does the first if a handler blocks the process; what
 *  hangs past grace + 1 s exits with 1.
 *  @throws whatever `runtime.start()` or `until` throws; the runtime is stopped by then. */
export async function work(runtime: Runtime, { grace, logger, serve, ready, until }: Work): Promise<number> {
  const graceMs = toMs(grace);
  const signals = listen(logger, graceMs);
  let served: Served | undefined;
  const halt = async (): Promise<void> => {
    await Promise.all([served?.close(Math.min(graceMs, longestReply)), runtime.stop({ grace })]);
  };
  try {
    served = await serve?.();
    const started = runtime.start();
    await Promise.race([started, signals.first]); // a database that is away keeps start waiting
    if (!signals.heard.aborted) ready?.();
    const code = signals.heard.aborted
      ? exit.ok
      : await Promise.race([signals.first.then(() => exit.ok), until?.(signals.heard) ?? never]);
    signals.limit();
    started.catch(() => undefined); // stopped before it had started
    await halt();
    return code;
  } catch (error) {
    signals.limit();
    await halt().catch(() => undefined); // the first failure is the one to tell
    throw error;
  } finally {
    signals.end();
  }
}

/** How long a request that is under way may take once the process stops; ms. */
const longestReply = 5000;
const never = new Promise<number>(() => undefined);
const numbers = { SIGINT: 130, SIGTERM: 143 } as const;

interface Signals {
  /** Resolves at the first signal. */
  readonly first: Promise<void>;
  readonly heard: AbortSignal;
  /** From now on the process has grace + 1 s to end by itself. */
  limit(): void;
  end(): void;
}

function listen(logger: Logger, graceMs: number): Signals {
  const heard = new AbortController();
  const guard = watch(graceMs + 500);
  let deadline: NodeJS.Timeout | null = null;
  const limit = (): void => {
    guard.limit(graceMs + 1100);
    deadline ??= setTimeout(() => {
      logger.error({ graceMs }, "Runtime did not stop in time; exiting");
      process.exit(exit.failed);
    }, graceMs + 1000).unref();
  };
  const onSignal = (signal: keyof typeof numbers): void => {
    if (heard.signal.aborted) process.exit(numbers[signal]);
    logger.info({ signal }, "Runtime stopping; a second signal exits now");
    stop();
  };
  const stop = (): void => {
    unwatch(); // Ctrl-C ends npx and its shell, too: that is not a second signal
    limit();
    heard.abort();
  };
  const unwatch = watchParent(byNpx, () => {
    logger.info({}, "Runtime stopping: npx has ended");
    stop();
  });
  for (const signal of Object.keys(numbers) as (keyof typeof numbers)[]) process.on(signal, onSignal);
  return {
    first: new Promise((resolve) => heard.signal.addEventListener("abort", () => resolve(), { once: true })),
    heard: heard.signal,
    limit,
    end() {
      if (deadline) clearTimeout(deadline);
      guard.end();
      unwatch();
      for (const signal of Object.keys(numbers) as (keyof typeof numbers)[]) process.off(signal, onSignal);
    },
  };
}
