/** Workflows with many steps: what their journals take, by how long they are. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createRuntime, postgres, type Runtime } from "../../runtime/index.ts";
import { configure, defineJob, signal } from "../../sdk/index.ts";
import { z } from "zod";
import type { Size } from "./claim.ts";
import type { Line } from "./measure.ts";
import type { Place } from "./place.ts";

const schema = "growth_journal";
const short = 1000;
/** Steps that are under way at once. */
const width = 100;
const units = {
  "to run them": "s",
  "to replay them": "s",
  "longest pause of the event loop meanwhile": "ms",
  "to end": "s",
  "memory while it runs": "MB",
  "in history": "MB",
} as const;

/** Ten thousand and a hundred thousand steps, beside a thousand. */
export async function journal(place: Place, { scale }: Size): Promise<readonly Line[]> {
  await (await place.make(schema)).close();
  await costs(place, short); // code is warm
  const base = await costs(place, short);
  const found: Line[] = [];
  for (const steps of [1e4 * scale, 1e5 * scale]) {
    const grown = await costs(place, steps);
    for (const measure of Object.keys(units) as (keyof typeof units)[]) {
      const unit = units[measure];
      const bound = unit === "s" ? (steps / short) * 2 : null;
      const name = `journal of ${steps.toLocaleString("en")} steps, beside ${short.toLocaleString("en")}`;
      found.push({ case: name, measure, unit, base: base[measure], grown: grown[measure], bound });
    }
  }
  return found;
}

async function costs(place: Place, steps: number): Promise<Readonly<Record<keyof typeof units, number>>> {
  let [replayedAt, heldMb] = [0, 0];
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const job = defineJob({
    id: "long",
    schema: z.int(),
    timeout: "1h",
    handler: async (count, ctx) => {
      const results: unknown[] = [];
      for (let from = 0; from < count; from += width)
        results.push(
          ...(await Promise.all(
            Array.from({ length: width }, (_, i) =>
              ctx.step(`s${from + i}`, () => ({ id: from + i, name: "a result" })),
            ),
          )),
        );
      await ctx.waitFor("go");
      replayedAt = performance.now();
      delay.disable();
      heldMb = heapMb();
      return results.length;
    },
  });
  const started = async (): Promise<Runtime> => {
    const runtime = createRuntime({ store: postgres({ url: place.url, schema }), jobs: [job], steps: 1e6 });
    await runtime.start();
    configure({ store: runtime.store });
    return runtime;
  };
  let runtime = await started();
  const triggeredAt = performance.now();
  const { id } = await job.trigger(steps);
  while ((await runtime.store.find.get(idOf(id)))?.status !== "waiting")
    await new Promise((resolve) => setTimeout(resolve, 20));
  const ranS = (performance.now() - triggeredAt) / 1000;
  await runtime.stop();
  const emptyMb = heapMb();
  runtime = await started();
  delay.enable();
  const sentAt = performance.now();
  await signal(id, "go", null);
  while (await isLive(place, id)) await new Promise((resolve) => setTimeout(resolve, 5));
  const endedAt = performance.now();
  await runtime.stop();
  const { rows } = await place.control.query<{ mb: number }>(
    `select octet_length(steps) / 1048576.0::float8 mb from ${schema}.history where id = $1`,
    [idOf(id)],
  );
  return {
    "to run them": ranS,
    "to replay them": (replayedAt - sentAt) / 1000,
    "longest pause of the event loop meanwhile": delay.max / 1e6,
    "to end": (endedAt - replayedAt) / 1000,
    "memory while it runs": heldMb - emptyMb,
    "in history": rows[0]!.mb,
  };
}

async function isLive({ control }: Place, id: string): Promise<boolean> {
  return (await control.query(`select from ${schema}.runs where id = $1`, [idOf(id)])).rows.length > 0;
}

const idOf = (id: string): number => Number.parseInt(id.slice(4), 36);

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

function heapMb(): number {
  collect();
  return process.memoryUsage().heapUsed / 2 ** 20;
}
