/** Steps whose rows and results commit together, on a real database. */
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { AbortError, defineJob, type Context } from "../../sdk/index.ts";
import { configured } from "../../sdk/client/config.ts";
import { createRuntime } from "../../runtime/runtime.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { deferred } from "../runtime/kit.ts";
import { freshStore } from "./kit.ts";

let url: string;
let store: Guarded;
let pool: pg.Pool;
beforeEach(async () => {
  ({ url, store } = await freshStore());
  pool = new pg.Pool({ connectionString: url });
  pool.on("error", () => undefined);
  await pool.query("create table paid (n int)");
});

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** Runs a workflow to its end. */
async function run(handler: (payload: unknown, ctx: Context) => unknown, on = store): Promise<unknown> {
  const job = defineJob({
    ...{ id: "pay", schema: z.unknown(), retry: { attempts: 3, delay: "1ms" }, handler },
  });
  const runtime = createRuntime({ jobs: [job], store: on, logger: silent });
  const forget = configured(runtime.store);
  await runtime.start();
  onTestFinished(async () => {
    forget();
    await runtime.stop();
    await pool.end();
  });
  return (await job.trigger(undefined)).result({ timeout: "20s" });
}

const paid = async (): Promise<readonly number[]> =>
  (await pool.query<{ n: number }>("select n from paid order by n")).rows.map(({ n }) => n);

const kysely = (): Kysely<{ paid: { n: number } }> => new Kysely({ dialect: new PostgresDialect({ pool: pool }) });

test.each<[string, (ctx: Context, n: number) => Promise<number>]>([
  ["a pool of pg", (ctx, n) => ctx.tx(pool, async (tx) => (await tx.query("insert into paid values ($1)", [n]), n))],
  ["Kysely", (ctx, n) => ctx.tx(kysely(), async (tx) => (await tx.insertInto("paid").values({ n }).execute(), n))],
  [
    "a function",
    (ctx, n) =>
      ctx.tx(
        (work: (tx: pg.PoolClient) => Promise<void>) => inOne(work),
        async (tx) => (await tx.query("insert into paid values ($1)", [n]), n),
      ),
  ],
])("with %s, what an attempt wrote before it failed is there once", async (_, pay) => {
  let attempts = 0;
  const result = await run(async (_payload, ctx) => {
    const [first, second] = await Promise.all([pay(ctx, 1), pay(ctx, 2)]);
    if (attempts++ < 2) throw new Error("afterwards");
    return [first, second];
  });

  expect(result).toEqual([1, 2]);
  expect(attempts).toBe(3);
  expect(await paid()).toEqual([1, 2]);
});

async function inOne(work: (tx: pg.PoolClient) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    await work(client);
    await client.query("commit");
  } finally {
    client.release();
  }
}

test("what fails is rolled back, and tried again as other steps are", async () => {
  const result = await run(async (_payload, ctx) =>
    ctx.tx(pool, async (tx, { attempt }) => {
      await tx.query("insert into paid values ($1)", [attempt]);
      if (attempt < 3) throw new Error("inside");
      return attempt;
    }),
  );

  expect(result).toBe(3);
  expect(await paid()).toEqual([3]);
});

test("a connection that dies as it commits: the step is done once, or tried again", async () => {
  const result = await run(async (_payload, ctx) =>
    ctx.tx(
      async (work: (tx: pg.PoolClient) => Promise<void>) => {
        const client = await pool.connect();
        await client.query("begin");
        await work(client);
        await client.query("commit");
        client.release(true);
        if ((await paid()).length === 1) throw new Error("the answer was lost");
      },
      async (tx) => void (await tx.query("insert into paid values (1)")),
    ),
  );

  expect(result).toBeUndefined();
  expect(await paid()).toEqual([1]);
});

test.each<[string, () => Promise<unknown>]>([
  ["ends", () => Promise.resolve("done")],
  ["fails", () => Promise.reject(new AbortError("no"))],
])("the transaction of a step whose handler %s without waiting for it is rolled back", async (_, goOn) => {
  const [began, ended, over] = [deferred(), deferred(), deferred<string>()];
  const end = run(async (_payload, ctx) => {
    void ctx.tx(
      (work: (tx: pg.PoolClient) => Promise<void>) => rolledBack(work).then(over.resolve),
      async (tx) => {
        await tx.query("insert into paid values (1)");
        began.resolve();
        await ended.promise;
      },
    );
    await began.promise;
    return goOn();
  });
  await end.catch(() => undefined);
  ended.resolve();

  expect(await over.promise).toBe("rolled back");
  expect(await paid()).toEqual([]);
});

/** Runs work in a transaction; answers how that ended. */
async function rolledBack(work: (tx: pg.PoolClient) => Promise<void>): Promise<"committed" | "rolled back"> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    await work(client);
    await client.query("commit");
    return "committed";
  } catch {
    await client.query("rollback");
    return "rolled back";
  } finally {
    client.release();
  }
}

test("a store without transactions refuses it", async () => {
  await expect(run(async (_payload, ctx) => ctx.tx(pool, () => 1), memory())).rejects.toThrow(
    /recording in a transaction \(tx\) is not supported/,
  );
});
