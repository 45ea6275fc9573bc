/** The document and the page that are made from the table. */
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";
import { expect, onTestFinished, test } from "vitest";
import { routes } from "../../runtime/http/routes.ts";
import { admin, anApi } from "./kit.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = join(root, "test/http");

test("the document passes a public linter without a warning", async () => {
  const api = await anApi();

  const { body } = await api.get("/api/v1/openapi.json", { token: null });
  const problems = await lintFromString({
    source: JSON.stringify(body),
    config: await createConfig({ extends: ["recommended"] }),
  });

  expect(body["openapi"]).toBe("3.1.0");
  expect(problems.map(({ message, location }) => `${location[0]?.pointer}: ${message}`)).toEqual([]);
});

test("every route is in the document", async () => {
  const api = await anApi();

  const { paths } = (await api.get("/api/v1/openapi.json")).body as unknown as {
    paths: Record<string, Record<string, { operationId: string }>>;
  };

  const named = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(named.sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort());
});

test("the page shows every route, and neither runs nor loads anything", async () => {
  const api = await anApi();

  const { headers, body } = await api.get("/api/v1/docs", { token: null });
  const html = String(body);

  expect(headers.get("content-security-policy")).toMatch(/^default-src 'none'; style-src 'sha256-[^']+'; /);
  expect(html).not.toMatch(/<script|<link|<img|javascript:|\son\w+=|src=|url\(/i);
  expect([...html.matchAll(/href="([^"]*)"/g)].map(([, to]) => to).filter((to) => !to!.startsWith("#"))).toEqual([
    "openapi.json",
  ]);
  expect(routes.filter(({ id }) => !html.includes(`<details id="${id}">`))).toEqual([]);
  const ids = new Set([...html.matchAll(/id="([^"]*)"/g)].map(([, id]) => id));
  expect([...html.matchAll(/href="#([^"]*)"/g)].map(([, to]) => to).filter((to) => !ids.has(to))).toEqual([]);
});

/** What somebody writes with a client that a public generator made of the document. */
const program = `
import createClient from "openapi-fetch";
import type { paths } from "./api.d.ts";

export async function use(baseUrl: string, token: string) {
  const client = createClient<paths>({ baseUrl, headers: { Authorization: "Bearer " + token } });
  const { data: added } = await client.POST("/api/v1/jobs/{job}/trigger", {
    params: { path: { job: "hello" }, query: { wait: "10s" } },
    body: { payload: { name: "Ada" }, options: { tags: ["user:7"], priority: 3 } },
  });
  const { data: page } = await client.GET("/api/v1/runs", {
    params: { query: { status: ["completed", "failed"], tags: ["user:7"], payload: { name: "Ada" }, limit: 10 } },
  });
  const { data: batch } = await client.POST("/api/v1/batch", { body: [{ job: "hello", payload: { name: "Bob" } }, { job: "nope" }] });
  const { error, response } = await client.POST("/api/v1/runs/{id}/retry", { params: { path: { id: added!.id } } });
  const codes: (string | undefined)[] = batch!.items.map((item) => ("error" in item ? item.error.code : undefined));
  const first: "pending" | "leased" | "running" | "waiting" | "completed" | "failed" | "canceled" = page!.items[0]!.status;
  return { id: added!.id, result: added!.run?.result, first, found: page!.items.map((run) => run.id), codes, status: response.status, code: error?.code };
}
// @ts-expect-error there is no such address
createClient<paths>({}).GET("/api/v1/nothing");
// @ts-expect-error there is no such status
void createClient<paths>({}).GET("/api/v1/runs", { params: { query: { status: ["done"] } } });
`;

test("a client that a public generator makes of the document compiles, and works", async () => {
  const api = await anApi();
  const made = mkdtempSync(join(folder, ".generated-"));
  onTestFinished(() => rmSync(made, { recursive: true }));
  const { body } = await api.get("/api/v1/openapi.json");
  writeFileSync(join(made, "api.d.ts"), astToString(await openapiTS(JSON.stringify(body))));
  writeFileSync(join(made, "use.ts"), program);

  const wrong = complaints(join(made, "use.ts"));
  const { use } = (await import(pathToFileURL(join(made, "use.ts")).href)) as {
    use: (url: string, token: string) => Promise<{ id: string }>;
  };
  const used = await use(api.url, admin);

  expect(wrong).toEqual([]);
  expect(used).toEqual({
    ...{ id: used.id, result: { text: "hello Ada" }, first: "completed", found: [used.id] },
    ...{ codes: [undefined, "JOB_NOT_FOUND"], status: 409, code: "WRONG_STATE" },
  });
}, 120_000);

function complaints(file: string): readonly string[] {
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config,
    ts.sys,
    root,
  );
  const program = ts.createProgram([file], options);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, " "));
}
