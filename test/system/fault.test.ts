/** What the engine promises when processes die, stop and come back: with real ones, on a real database. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { startEmbedded } from "../../runtime/store/postgres/embedded.ts";
import type { Store } from "../../runtime/store/store.ts";
import { formatId } from "../../sdk/id.ts";
import type { RunRecord } from "../../sdk/target.ts";
import { aRun, wire } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";
import { startProxy } from "../kit/proxy.ts";
import { until } from "../kit/until.ts";
import { endWorkers, startWorker, type Worker } from "../kit/worker.ts";

let database: Database;
let store: Store;
beforeEach(async () => {
  database = await freshDatabase();
  store = postgres({ url: database.url });
  await store.open();
});
afterEach(async () => {
  await endWorkers();
  await store.close();
  await database.drop();
});

async function add(job: string, count: number, payload: object = {}): Promise<readonly number[]> {
  const answers = await store.add(Array.from({ length: count }, () => aRun({ job, input: wire(payload) })));
  return answers.map((answer) => (answer as { id: number }).id);
}

async function everything(from: Store): Promise<readonly RunRecord[]> {
  const found: RunRecord[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await from.find.list({}, { limit: 200, cursor });
    found.push(...page.items);
    if (page.next === null) return found;
    cursor = page.next;
  }
}

async function ended(from: Store, timeoutMs: number): Promise<void> {
  const live = ["pending", "leased", "running"] as const;
  await until(async () => (await from.find.list({ status: live }, { limit: 1 })).items.length === 0, {
    what: "all runs have ended",
    timeoutMs,
  });
}

async function allEnded(count: number): Promise<readonly RunRecord[]> {
  await ended(store, 60_000);
  const runs = await everything(store);
  expect(runs).toHaveLength(count);
  return runs;
}

const startsOf = (worker: Worker) => worker.ledger().filter((entry) => entry.event === "start");

for (const [job, payload, after] of [
  ["work", { ms: 300 }, "completed"],
  ["heed", { ms: 60_000 }, "pending"],
  ["work", { ms: 60_000 }, "leased or running"],
  ["loop", {}, "leased or running"],
] as const) {
  test(`SIGTERM ends a process whose handler is "${job}" ${JSON.stringify(payload)} within grace + 1 s`, async () => {
    const worker = await startWorker(database.url, ["--grace", "2s"]);
    const [id] = await add(job, 1, payload);
    await until(() => startsOf(worker).length === 1, { what: "the handler has started" });

    const sentAt = Date.now();
    worker.kill("SIGTERM");
    const { code, at } = await worker.exited;

    expect(at - sentAt).toBeLessThan(3000 + 500); // half a second for a loaded machine to notice
    if (job !== "loop") expect(code).toBe(0);
    const { status } = (await store.find.get(id!))!;
    expect(after).toContain(status);
  });
}

test(
  "kill -9 among 1,000 runs: all complete, and the killed process's start elsewhere within 20 s",
  { timeout: 90_000 },
  async () => {
    const [victim, other] = await Promise.all([
      startWorker(database.url, ["--slots", "20"]),
      startWorker(database.url, ["--slots", "20"]),
    ]);
    await add("work", 1000, { ms: 50 });
    await until(() => startsOf(victim).length >= 100, { what: "the victim is in the middle of it" });

    const killedAt = Date.now();
    victim.kill("SIGKILL");
    await victim.exited;
    const runs = await allEnded(1000);

    expect(runs.filter((run) => run.status !== "completed")).toEqual([]);
    const ended = new Set(
      victim
        .ledger()
        .filter((entry) => entry.event === "end")
        .map((entry) => entry.run),
    );
    const orphans = startsOf(victim).filter((entry) => !ended.has(entry.run));
    expect(orphans.length).toBeGreaterThan(0); // else nothing was shown
    const again = new Map(startsOf(other).map((entry) => [entry.run, entry.at]));
    for (const { run } of orphans) expect(again.get(run)! - killedAt).toBeLessThan(20_000);
  },
);

test(
  "SIGSTOP for two leases: runs go to another process, and the stale results are refused",
  { timeout: 90_000 },
  async () => {
    const quick = ["--lease", "2s", "--poll", "300ms", "--sweep", "500ms", "--slots", "10"];
    const sleeper = await startWorker(database.url, quick);
    await add("work", 10, { ms: 1500 });
    await until(() => startsOf(sleeper).length === 10, { what: "all ten run in the first process" });

    sleeper.kill("SIGSTOP");
    const other = await startWorker(database.url, quick);
    await until(() => startsOf(other).length === 10, { what: "all ten run in the second process", timeoutMs: 30_000 });
    sleeper.kill("SIGCONT");
    const runs = await allEnded(10);
    await until(() => sleeper.ledger().filter((entry) => entry.event === "end").length === 10, {
      what: "the stale handlers have ended",
    });
    await until(() => staleWrites(sleeper) === 10, { what: "the first process has heard that its leases are lost" });

    for (const run of runs) expect(JSON.parse(run.result!.json)).toEqual({ pid: other.pid });
  },
);

/** How many runs a worker reported as lost. */
function staleWrites(worker: Worker): number {
  const lost = worker
    .log()
    .split("\n")
    .filter((line) => line.includes("LEASE_LOST") || /lease.{0,20}lost/i.test(line));
  return new Set(lost.map((line) => /run_[0-9a-z]+/.exec(line)?.[0])).size;
}

test("a run that kills its process fails as crashed, and those beside it complete", { timeout: 90_000 }, async () => {
  const quick = ["--lease", "1s", "--poll", "200ms", "--sweep", "300ms"];
  const [poison] = await add("poison", 1);
  const ids = await add("work", 20, { ms: 200 });

  for (let deaths = 0; deaths < 3; deaths++) {
    const worker = await startWorker(database.url, quick);
    await worker.exited;
  }
  await startWorker(database.url, quick);
  const runs = await allEnded(21);

  expect(runs.find((run) => run.id === poison)).toMatchObject({ status: "failed", reason: "crashed", crashes: 3 });
  expect(
    runs
      .filter((run) => run.status === "completed")
      .map((run) => run.id)
      .sort(),
  ).toEqual([...ids].sort());
});

test(
  "Postgres restarted in the middle of 2,000 runs: none is lost, and the log stays short",
  { timeout: 120_000 },
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "tasker-restart-"));
    let server = await startEmbedded({ dir, fsync: false });
    const proxy = await startProxy(portOf(server.url));
    const url = server.url.replace(/:\d+\//, `:${proxy.port}/`);
    const there = postgres({ url });
    try {
      await there.open();
      const worker = await startWorker(url, ["--slots", "20"]);
      const first = await there.add(Array.from({ length: 1000 }, () => aRun({ job: "work", input: wire({ ms: 20 }) })));
      await until(() => startsOf(worker).length >= 100, { what: "the worker is in the middle of it" });

      proxy.aim(null);
      await server.stop();
      const adding = there.add(Array.from({ length: 1000 }, () => aRun({ job: "work", input: wire({ ms: 20 }) }))); // while it is away
      server = await startEmbedded({ dir, fsync: false });
      proxy.aim(portOf(server.url));
      const second = await adding;
      await ended(there, 90_000);

      const ids = [...first, ...second].map((answer) => formatId((answer as { id: number }).id));
      expect(ids).toHaveLength(2000);
      const started = new Set(startsOf(worker).map((entry) => entry.run));
      expect(ids.filter((id) => !started.has(id))).toEqual([]);
      expect((await everything(there)).filter((run) => run.status === "completed")).toHaveLength(2000);
      const complaints = worker
        .log()
        .split("\n")
        .filter((line) => /"level":(40|50|"warn"|"error")/.test(line));
      expect(complaints.length).toBeLessThan(20);
    } finally {
      await there.close();
      await endWorkers();
      await proxy.close();
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    }
  },
);

function portOf(url: string): number {
  return Number(new URL(url).port);
}
