/** Workflows that sleep, and what they cost those that don't. */
import { setTimeout as sleep } from "node:timers/promises";
import { cycle, emptyClaim, few, pair, type Size } from "./claim.ts";
import { aRun, makeLanes } from "./load.ts";
import { byTurns, type Line, lines } from "./measure.ts";
import type { Place } from "./place.ts";
import { type Child, start } from "./process.ts";

/** A million workflows asleep, put to sleep by a worker, beside an empty table. */
export async function asleep(place: Place, { scale, rounds }: Size): Promise<readonly Line[]> {
  const [base, grown, schema] = await pair(place, "asleep");
  const count = 1e6 * scale;
  const name = `${count.toLocaleString("en")} workflows asleep`;
  const maker = await start({ role: "work", url: place.url, schema });
  await makeLanes(place, schema, { queues: ["default"], jobs: ["sleeper"], priorities: [5] });
  for (let left = count; left > 0; left -= 5000)
    await grown.add(Array.from({ length: Math.min(left, 5000) }, () => aRun("sleeper")));
  await untilAsleep(place, schema, count);
  for (const table of ["runs", "steps", "lanes"]) await place.control.query(`vacuum analyze ${schema}.${table}`);

  const fresh = await Promise.all(
    ["growth_base", schema].map((each) => start({ role: "work", url: place.url, schema: each })),
  );
  const nodes = await quietly([...fresh, maker], Math.max(20, Math.round(60 * scale)));
  await Promise.all([...fresh, maker].map((child) => child.stop()));
  const none = await byTurns(rounds, emptyClaim(base, ["noop"]), emptyClaim(grown, ["noop"]));
  const some = await byTurns(rounds, cycle(base, ["noop"], few), cycle(grown, ["noop"], few));
  return [
    ...lines(name, "claim of 20", some, 1.5),
    ...lines(name, "claim of none", none, 1.5),
    ...compared(name, "a node beside them", nodes[0]!, nodes[1]!),
    ...compared(name, "the node that put them to sleep", nodes[0]!, nodes[2]!), // its heap has some more code, compiled
  ];
}

async function untilAsleep({ control }: Place, schema: string, count: number): Promise<void> {
  for (let done = 0; done < count; await sleep(5000)) {
    const { rows } = await control.query<{ n: number }>(
      `select count(*)::int n from ${schema}.runs where waits is not null and lease_until is null and state = 0`,
    );
    done = rows[0]!.n;
  }
}

interface Seen {
  readonly heapMb: number;
  readonly rssMb: number;
  /** A second. */
  readonly statements: number;
}

/** What idle nodes hold, and ask the store, over some time. */
async function quietly(children: readonly Child[], seconds: number): Promise<readonly Seen[]> {
  await sleep(25_000); // declared, first pruned
  await Promise.all(children.map((child) => child.report()));
  await sleep(seconds * 1000);
  return Promise.all(
    children.map(async (child) => {
      const { statements, rssMb } = await child.report();
      const sent = Object.values(statements).reduce((sum, n) => sum + n, 0);
      return { rssMb, heapMb: await child.heapMb(), statements: sent / seconds };
    }),
  );
}

function compared(name: string, node: string, base: Seen, grown: Seen): readonly Line[] {
  return [
    { case: name, measure: `heap of ${node}`, unit: "MB", base: base.heapMb, grown: grown.heapMb, bound: 1.25 },
    { case: name, measure: `RSS of ${node}`, unit: "MB", base: base.rssMb, grown: grown.rssMb, bound: null },
    {
      ...{ case: name, measure: `statements a second of ${node}`, unit: "" },
      ...{ base: base.statements, grown: grown.statements, bound: 1.05 },
    },
  ];
}
