/** Webhooks and real processes: each event is delivered by one of them. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";
import { expect, onTestFinished, test } from "vitest";
import { formatId } from "../../sdk/port/id.ts";
import { addMany, wire } from "../kit/build.ts";
import { startWorker } from "../kit/worker.ts";
import { allEnded, everything, freshStore } from "./kit.ts";

test("two nodes deliver each event once between them", { timeout: 90_000 }, async () => {
  const { url, store } = await freshStore();
  const secret = `whsec_${Buffer.alloc(24, 1).toString("base64")}`;
  const seen: string[] = [];
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const event = new Webhook(secret).verify(body, request.headers as Record<string, string>) as {
        data: { run: string };
      };
      seen.push(event.data.run);
      response.writeHead(204).end();
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const hooks = [{ url: `http://127.0.0.1:${port}`, events: ["run.completed"], secret, allow: ["127.0.0.1"] }];
  const flags = ["--webhooks", JSON.stringify(hooks), "--slots", "5"];
  const workers = await Promise.all([startWorker(url, flags), startWorker(url, flags)]);

  const ids = await addMany(store, 60, { job: "work", input: wire({ ms: 20 }) });
  await allEnded(store);

  const deliveries = (await everything(store)).filter(({ job }) => job === "tasker/webhook");
  expect(seen.toSorted()).toEqual(ids.map(formatId).toSorted());
  expect(deliveries.map(({ status }) => status)).toEqual(Array(60).fill("completed"));
  expect(workers.filter((worker) => worker.ledger().length > 0)).toHaveLength(2);
  expect(workers.map((worker) => worker.log()).join()).not.toContain(secret);
});
