/** What the engine promises when processes die, stop and come back: with real ones, on a real database. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { startEmbedded } from "../../runtime/store/postgres/embedded.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { formatId } from "../../sdk/port/id.ts";
import type { RunRecord } from "../../sdk/port/target.ts";
import { addMany, wire } from "../kit/build.ts";
import { startProxy } from "../kit/proxy.ts";
import { until } from "../kit/until.ts";
import { endWorkers, startWorker, type Worker } from "../kit/worker.ts";
import { allEnded, everything, freshStore } from "./kit.ts";

let url: string;
let store: Guarded;
beforeEach(async () => {
  ({ url, store } = await freshStore());
});

const add = (job: string, count: number, payload: object = {}): Promise<readonly number[]> =>
  addMany(store, count, { job, input: wire(payload) });

async function finished(count: number): Promise<readonly RunRecord[]> {
  await allEnded(store);
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
    const worker = await startWorker(url, ["--grace", "2s"]);
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
      startWorker(url, ["--slots", "20"]),
      startWorker(url, ["--slots", "20"]),
    ]);
    await add("work", 1000, { ms: 50 });
    await until(() => startsOf(victim).length >= 100, { what: "the victim is in the middle of it" });

    const killedAt = Date.now();
    victim.kill("SIGKILL");
    await victim.exited;
    const runs = await finished(1000);

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
    const sleeper = await startWorker(url, quick);
    await add("work", 10, { ms: 1500 });
    await until(() => startsOf(sleeper).length === 10, { what: "all ten run in the first process" });

    sleeper.kill("SIGSTOP");
    const other = await startWorker(url, quick);
    await until(() => startsOf(other).length === 10, { what: "all ten run in the second process", timeoutMs: 30_000 });
    sleeper.kill("SIGCONT");
    const runs = await finished(10);
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
    const worker = await startWorker(url, quick);
    await worker.exited;
  }
  await startWorker(url, quick);
  const runs = await finished(21);

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
    const address = server.url.replace(/:\d+\//, `:${proxy.port}/`);
    const there = postgres({ url: address });
    try {
      await there.open();
      const worker = await startWorker(address, ["--slots", "20"]);
      const work = { job: "work", input: wire({ ms: 20 }) };
      const first = await addMany(there, 1000, work);
      await until(() => startsOf(worker).length >= 100, { what: "the worker is in the middle of it" });

      proxy.aim(null);
      await server.stop();
      const adding = addMany(there, 1000, work); // while it is away
      server = await startEmbedded({ dir, fsync: false });
      proxy.aim(portOf(server.url));
      const second = await adding;
      await allEnded(there, 90_000);

      const ids = [...first, ...second].map(formatId);
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
