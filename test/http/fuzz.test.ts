/** Requests that are made from the document: none fails inside, none takes long, and each answer is one that the document has. TASKER_FUZZ is their
 *  number on each store. */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import fc from "fast-check";
import { Agent } from "node:http";
import { expect, test } from "vitest";
import { memory } from "../../runtime/store/memory/index.ts";
import { routes } from "../../runtime/http/routes.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { freshDatabase } from "../kit/database.ts";
import { requests, type Asked, type Document } from "./arbitrary.ts";
import { anApi, send, type Api, type Reply } from "./kit.ts";

const count = Number(process.env["TASKER_FUZZ"] || 1500);
/** A short run shares its machine with others. */
const longestMs = process.env["TASKER_FUZZ"] ? 1000 : 5000;

/** Checks answers by the document's own schemas. */
function checker(document: Document): (asked: Asked, reply: Reply) => string | null {
  const ajv = new Ajv2020({ strict: false, allErrors: false });
  formats.default(ajv);
  ajv.addSchema(document, "doc.json");
  const known = new Map<string, ValidateFunction>();
  const validatorOf = ({ operation }: Asked, status: number, type: string): ValidateFunction | null => {
    const { responses } = operation;
    const place = String(status) in responses ? String(status) : "default";
    const schema = responses[place]?.content?.[type]?.schema;
    if (!schema) return null;
    const name = `${operation.operationId} ${place} ${type}`;
    if (!known.has(name))
      known.set(name, ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/', '"doc.json#/')) as object));
    return known.get(name)!;
  };
  return (asked, { status, headers, body }) => {
    const type = headers.get("content-type")?.split(";", 1)[0] ?? null;
    const said = asked.operation.responses[String(status)];
    if (type === null) return status === 204 && said && !said.content ? null : `no body with ${status}`;
    if (type === "text/html" || type === "text/plain") return status === 200 ? null : `a page with ${status}`;
    const valid = validatorOf(asked, status, type);
    if (!valid) return `${type} with ${status} is not in the document`;
    return valid(body) ? null : `${ajv.errorsText(valid.errors)} in ${JSON.stringify(body).slice(0, 500)}`;
  };
}

/** Runs, schedules and keys that requests find. */
async function filled(api: Api): Promise<void> {
  const batch = Array.from({ length: 30 }, (_, i) => ({
    job: i % 2 ? "any" : "hello",
    payload: i % 3 ? { name: `n${i}` } : "fail",
    options: { idempotencyKey: `key-${i}`, tags: ["user:7"], ...(i % 4 === 0 && { delay: "1h" }) },
  }));
  await api.post("/api/v1/batch", batch);
  for (const key of ["a", "user:7"])
    await api.call("PUT", `/api/v1/schedules/any@${key}`, { body: { every: "1h", payload: { name: "x" } } });
}

const known = {
  id: Array.from({ length: 30 }, (_, i) => `run_${(i + 1).toString(36)}`).concat("any@a", "any@user:7", "hello"),
  ids: ["run_1", "run_2", "run_9", "run_a"],
  job: ["any", "hello"],
  queue: ["default", "mail"],
  key: ["key-1", "key-2", "a", "user:7"],
  tags: ["user:7"],
  event: ["paid"],
  wait: ["0ms", "5ms", "20ms"],
  cron: ["0 9 * * *", "@daily", "*/5 * * * * *"],
  timezone: ["Europe/Paris", "UTC"],
  every: ["1h", "90s"],
  "Idempotency-Key": ["key-1", '"key-2"'],
  "If-Match": ["*", '"nope"'],
  "If-None-Match": ["*"],
};

test.each(["memory", "postgres"])(
  "no request that the document allows, or nearly, breaks the server on %s",
  { timeout: 600_000 + count * 50 },
  async (kind) => {
    const database = kind === "postgres" ? await freshDatabase() : null;
    const api = await anApi({ store: database ? postgres({ url: database.url }) : memory() });
    await filled(api);
    const document = (await api.get("/api/v1/openapi.json")).body as unknown as Document;
    const streams = routes.filter(({ isStream }) => isStream).map(({ id }) => id); // they do not end
    const wrongOf = checker(document);
    const agent = new Agent({ keepAlive: true });
    const statuses = new Map<number, number>();
    let slowestMs = 0;

    await fc.assert(
      fc.asyncProperty(requests(document, known, streams), async (asked) => {
        const sinceMs = performance.now();
        const reply = await send(api.url, asked.method, asked.path, { ...asked, agent });
        const tookMs = performance.now() - sinceMs;
        slowestMs = Math.max(slowestMs, tookMs);
        statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1);
        expect([reply.status < 500 || reply.body.code, tookMs < longestMs || tookMs, wrongOf(asked, reply)]).toEqual([
          true,
          true,
          null,
        ]);
      }),
      {
        numRuns: count,
        ignoreEqualValues: false,
        ...(process.env["TASKER_FUZZ_SEED"] && { seed: Number(process.env["TASKER_FUZZ_SEED"]) }),
      },
    );

    const shares = Object.fromEntries([...statuses].sort(([a], [b]) => a - b));
    console.log(`${count} requests on ${kind}: slowest ${Math.round(slowestMs)} ms, ${JSON.stringify(shares)}`);
    expect(shares[200]! + shares[207]!).toBeGreaterThan(count / 10); // they get somewhere
    expect(api.lines.filter(({ message }) => message === "A request over HTTP failed")).toEqual([]);
    expect(await api.get("/readyz", { token: null })).toMatchObject({ status: 200 });
    agent.destroy();
    await api.close();
    await database?.drop();
  },
);
