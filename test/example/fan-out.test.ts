import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { runs } from "tasker";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkLink, checkLinks } from "../../examples/fan-out/links.ts";
import { stages } from "./stage.ts";

let service: Server;
let base = "";
let asked: string[] = [];
beforeAll(async () => {
  service = createServer((request, response) => {
    asked.push(request.url!);
    response.writeHead(/^\/\d*7$/.test(request.url!) ? 404 : 200).end();
  }).listen(0, "127.0.0.1");
  await once(service, "listening");
  base = `http://127.0.0.1:${(service.address() as AddressInfo).port}/`;
});
afterAll(() => void service.close());

describe.each(stages())("on %s", (_store, open) => {
  test("a thousand links are asked for, each once, and the parent sums up", { timeout: 90_000 }, async () => {
    asked = [];
    await using t = await open({ jobs: [checkLink, checkLinks] });
    const urls = Array.from({ length: 1000 }, (_, i) => `${base}${i}`);

    const run = await checkLinks.trigger(urls);
    await t.idle();

    expect(await run.result()).toEqual({ checked: 1000, dead: urls.filter((url) => url.endsWith("7")) });
    expect(new Set(asked).size).toBe(1000);
    expect(asked).toHaveLength(1000);
    expect(await run.get()).toMatchObject({ status: "completed", attempt: 1 });
  });

  test("nothing is asked for twice by a parent whose process died", async () => {
    asked = [];
    await using t = await open({ jobs: [checkLink, checkLinks] });
    const urls = ["1", "2", "3"].map((path) => base + path);

    t.crashAfter(2);
    const run = await checkLinks.trigger(urls);
    await t.idle();

    expect(await run.result()).toEqual({ checked: 3, dead: [] });
    expect((await runs.list({ job: "check-link" })).items).toHaveLength(3);
  });
});
