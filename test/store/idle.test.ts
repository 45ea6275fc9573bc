/** What an idle node costs a Postgres server, and that one which sleeps there is woken. */
import pg from "pg";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { createRuntime } from "../../runtime/runtime.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { addOne, aNode, aRun, aState, lease } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { aJob } from "../runtime/kit.ts";

let database: Database;
let store: Guarded;
let client: pg.Client;
beforeAll(async () => {
  database = await freshDatabase();
  store = postgres({ url: database.url });
  await store.open();
  client = new pg.Client({ connectionString: database.url });
  client.on("error", () => undefined);
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await store.close();
  await database.drop();
});

async function statements(act: () => Promise<unknown>): Promise<number> {
  const query = vi.spyOn(pg.Client.prototype, "query");
  try {
    await act();
    return query.mock.calls.length;
  } finally {
    query.mockRestore();
  }
}

test("a beat and a claim are a statement each, whatever is there", async () => {
  const node = await store.nodes.join(aNode(), 60_000);
  for (const queue of ["a", "b", "c"]) await addOne(store, { queue, delayMs: 3_600_000, ttlMs: 1000 });
  await lease(store, node);

  const beat = await statements(() => store.nodes.beat(node, 60_000, aState(), []));
  const claim = await statements(() => lease(store, node));
  await store.nodes.leave(node);

  expect([beat, claim]).toEqual([1, 1]);
});

test("a node that sleeps is woken by a run that another process adds, now or much later, and within a transaction", async () => {
  const ran: string[] = [];
  const job = aJob((payload) => void ran.push(String(payload)), { id: "sleepy" });
  const runtime = createRuntime({
    store: postgres({ url: database.url }),
    jobs: [job],
    ...{ name: "sleeper", poll: "silent", lease: "2s", grace: "0ms" },
  });
  onTestFinished(() => runtime.stop());
  await runtime.start();
  const node = async (): Promise<{ asleep: boolean; ms: number }> => {
    const ms = "(extract(epoch from lease_until - clock_timestamp()) * 1000)::float8 as ms";
    const { rows } = await client.query(`select asleep, ${ms} from tasker.nodes where name = 'sleeper'`);
    return rows[0] as { asleep: boolean; ms: number };
  };
  const sleeps = (): Promise<unknown> => until(async () => (await node()).asleep, { what: "the node sleeps" });
  const wakes = (): Promise<unknown> => until(async () => !(await node()).asleep, { what: "the node wakes" });

  await sleeps();
  const { ms } = await node();
  await addOne(store, { job: "sleepy", input: { json: '"now"', meta: null } });
  await until(() => ran.length > 0, { what: "the run starts" });
  await sleeps();
  await addOne(store, { job: "sleepy", delayMs: 3_600_000 });
  await wakes();
  await sleeps();
  await client.query("begin");
  const [added] = await store.add([aRun({ job: "sleepy", delayMs: 3_600_000 })], client);
  await client.query("commit");
  await wakes();

  expect(ms).toBeGreaterThan(2000);
  expect(ran).toEqual(["now"]);
  expect(added).toMatchObject({ created: true });
});
