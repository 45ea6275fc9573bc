/** The connection that hears notifications, and a server that falls silent on it. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import pg from "pg";
import { afterEach, beforeEach, expect, test } from "vitest";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { type Database, freshDatabase } from "../kit/database.ts";
import { type Proxy, startProxy } from "../kit/proxy.ts";
import { until } from "../kit/until.ts";

let database: Database;
let proxy: Proxy;
let url: string;
beforeEach(async () => {
  database = await freshDatabase();
  const place = new URL(database.url);
  proxy = await startProxy(Number(place.port));
  place.host = `127.0.0.1:${proxy.port}`;
  url = place.href;
  proxy.hush("listen ");
});
afterEach(async () => {
  await proxy.close();
  await database.drop();
});

test("a server that falls silent at LISTEN is given up, and listened to again later", async () => {
  const store = postgres({ url, migrate: false });
  const other = new pg.Client(database.url);
  await other.connect();
  let heard = 0;

  await store.runs.listen(1, () => heard++);
  proxy.hush(null);
  await until(() => heard > 0, { what: "it looks for what it missed" });
  const before = heard;
  await other.query("select pg_notify('tasker:tasker', 'd')");

  await until(() => heard > before, { what: "it hears" });
  await store.close();
  await other.end();
});

test("a process that waits for LISTEN does not end by itself meanwhile", async () => {
  const store = new URL("../../runtime/store/postgres/index.ts", import.meta.url).href;
  const script = `
    import { postgres } from ${JSON.stringify(store)};
    await postgres({ url: ${JSON.stringify(url)}, migrate: false }).runs.listen(1, () => {});
    console.log("it went on");
    process.exit();`;

  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", script]);

  expect(await text(child.stdout)).toBe("it went on\n");
});
