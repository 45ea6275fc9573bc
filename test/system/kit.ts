/** What tests with real processes start with, and how they see that all runs have ended. */
import { onTestFinished } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import type { RunRecord } from "../../sdk/port/target.ts";
import { freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { endWorkers } from "../kit/worker.ts";

/** An empty database, and a store that is open on it. When the test is over, its workers are ended, and both are gone. */
export async function freshStore(): Promise<{ readonly url: string; readonly store: Guarded }> {
  const { url, drop } = await freshDatabase();
  const store = postgres({ url });
  onTestFinished(async () => {
    await endWorkers();
    await store.close();
    await drop();
  });
  await store.open();
  return { url, store };
}

/** Waits until no run is live, a minute by default. */
export async function allEnded(store: Guarded, timeoutMs = 60_000): Promise<void> {
  const status = ["pending", "leased", "running", "waiting"] as const;
  await until(async () => (await store.find.list({ status }, { limit: 1 })).items.length === 0, {
    what: "all runs have ended",
    timeoutMs,
  });
}

/** All runs, live and finished. */
export async function everything(store: Guarded): Promise<readonly RunRecord[]> {
  const found: RunRecord[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await store.find.list({}, { limit: 200, cursor });
    found.push(...page.items);
    if (page.next === null) return found;
    cursor = page.next;
  }
}
