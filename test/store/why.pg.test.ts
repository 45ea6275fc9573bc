/** What it costs to ask why a run waits, where very many do. */
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { whyOf } from "../../sdk/client/why.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { sql } from "../../runtime/store/postgres/sql.ts";
import { why } from "../../runtime/store/postgres/sql/why.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { addOne, aNode, aState, lease } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";

const jobs = Array.from({ length: 20 }, (_, n) => `job${n}`);
let database: Database;
let store: Guarded;
let client: pg.Client;
let last: number;
/** 100,000 due runs of one queue, in 20 lanes; four nodes with 25 of them each; and one run more. */
beforeAll(async () => {
  database = await freshDatabase();
  store = postgres({ url: database.url });
  await store.open();
  client = new pg.Client(database.url);
  await client.connect();
  for (const job of jobs) await addOne(store, { job });
  await client.query(`
    insert into tasker.runs (id, due_at, ready_at, created_at, lane, input)
    select 1000000 + i, now(), now(), now(), (select id from tasker.lanes where job = 'job' || i % 20), '{"to":"somebody"}'
    from generate_series(1, 100000) i`);
  await client.query("analyze tasker.runs, tasker.lanes");
  for (let i = 0; i < 4; i++) {
    const node = await store.nodes.join(aNode({ name: `host:${i}` }), 600_000);
    await store.nodes.beat(node, 600_000, aState({ slots: 25, jobs }), []);
    await lease(store, node, { jobs, limit: 25, ttlMs: 600_000 });
  }
  last = await addOne(store, { job: "job7" });
});
afterAll(async () => {
  await client.end();
  await store.close();
  await database.drop();
});

interface Plan {
  readonly "Node Type": string;
  readonly "Relation Name"?: string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Rows Removed by Filter"?: number;
  readonly Plans?: readonly Plan[];
}

/** The scans of a statement as it was run, and how many rows of runs they looked at. */
async function scans(statement: string, values: readonly unknown[]) {
  const { rows } = await client.query<{ "QUERY PLAN": readonly { readonly Plan: Plan }[] }>(
    `explain (analyze, format json) ${statement}`,
    values as unknown[],
  );
  const all = (plan: Plan): readonly Plan[] => [plan, ...(plan.Plans ?? []).flatMap(all)];
  const found = all(rows[0]!["QUERY PLAN"][0]!.Plan).filter((plan) => plan["Relation Name"] !== undefined);
  const ofRuns = found.filter((plan) => plan["Relation Name"] === "runs");
  const seen = (plan: Plan): number =>
    (plan["Actual Rows"] + (plan["Rows Removed by Filter"] ?? 0)) * plan["Actual Loops"];
  const whole = found.filter((plan) => plan["Node Type"] === "Seq Scan").map((plan) => plan["Relation Name"]!);
  return { runs: ofRuns.reduce((sum, plan) => sum + seen(plan), 0), whole: [...new Set(whole)] };
}

const small = ["jobs", "lanes", "names", "nodes", "queues"];

test("among 100,000 due runs why counts no more than 10,001, and walks over no table that grows with them", async () => {
  const text = why(sql("tasker", false));

  const facts = await scans(text.facts, [last]);
  const nodes = await scans(text.nodes, ["job7", "default", null, null]);
  const ahead = await scans(text.ahead, [last, 10_001, "default", null]);

  for (const { whole } of [facts, nodes, ahead]) expect(small).toEqual(expect.arrayContaining(whole));
  expect(facts.runs).toBeLessThanOrEqual(1);
  expect(nodes.runs).toBeLessThanOrEqual(20 * 200);
  expect(ahead.runs).toBeGreaterThan(10_000);
  expect(ahead.runs).toBeLessThanOrEqual(10_001 + 100);
});

test("among 100,000 due runs why answers at once", async () => {
  await whyOf(store, last);
  const times: number[] = [];
  for (let i = 0; i < 11; i++) {
    const at = performance.now();
    await whyOf(store, last);
    times.push(performance.now() - at);
  }

  expect((await whyOf(store, last))!.text).toMatch(
    /^All 100 slots on the 4 nodes that have job "job7" are taken, by run_\w+, run_\w+, run_\w+ and 97 more; more than 10,000 runs of queue "default" /,
  );
  expect(times.sort((a, b) => a - b)[5]!).toBeLessThan(500);
});
