/** Claims on stores that have grown, beside claims on one that has not. */
import type { Claim, Fence, Guarded, NewRun } from "../../runtime/index.ts";
import { aRun, loadWaiting, makeLanes } from "./load.ts";
import { byTurns, type Line, lines, took } from "./measure.ts";
import type { Place } from "./place.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const batch = 20;
/** As many lanes as one notification may name, or fewer. */
const namedLanes = 10;

export interface Size {
  /** 1 is what the promise names. */
  readonly scale: number;
  readonly rounds: number;
}

const claim = (jobs: readonly string[], limit: number, about: Partial<Claim> = {}): Claim => ({
  ...{
    node: 1,
    jobs,
    queues: { not: [] },
    limit,
    aheadMs: 2000,
    ttlMs: 15_000,
    order: "priority",
    poll: true,
    ...about,
  },
});

function settled(store: Guarded, leases: readonly (Fence & { readonly job: string })[]): Promise<unknown> {
  return store.runs.settle(
    leases.map(({ id, token, job }) => ({
      ...{ id, token, job, startedMs: Date.now(), hooks: [] },
      outcome: { to: "completed", result: null, reason: null, note: null },
    })),
  );
}

/** Adds a few runs, waits until they are `told`, claims as many, and ends them; answers how long the claim took. */
export function cycle(
  store: Guarded,
  jobs: readonly string[],
  runs: () => readonly NewRun[],
  about?: Partial<Claim>,
  told?: () => Promise<void>,
) {
  return async (): Promise<number> => {
    const added = runs();
    await Promise.all([told?.(), store.add(added)]);
    let leases: Awaited<ReturnType<Guarded["runs"]["lease"]>>["leases"] = [];
    const ms = await took(async () => ({ leases } = await store.runs.lease(claim(jobs, added.length, about))));
    if (leases.length < added.length)
      throw new Error(`a claim brought ${leases.length} runs, ${added.length} were due`);
    await settled(store, leases);
    return ms;
  };
}

/** A claim that finds nothing. */
export function emptyClaim(store: Guarded, jobs: readonly string[]) {
  return (): Promise<number> =>
    took(async () => {
      const { leases } = await store.runs.lease(claim(jobs, batch));
      if (leases.length > 0) throw new Error("runs were due where none should be");
    });
}

export const few = (job = "noop"): readonly NewRun[] => Array.from({ length: batch }, () => aRun(job));

export async function pair(place: Place, name: string): Promise<readonly [Guarded, Guarded, string]> {
  const [base, grown] = [await place.make("growth_base"), await place.make(`growth_${name}`)];
  for (const store of [base, grown]) await settled(store, (await leaseAll(store)).leases);
  return [base, grown, `growth_${name}`];
}

/** Makes the lane, too. */
async function leaseAll(store: Guarded) {
  await store.add([aRun("noop")]);
  return store.runs.lease(claim(["noop"], 1000));
}

async function sweeps(name: string, rounds: number, base: Guarded, grown: Guarded): Promise<readonly Line[]> {
  const sweep = (store: Guarded) => () => took(() => store.runs.sweep({ maxCrashes: 3, node: 1 }));
  return lines(name, "sweep", await byTurns(Math.min(rounds, 40), sweep(base), sweep(grown)), null);
}

/** A million wait, of which a thousand are due. */
export async function waiting(place: Place, { scale, rounds }: Size): Promise<readonly Line[]> {
  const [base, grown, schema] = await pair(place, "waiting");
  const name = `${(1e6 * scale).toLocaleString("en")} waiting, ${(1e3 * scale).toLocaleString("en")} due`;
  await loadWaiting(place, schema, 1e6 * scale, { fromMs: hourMs, toMs: 30 * dayMs });
  const none = await byTurns(rounds, emptyClaim(base, ["noop"]), emptyClaim(grown, ["noop"]));
  await loadWaiting(place, schema, 1e3 * scale, { fromMs: -hourMs, toMs: -1 });
  const some = await byTurns(rounds, cycle(base, ["noop"], few), cycle(grown, ["noop"], few));
  const found = [...lines(name, `claim of ${batch}`, some, 2), ...lines(name, "claim of none", none, 2)];
  return [...found, ...(await sweeps(name, rounds, base, grown))];
}

/** Makes node 1 listen, and know that nothing is due; each call waits until it is told that runs may be due. */
async function listening(store: Guarded): Promise<() => Promise<void>> {
  let hear = (): void => undefined;
  await store.nodes.join({ name: "growth", app: "growth", version: "1" }, hourMs);
  await store.runs.listen(1, (what) => (what === "due" ? hear() : undefined));
  await store.runs.lease(claim(["noop"], 1000));
  return () => new Promise((resolve) => (hear = resolve));
}

/** A hundred queues of ten priorities; each round has its runs in other lanes. */
export async function lanes(place: Place, { scale, rounds }: Size): Promise<readonly Line[]> {
  const [base, grown, schema] = await pair(place, "lanes");
  const queues = Array.from({ length: Math.max(1, Math.round(100 * scale)) }, (_, i) => `queue${i}`);
  await makeLanes(place, schema, { queues, jobs: ["noop"], priorities: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] });
  const name = `${queues.length} queues × 10 priorities`;
  let n = 0;
  const spread = (): readonly NewRun[] =>
    Array.from({ length: batch }, () => aRun("noop", queues[(n += 7) % queues.length], n % 10));
  const some = await byTurns(rounds, cycle(base, ["noop"], few), cycle(grown, ["noop"], spread));
  const order = { order: "oldest" } as const;
  const oldest = await byTurns(rounds, cycle(base, ["noop"], few, order), cycle(grown, ["noop"], spread, order));
  const spread5 = (): readonly NewRun[] =>
    Array.from({ length: batch }, (_, i) => aRun("noop", queues[i % namedLanes], 5));
  const hint = { poll: false };
  const named = await byTurns(
    rounds,
    cycle(base, ["noop"], few, hint),
    cycle(grown, ["noop"], spread5, hint, await listening(grown)),
  );
  const none = await byTurns(rounds, emptyClaim(base, ["noop"]), emptyClaim(grown, ["noop"]));
  return [
    ...lines(name, `claim of ${batch} from ${namedLanes} lanes that a wake-up names`, named, 2),
    ...lines(name, `claim of ${batch} from all`, some, 2),
    ...lines(name, `claim of ${batch} from all, oldest first`, oldest, 2),
    ...lines(name, "claim of none", none, 2),
  ];
}

/** Ten thousand runs that others have leased, ahead of those that are due: as fresh leases, then held. */
export async function held(place: Place, { scale, rounds }: Size): Promise<readonly Line[]> {
  const [base, grown, schema] = await pair(place, "held");
  const count = 1e4 * scale;
  await loadWaiting(place, schema, count, { fromMs: -hourMs, toMs: -1000, leased: true });
  const fresh = await byTurns(rounds, cycle(base, ["noop"], few), cycle(grown, ["noop"], few));
  const { rows } = await place.control.query<{ id: string; token: number }>(
    `select id, token from ${schema}.runs where lease_until is not null`,
  );
  const leased = rows.map(({ id, token }) => ({ id: Number(id), token, startedMs: Date.now() }));
  for (let from = 0; from < leased.length; from += 1000) await grown.runs.hold(1, leased.slice(from, from + 1000));
  const parked = await byTurns(rounds, cycle(base, ["noop"], few), cycle(grown, ["noop"], few));
  return [
    ...lines(
      `${count.toLocaleString("en")} leased at the head, before their first beat`,
      `claim of ${batch}`,
      fresh,
      null,
    ),
    ...lines(`${count.toLocaleString("en")} leased at the head, held`, `claim of ${batch}`, parked, 2),
  ];
}
