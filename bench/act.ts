import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { now, type Contender, type Payload, type Place, type Session } from "./contender.ts";
import { quantile } from "./number.ts";
import { tally, type Counted, type Keep, type Spread, type Tally } from "./tally.ts";

/** How long a stretch of adding took, by `now()`; how long single calls took, ms. */
export interface Added {
  readonly count: number;
  readonly fromMs: number;
  readonly toMs: number;
  readonly p50: number;
  readonly p99: number;
}

/** What a process of the harness does when it is told to; each answer crosses to the parent. */
export interface Acts {
  open(call: { readonly file: string; readonly variant: string | null; readonly place: Place }): Promise<void>;
  install(): Promise<void>;
  /** Callers that each await their own add: `count` in all, or for `forMs`. Ids go up from `from`. */
  add(call: {
    readonly from: number;
    readonly callers: number;
    readonly count?: number;
    readonly forMs?: number;
  }): Promise<Added>;
  /** Adds in bulk, shared among callers. */
  bulk(call: { readonly from: number; readonly count: number; readonly callers: number }): Promise<Added>;
  /** Adds one each `everyMs`, waiting for none. Ids go up from `from`. */
  pace(call: { readonly from: number; readonly count: number; readonly everyMs: number }): Promise<void>;
  /** Adds jobs that fall due over `spreadMs`, the first in `leadMs`. */
  later(call: { readonly count: number; readonly leadMs: number; readonly spreadMs: number }): Promise<void>;
  work(call: { readonly keep: Keep; readonly report: boolean }): Promise<void>;
  counted(): Promise<Counted>;
  spread(call: { readonly fromMs: number; readonly toMs: number }): Promise<Spread>;
  /** MB of this process: now, and at most. */
  memory(): Promise<{ readonly rss: number; readonly peak: number }>;
  close(): Promise<void>;
}

/** @param report hears how far the worker is, each 10 ms while it moves */
export function acts(report: (counted: Counted) => void): Acts {
  let session: Session | null = null;
  let counts: Tally = tally("none");
  const need = (): Session => {
    if (!session) throw new Error("nothing is open");
    return session;
  };
  return {
    async open({ file, variant, place }) {
      const { open } = (await import(new URL(`contenders/${file}.js`, import.meta.url).href)) as Contender;
      session = await open(place, variant);
    },
    install: () => need().install(),
    add: (call) => add(need(), call),
    bulk: (call) => bulk(need(), call),
    pace: (call) => pace(need(), call),
    later: (call) => later(need(), call),
    async work({ keep, report: wanted }) {
      counts = tally(keep);
      if (wanted) watch(() => counts.counted(), report);
      await need().work(counts.handle);
    },
    counted: async () => counts.counted(),
    spread: async ({ fromMs, toMs }) => counts.spread(fromMs, toMs),
    memory: async () => ({ rss: process.memoryUsage.rss() / 1e6, peak: process.resourceUsage().maxRSS / 1e3 }),
    close: async () => session?.close(),
  };
}

function watch(counted: () => Counted, report: (counted: Counted) => void): void {
  let said = 0;
  setInterval(() => {
    const state = counted();
    if (state.count === said) return;
    said = state.count;
    report(state);
  }, 10).unref();
}

function payload(id: number, t: number): Payload {
  return { id, to: "someone@example.com", t };
}

async function add(
  session: Session,
  { from, callers, count = Infinity, forMs = Infinity }: Parameters<Acts["add"]>[0],
): Promise<Added> {
  const waits: number[] = [];
  const fromMs = now();
  let next = 0;
  let turning: Promise<void> | null = null;
  const caller = async (): Promise<void> => {
    for (let calledMs = now(); next < count && calledMs - fromMs < forMs;) {
      await session.add(payload(from + next++, calledMs));
      waits.push(now() - calledMs);
      // a store in memory answers at once, and would let nothing else run
      if (next % 256 === 0) turning ??= turn().then(() => void (turning = null));
      if (turning) await turning;
      calledMs = now();
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { count: next, fromMs, toMs: now(), p50: quantile(waits, 0.5), p99: quantile(waits, 0.99) };
}

async function bulk(session: Session, { from, count, callers }: Parameters<Acts["bulk"]>[0]): Promise<Added> {
  const share = Math.ceil(count / callers);
  const parts = Array.from({ length: callers }, (_, part) =>
    Array.from({ length: Math.min(share, count - part * share) }, (_, i) => payload(from + part * share + i, now())),
  );
  const fromMs = now();
  await Promise.all(parts.map((part) => session.addMany(part)));
  return { count, fromMs, toMs: now(), p50: Number.NaN, p99: Number.NaN };
}

async function pace(session: Session, { from, count, everyMs }: Parameters<Acts["pace"]>[0]): Promise<void> {
  const adding: Promise<unknown>[] = [];
  for (let i = 0; i < count; i++) {
    adding.push(session.add(payload(from + i, now())));
    await sleep(everyMs);
  }
  await Promise.all(adding);
}

async function later(session: Session, { count, leadMs, spreadMs }: Parameters<Acts["later"]>[0]): Promise<void> {
  if (!session.addAt) throw new Error("it can't delay jobs");
  const first = Date.now() + leadMs;
  await session.addAt(
    Array.from({ length: count }, (_, id) => payload(id, Math.floor(first + (id * spreadMs) / count))),
  );
  if (spreadMs > 0 && Date.now() > first) throw new Error("adding took longer than the first delay");
}
