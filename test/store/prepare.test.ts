import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { close, configure } from "../../sdk/client/config.ts";
import { stats } from "../../sdk/client/runs.ts";
import { StoreUnavailable } from "../../sdk/port/error.ts";
import { freshDatabase, type Database } from "../kit/database.ts";
import { startProxy, type Proxy } from "../kit/proxy.ts";

let database: Database;
let proxy: Proxy;
const url = new URL("postgres://x");
beforeAll(async () => {
  database = await freshDatabase();
  url.href = database.url;
  proxy = await startProxy(Number(url.port));
  url.port = String(proxy.port);
});
afterEach(() => close());
afterAll(async () => {
  void proxy.close();
  await database.drop();
});

test("a process that is told to use no named statements sends none", async () => {
  configure({ url: url.href, prepare: false });
  proxy.lose("tasker_depth"); // the name of a statement: a connection that sends it is ended, and `lost` counts it
  await stats();
  const without = proxy.lost;
  await close();

  configure({ url: url.href });

  await expect(stats()).rejects.toThrow(StoreUnavailable);
  expect([without, proxy.lost]).toEqual([0, 1]);
});
