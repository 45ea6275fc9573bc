/** A store with long history beside one with little. */
import type { Find, Guarded } from "../../runtime/index.ts";
import { type Size, cycle } from "./claim.ts";
import { aRun, loadHistory } from "./load.ts";
import { byTurns, type Line, lines, took } from "./measure.ts";
import type { Place } from "./place.ts";

/** A search looks through the newest 100,000 runs, one of errors through as many that did not complete: the baseline has a few more of each,
 *  so that both fill it. */
const little = { count: 240_000, days: 7, failing: 2 };
const job = "job7"; // some of its runs failed

const reads: readonly (readonly [name: string, read: (find: Find) => Promise<unknown>])[] = [
  ["list, newest 50", (find) => find.list({})],
  ["list of a job", (find) => find.list({ job: [job] })],
  ["list of failed runs", (find) => find.list({ status: ["failed"] })],
  ["list of failed runs of a job", (find) => find.list({ job: [job], status: ["failed"] })],
  ["list of a job without runs", (find) => find.list({ job: ["idle"] })],
  ["list of a day", (find) => find.list({ finishedAfter: new Date(Date.now() - 86_400_000) })],
  ["list before an old day", (find) => find.list({ finishedBefore: new Date(Date.now() - 6 * 86_400_000) })],
  ["search by tag, found", (find) => find.list({ tags: ["plan:1"] })],
  ["search by tag, not found", (find) => find.list({ tags: ["nobody"] })],
  ["search by key, not found", (find) => find.list({ key: "nobody" })],
  ["search by error, not found", (find) => find.list({ error: "nobody" })],
  ["stats", (find) => find.stats()],
];

/** Ten million finished runs of seven days. */
export async function history(place: Place, { scale, rounds }: Size): Promise<readonly Line[]> {
  const count = 1e7 * scale;
  const name = `${count.toLocaleString("en")} runs of history`;
  const [base, grown] = [await place.make("growth_base"), await place.make("growth_history")];
  for (const store of [base, grown]) await store.add([{ ...aRun("idle"), delayMs: 86_400_000 }]);
  await loadHistory(place, "growth_base", little.count, little);
  const loadMs = await took(() => loadHistory(place, "growth_history", count, { days: 7 }));
  console.error(`${name}: loaded in ${Math.round(loadMs / 1000)} s`);
  const found: Line[] = [];
  const add = (store: Guarded) => () => took(() => store.add([aRun(job)]));
  found.push(...lines(name, "trigger", await byTurns(rounds, add(base), add(grown)), 1.5));
  const due = () => Array.from({ length: 20 }, () => aRun(job));
  const claims = await byTurns(rounds, cycle(base, [job], due), cycle(grown, [job], due));
  found.push(...lines(name, "claim of 20", claims, 1.5));
  const old = async (schema: string): Promise<number> => {
    const { rows } = await place.control.query<{ id: string }>(`select min(id) id from ${schema}.history`);
    return Number(rows[0]!.id);
  };
  const [a, b] = [await old("growth_base"), await old("growth_history")];
  const got = await byTurns(
    rounds,
    () => took(() => base.find.get(a)),
    () => took(() => grown.find.get(b)),
  );
  found.push(...lines(name, "get of the oldest", got, 1.5));
  for (const [measure, read] of reads) {
    const times = await byTurns(
      Math.min(rounds, 40),
      () => took(() => read(base.find)),
      () => took(() => read(grown.find)),
    );
    found.push(...lines(name, measure, times, 1.5));
  }
  found.push(...(await pruned(place, name, base, grown)));
  return found;
}

/** Drops all days but the last two, on both, while runs go on ending. */
async function pruned(place: Place, name: string, base: Guarded, grown: Guarded): Promise<readonly Line[]> {
  const keep = { completedMs: 86_400_000, otherMs: 86_400_000 };
  const wal = async (): Promise<number> => {
    const { rows } = await place.control.query<{ at: string }>("select pg_current_wal_lsn() - '0/0' as at");
    return Number(rows[0]!.at);
  };
  const measured = async (store: Guarded) => {
    const before = await wal();
    let over = false;
    const one = cycle(store, [job], () => [aRun(job)]);
    const living = (async () => {
      let longest = 0;
      while (!over) longest = Math.max(longest, await took(one));
      return longest;
    })();
    const ms = await took(() => store.runs.sweep({ maxCrashes: 3, keep })).finally(() => (over = true));
    return { ms, longest: await living, wal: (await wal()) - before };
  };
  const [small, large] = [await measured(base), await measured(grown)];
  const line = { case: name, bound: null };
  return [
    { ...line, measure: "prune of 5 days", unit: "ms", base: small.ms, grown: large.ms },
    { ...line, measure: "longest way of a run meanwhile", unit: "ms", base: small.longest, grown: large.longest },
    { ...line, measure: "prune of 5 days, WAL", unit: "kB", base: small.wal / 1024, grown: large.wal / 1024 },
  ];
}
