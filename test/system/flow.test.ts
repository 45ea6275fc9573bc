/** What workflows promise when processes die: with real ones, on a real database. */
import { beforeEach, expect, test } from "vitest";
import type { Guarded } from "../../runtime/store/port.ts";
import { decode } from "../../sdk/port/codec.ts";
import { formatId } from "../../sdk/port/id.ts";
import { addMany, wire } from "../kit/build.ts";
import { until } from "../kit/until.ts";
import { startWorker, type Entry, type Worker } from "../kit/worker.ts";
import { allEnded, everything, freshStore } from "./kit.ts";

let url: string;
let store: Guarded;
beforeEach(async () => {
  ({ url, store } = await freshStore());
});

type StepEntry = Entry & { readonly step: number };

const start = (): Promise<Worker> => startWorker(url, ["--slots", "100"], { jobs: "flows" });

test(
  "kill -9 through 2,000 workflows of 10 steps: all finish, and no step whose record was answered is run again",
  { timeout: 180_000 },
  async () => {
    const workers = [await start(), await start()];
    await addMany(store, 2000, { job: "steps", input: wire({ steps: 10 }) });
    const answered = (): number =>
      workers.flatMap((worker) => worker.ledger()).filter(({ event }) => event === "end").length;
    for (const [i, share] of [2000, 6000, 11_000, 15_000].entries()) {
      await until(() => answered() >= share, { what: `${share} steps are recorded`, timeoutMs: 60_000 });
      const victim = workers[i]!;
      victim.kill("SIGKILL");
      await victim.exited;
      workers.push(await start());
    }
    await allEnded(store, 120_000);

    const runs = await everything(store);
    expect(runs.filter(({ status }) => status !== "completed")).toEqual([]);
    expect(runs).toHaveLength(2000);
    for (const run of runs.slice(0, 100)) {
      const journal = await store.flow.read(run.id);
      expect(journal.filter(({ kind }) => kind === "step").map(({ key }) => key)).toEqual(
        Array.from({ length: 10 }, (_, i) => `s${i}`),
      );
      expect(decode(run.result!)).toBe(45);
    }
    const ledger = workers.flatMap((worker) => worker.ledger() as readonly StepEntry[]);
    const ends = new Map<string, number>();
    for (const { event, run, step, at } of ledger)
      if (event === "end") ends.set(`${run} ${step}`, Math.min(at, ends.get(`${run} ${step}`) ?? Infinity));
    const again = ledger.filter(
      ({ event, run, step, at }) => event === "start" && at > (ends.get(`${run} ${step}`) ?? Infinity),
    );
    expect(again).toEqual([]);
    expect(new Set(ledger.map(({ run }) => run))).toEqual(new Set(runs.map(({ id }) => formatId(id))));
    expect(ends.size).toBe(20_000);
  },
);

test(
  "10,000 waits are answered by 10,000 signals at once: none is lost, none taken twice",
  { timeout: 180_000 },
  async () => {
    await start();
    await start();
    const ids = await addMany(store, 10_000, { job: "asking", input: wire(null) });
    const waiting = async (): Promise<boolean> =>
      (await store.find.list({ status: ["pending", "leased", "running"] }, { limit: 1 })).items.length === 0;
    await until(waiting, { what: "all wait", timeoutMs: 90_000 });

    for (let from = 0; from < ids.length; from += 1000)
      await Promise.all(
        ids
          .slice(from, from + 1000)
          .map((id) => store.flow.send([{ to: id, name: "go", value: wire(id), data: null }])),
      );
    await allEnded(store, 90_000);

    const runs = await everything(store);
    expect(runs).toHaveLength(10_000);
    expect(runs.filter(({ id, status, result }) => status !== "completed" || decode(result!) !== id)).toEqual([]);
  },
);
