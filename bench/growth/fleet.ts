/** Several processes on one database, and one that has a lot, or nothing, to do. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Size } from "./claim.ts";
import { wallMs } from "./child.ts";
import { aRun, loadWaiting, makeLanes } from "./load.ts";
import { type Line, quantile } from "./measure.ts";
import type { Place } from "./place.ts";
import { type Child, start } from "./process.ts";

const defaults = { queues: ["default"], jobs: ["noop"], priorities: [5] };

/** Loads runs that are due, tells the nodes, and waits until none is left; answers runs a second, from first start to last end. */
async function drained(place: Place, schema: string, count: number): Promise<number> {
  const { control } = place;
  const { rows: last } = await control.query<{ id: string }>(`select coalesce(max(id), 0) id from ${schema}.history`);
  await loadWaiting(place, schema, count, { fromMs: -1000, toMs: -1 });
  await control.query(`select pg_notify('tasker:${schema}', 'd')`);
  for (let left = true; left; await sleep(50)) {
    const { rows } = await control.query<{ left: boolean }>(
      `select exists (select 1 from ${schema}.runs r join ${schema}.lanes l on l.id = r.lane where l.job = 'noop') "left"`,
    );
    left = rows[0]!.left;
  }
  const { rows } = await control.query<{ rate: number }>(
    `select count(*) / extract(epoch from max(finished_at) - min(started_at))::float8 rate
     from ${schema}.history where status = 0 and id > $1`,
    [last[0]!.id],
  );
  return rows[0]!.rate;
}

/** The most connections that the store's processes had at once, while `work` went on; all together. */
async function connections(place: Place, work: () => Promise<void>): Promise<number> {
  let most = 0;
  let over = false;
  const watching = (async () => {
    for (; !over; await sleep(100)) {
      const { rows } = await place.control.query<{ n: number }>(
        `select count(*)::int n from pg_stat_activity where application_name = 'tasker' and datname = current_database()`,
      );
      most = Math.max(most, rows[0]!.n);
    }
  })();
  await work().finally(() => (over = true));
  await watching;
  return most;
}

/** What each process runs before it is measured. */
const warmRuns = 20_000;

/** Eight worker processes beside one. */
export async function processes(place: Place, { scale, rounds }: Size): Promise<readonly Line[]> {
  const schema = "growth_processes";
  const store = await place.make(schema);
  await store.close(); // its connections don't count
  await makeLanes(place, schema, defaults);
  const count = Math.round(400_000 * scale);
  const workers: Child[] = [];
  const rates = new Map<number, number[]>([1, 2, 8].map((n) => [n, []]));
  let perProcess = 0;
  for (let round = 0; round < Math.max(3, rounds / 100); round++)
    for (const n of rates.keys()) {
      while (workers.length < n) workers.push(await start({ role: "work", url: place.url, schema }));
      while (workers.length > n) await workers.pop()!.stop();
      const most = await connections(place, async () => {
        await drained(place, schema, Math.round(warmRuns * scale) * n); // new processes have code to compile
        rates.get(n)!.push(await drained(place, schema, count));
      });
      if (n === 8) perProcess = Math.max(perProcess, most / n);
    }
  await Promise.all(workers.map((worker) => worker.stop()));
  const base = quantile(rates.get(1)!, 0.5);
  const line = { case: `${count.toLocaleString("en")} runs drained`, unit: "runs/s", base, least: true };
  return [
    { ...line, measure: "2 processes beside 1", grown: quantile(rates.get(2)!, 0.5), bound: 1 },
    { ...line, measure: "8 processes beside 1", grown: quantile(rates.get(8)!, 0.5), bound: 1 },
    {
      ...line,
      measure: "connections a process, of 8; at most 4",
      unit: "",
      base: 4,
      grown: perProcess,
      bound: 1,
      least: false,
    },
  ];
}

/** Two processes with nothing to do, and what they ask the store all the same. */
export async function idle(place: Place, { scale }: Size): Promise<readonly Line[]> {
  const schema = "growth_idle";
  await (await place.make(schema)).close();
  const seconds = Math.max(20, Math.round(60 * scale));
  const workers = await Promise.all([1, 2].map(() => start({ role: "work", url: place.url, schema })));
  await sleep(25_000); // declared, first pruned
  await Promise.all(workers.map((worker) => worker.report()));
  await sleep(seconds * 1000);
  const [first] = await Promise.all(workers.map((worker) => worker.report()));
  await Promise.all(workers.map((worker) => worker.stop()));
  const all = Object.entries(first!.statements).sort(([, a], [, b]) => b - a);
  const line = { case: "idle process, statements a second", unit: "", base: Number.NaN, bound: null };
  const total = all.reduce((sum, [, n]) => sum + n, 0) / seconds;
  return [
    { ...line, measure: "all, beside one a poll", base: 1, grown: total, bound: 1.05 },
    ...all.map(([name, n]) => ({ ...line, measure: name, grown: n / seconds })),
  ];
}

/** A hundred thousand fall due at once in one process, which also has runs that somebody cancels. */
export async function loop(place: Place, { scale }: Size): Promise<readonly Line[]> {
  const schema = "growth_loop";
  const store = await place.make(schema);
  await makeLanes(place, schema, { ...defaults, jobs: ["noop", "long"] });
  const worker = await start({ role: "work", url: place.url, schema });
  const added = await store.add(Array.from({ length: 20 }, () => aRun("long")));
  const longs = added.map((answer) => (answer as { readonly id: number }).id);
  for (let up = 0; up < longs.length; await sleep(50)) up = (await worker.signals()).running;
  const calm = await canceled(store.desk, worker, longs.splice(0, 10));
  await drained(place, schema, 10_000); // code is warm
  await worker.report();
  const draining = drained(place, schema, 100_000 * scale);
  await sleep(700);
  const busy = await canceled(store.desk, worker, longs);
  const rate = await draining;
  const { loopP99, loopMax, ...during } = await worker.report();
  await sleep(5500); // the first beat after it tells how long that pause was
  const beatGap = Math.max(during.beatGap, (await worker.report()).beatGap);
  await worker.stop();
  const name = `${(100_000 * scale).toLocaleString("en")} due at once (${Math.round(rate)} runs/s)`;
  const line = { case: name, unit: "ms", base: Number.NaN, bound: null };
  return [
    { ...line, measure: "delay of the event loop, p99, beside 20 ms", base: 20, grown: loopP99, bound: 1 },
    { ...line, measure: "delay of the event loop, longest", grown: loopMax },
    { ...line, measure: "longest pause between beats, beside 5 s", base: 5000, grown: beatGap, bound: 1.2 },
    { ...line, measure: "from cancel to signal, beside a calm process, longest of 10", base: calm, grown: busy },
  ];
}

/** Cancels runs one after the other; answers the longest time until the handler's signal aborted, ms. */
async function canceled(
  desk: { cancel(ids: readonly number[]): Promise<unknown> },
  worker: Child,
  ids: readonly number[],
): Promise<number> {
  const asked: number[] = [];
  const before = (await worker.signals()).aborted.length;
  for (const id of ids) {
    asked.push(wallMs());
    await desk.cancel([id]);
    await sleep(50);
  }
  let aborted: readonly number[] = [];
  for (const end = wallMs() + 15_000; aborted.length < ids.length && wallMs() < end; await sleep(100))
    aborted = (await worker.signals()).aborted.slice(before);
  return aborted.length < ids.length ? Number.POSITIVE_INFINITY : Math.max(...aborted.map((at, i) => at - asked[i]!));
}
