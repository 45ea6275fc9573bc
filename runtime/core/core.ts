import { humanMs } from "../../sdk/port/duration.ts";
import type { Untimed } from "../../sdk/port/event.ts";
import type { Settings } from "../setting.ts";
import type { Guarded } from "../store/port.ts";
import { StoreClock, type Clock } from "./clock.ts";
import { Bus } from "./event.ts";
import { Health } from "./health.ts";
import { Leases } from "./leases.ts";
import { logged, type Logger } from "./log.ts";
import type { Meter } from "./meter.ts";
import { Registry } from "./registry.ts";
import { Standing } from "./standing.ts";
import { Wake } from "./wake.ts";

/** What the loops of a runtime share: values that they read, and write by their methods. None of them calls a loop. */
export interface Core {
  readonly settings: Settings;
  readonly store: Guarded;
  readonly clock: Clock;
  readonly storeClock: StoreClock;
  readonly logger: Logger;
  readonly health: Health;
  readonly bus: Bus;
  /** Publishes on the bus what happens now. */
  readonly voice: { publish(event: Untimed): void };
  /** Those that measure; mostly none. */
  readonly meters: Set<Meter>;
  readonly registry: Registry;
  readonly standing: Standing;
  readonly leases: Leases;
  /** When each loop looks next: for runs to claim, to beat, for schedules that are due, for housekeeping. */
  readonly claims: Wake;
  readonly beats: Wake;
  readonly ticks: Wake;
  readonly sweeps: Wake;
  /** When history is pruned next. */
  readonly prunes: Wake;
  /** How long a lease is good after its request was sent: less than it lasts, for what is decided just before its end must still get out; ms. */
  readonly goodMs: number;
  /** Aborts when nothing new may start. */
  readonly drain: AbortSignal;
}

export function coreOf(settings: Settings, drain: AbortSignal): Core {
  const { store, clock, logger, leaseMs } = settings;
  const standing = new Standing(clock);
  const ticks = new Wake(clock);
  const storeClock = new StoreClock(clock, (byMs) => {
    const by = humanMs(Math.abs(Math.round(byMs)));
    if (byMs < 0) logger.warn({ by }, "The store's clock was set back; ticks wait until it shows their instants again");
    else logger.warn({ by }, "The store's clock was set forward, or this process was suspended; schedules catch up");
    standing.lapse(); // nobody was up meanwhile
    ticks.tell();
  });
  const goodMs = leaseMs - Math.min(1000, leaseMs / 10);
  const claims = new Wake(clock);
  const bus = new Bus((error) => logger.error({ err: logged(error) }, "A listener of events failed"), store.outlet);
  return {
    ...{ settings, store, clock, storeClock, logger, standing, goodMs, drain, claims, ticks, bus },
    health: new Health(clock, logger, () => storeClock.drop()),
    voice: { publish: (event) => bus.publish({ ...event, at: storeClock.date() }) },
    meters: new Set(),
    registry: new Registry(),
    leases: new Leases({ ...settings, storeClock, standing, claims, goodMs }),
    beats: new Wake(clock),
    sweeps: new Wake(clock),
    prunes: new Wake(clock),
  };
}

/** Whether acts are heard by beats alone, and runs wait here that an act may be about: then beats are more frequent. */
export function listensByBeats({ standing, leases }: Core): boolean {
  return standing.deaf && leases.load().heap > 0;
}

/** A run falls due at `at` (ticks), within two polls: claims it ahead or, where there is no room for that, in time. */
export function expect({ leases, claims }: Core, at: number): void {
  if (leases.room().future) leases.want("poll");
  else claims.by(at);
}
