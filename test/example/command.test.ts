/** The commands of the READMEs of workflows, run as they stand there. */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { expect, onTestFinished, test, vi } from "vitest";
import { freshDatabase } from "../kit/database.ts";
import { until } from "../kit/until.ts";
import { example, tasker } from "./kit.ts";

interface Listed {
  readonly items: readonly { readonly status: string; readonly result: unknown }[];
}

async function listening(server: Server): Promise<string> {
  await once(server.listen(0, "127.0.0.1"), "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each([
  ["order", [{ status: "shipped" }, { status: "shipped" }]],
  ["approval", [{ approved: true, by: "Grace" }]],
  ["fan-out", [null, 200, { checked: 2, dead: ["https://example.com/gone"] }]],
  ["subscription", [{ months: 1, ended: "too dear" }]],
])("those of %s", { timeout: 60_000 }, async (name, results) => {
  const links = createServer(({ url }, response) => void response.writeHead(url === "/gone" ? 404 : 200).end());
  const [shop, web] = [createServer(), await listening(links)];
  vi.stubEnv("SHOP_URL", await listening(shop));
  shop.close();
  const database = await freshDatabase();
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    links.close();
    await database.drop();
  });
  const [, block] = /^```\n(.*?)^```$/ms.exec(readFileSync(example(`${name}/README.md`), "utf8"))!;
  const [dev, ...lines] = block!
    .replaceAll("https://example.com", web)
    .trimEnd()
    .split("\n")
    .map((line) =>
      [...line.replace(/ +#.*/, "").matchAll(/'([^']*)'|(\S+)/g)]
        .slice(2)
        .map(([, quoted, word]) => quoted ?? word!.replace(/^examples\//, example(""))),
    );

  const served = tasker(database.url, ...dev!);
  let log = "";
  served.child.stdout!.on("data", (part: Buffer) => (log += part.toString()));
  const says = (text: RegExp): Promise<string> => until(() => text.exec(log)?.[0], { what: () => `${text} in ${log}` });
  await says(/Ready/);
  for (const line of lines) {
    const words = await Promise.all(line.map(async (word) => (word === "tok_…" ? says(/tok_[\w.-]+/) : word)));
    const { code, output } = await tasker(database.url, ...words).ended;
    expect({ code, output }).toMatchObject({ code: 0 });
  }
  const runs = async (): Promise<Listed["items"]> =>
    (JSON.parse((await tasker(database.url, "runs", "--json").ended).output) as Listed).items;
  const ended = await until(
    async () => {
      const items = await runs();
      return items.every(({ status }) => status === "completed" || status === "failed") ? items : null;
    },
    { what: "all runs have ended" },
  );
  served.child.kill("SIGTERM");
  await served.ended;

  const found = JSON.stringify(ended.map(({ result }) => result)).replaceAll(web, "https://example.com");
  expect(JSON.parse(found)).toMatchObject(results);
});
