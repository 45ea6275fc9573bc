/** A pooler in transaction mode between the store and its server. */
import pg from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createRuntime } from "../../runtime/runtime.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { migrate } from "../../runtime/store/postgres/migrate.ts";
import { act } from "../../sdk/client/act.ts";
import { formatId } from "../../sdk/port/id.ts";
import type { Added } from "../../sdk/port/target.ts";
import { aNode, aRun, lease, only, settled } from "../kit/build.ts";
import { type Database, freshDatabase } from "../kit/database.ts";
import { type Pooler, startPooler } from "../kit/pooler.ts";
import { until } from "../kit/until.ts";
import { aJob } from "../runtime/kit.ts";

let database: Database;
let pooler: Pooler;
let url: string;
let warnings: Error[];
const note = (warning: Error): void => void (warning.name === "TaskerWarning" && warnings.push(warning));
beforeEach(async () => {
  database = await freshDatabase();
  pooler = await startPooler(database.url);
  const place = new URL(database.url);
  place.host = `127.0.0.1:${pooler.port}`;
  url = place.href;
  warnings = [];
  process.on("warning", note);
});
afterEach(async () => {
  process.off("warning", note);
  await pooler.close();
  await database.drop();
});

test("several stores start behind one session, run what is added, and say once each what it costs", async () => {
  const direct = postgres({ url: database.url });
  await direct.open();
  const ran: string[] = [];
  const runtimes = ["a", "b"].map((name) => {
    const job = aJob(() => void ran.push(name), { id: name });
    return createRuntime({ store: postgres({ url, migrate: false }), jobs: [job], name, poll: "50ms" });
  });

  for (const runtime of runtimes) await runtime.start();
  await direct.add(["a", "b"].map((job) => aRun({ job })));

  await until(() => ran.length === 2, { what: "both have run" });
  await Promise.all(runtimes.map((runtime) => runtime.stop()));
  expect(warnings.map(({ message }) => message)).toEqual(runtimes.map(() => expect.stringMatching(/pooler/) as string));
  await direct.close();
});

test("other applications of the pooler find its sessions as they were, and nobody listening there", async () => {
  await migrate({ url: database.url });
  const store = postgres({ url, migrate: false });
  const other = new pg.Client(url);
  await other.connect();
  const settings = "select name, setting from pg_settings where source = 'session' and name <> 'application_name'";
  const before = (await other.query(settings)).rows;

  await store.runs.listen(1, () => undefined);
  await store.find.get(1);

  expect((await other.query(settings)).rows).toEqual(before);
  expect((await other.query("select pg_listening_channels()")).rows).toEqual([]);
  expect((await other.query("select name from pg_prepared_statements")).rows).toEqual([]);
  await other.end();
  await store.close();
});

test("a result comes within a tenth of what it took, though nobody is told", async () => {
  const direct = postgres({ url: database.url });
  await direct.open();
  const store = postgres({ url, migrate: false });
  const node = await direct.nodes.join(aNode(), 60_000);
  const { id } = only(await store.add([aRun()])) as Added;

  const awaited = store.find.awaited(id, 20_000);
  await until(async () => (await direct.find.get(id)) !== null, { what: "it is there" });
  await direct.runs.settle([settled(only(await lease(direct, node)))]);
  const settledAt = performance.now();
  const run = await awaited;

  expect(run?.status).toBe("completed");
  expect(performance.now() - settledAt).toBeLessThan(500);
  await store.close();
  await direct.close();
});

test("a run that is leased ahead behind a pooler is canceled before its instant, or the cancel says that it was not", async () => {
  const direct = postgres({ url: database.url });
  await direct.open();
  const started = new Set<string>();
  const job = aJob((_payload, ctx) => void started.add(ctx.run.id));
  const runtime = createRuntime({ store: postgres({ url, migrate: false }), jobs: [job] });
  await runtime.start();
  const ids = (await direct.add(Array.from({ length: 20 }, () => aRun({ delayMs: 1800 })))).map(
    (added) => (added as Added).id,
  );
  await until(async () => (await direct.find.list({ status: ["leased"] })).items.length === 20, {
    what: "all are leased",
  });

  const acts = await act(direct, "cancel", ids);

  const done = acts.filter((one) => one.done === "done").map(({ id }) => formatId(id));
  expect(acts.every(({ done, status }) => (done === "done" ? status === "canceled" : done === "asked"))).toBe(true);
  expect(done).toHaveLength(20);
  await runtime.stop();
  expect(done.filter((id) => started.has(id))).toEqual([]);
  await direct.close();
});
