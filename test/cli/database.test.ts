import { join } from "node:path";
import { expect, test } from "vitest";
import type { Settings } from "../../cli/config.ts";
import { locate, noDatabase, running } from "../../cli/database.ts";
import { settings } from "../../cli/config.ts";
import { flags } from "./given.ts";
import { folder } from "./folder.ts";

const gone = 2 ** 22 + 1; // above the largest pid of a system

function note(pid: number, schema?: string): string {
  return JSON.stringify({ url: "postgres://dev", pid, schema });
}
async function read(given: Readonly<Record<string, string>>, env: NodeJS.ProcessEnv, cwd: string): Promise<Settings> {
  return settings(flags(given), env, cwd);
}

test("the flag wins over the variable, that over the config file, that over a running dev", async () => {
  const cwd = folder({
    "tasker.config.mjs": `export default { databaseUrl: "postgres://file" };`,
    ".tasker/dev.json": note(process.pid),
  });
  const plain = folder({ ".tasker/dev.json": note(process.pid, "other") });
  const env = { TASKER_DATABASE_URL: "postgres://env" };

  expect(locate(await read({ "database-url": "postgres://flag" }, env, cwd), cwd)).toMatchObject({
    url: "postgres://flag",
    from: "--database-url",
  });
  expect(locate(await read({}, env, cwd), cwd)).toMatchObject({ url: "postgres://env", from: "TASKER_DATABASE_URL" });
  expect(locate(await read({}, {}, cwd), cwd)).toMatchObject({ url: "postgres://file" });
  expect(locate(await read({}, {}, plain), plain)).toEqual({
    url: "postgres://dev",
    schema: "other",
    from: `tasker dev (pid ${process.pid})`,
  });
  expect(locate(await read({ schema: "mine" }, {}, plain), plain)).toMatchObject({ schema: "mine" });
});

test("a dev of a folder above is found; one whose process has gone is not", () => {
  const alive = folder({ ".tasker/dev.json": note(process.pid), "a/b/.keep": "" });
  const dead = folder({ ".tasker/dev.json": note(gone) });
  const torn = folder({ ".tasker/dev.json": `{"url":` });

  expect(running(join(alive, "a", "b"))).toEqual({ url: "postgres://dev", schema: "tasker", pid: process.pid });
  expect([running(dead), running(torn)]).toEqual([null, null]);
});

test("DATABASE_URL is never used, and the error names the ways", async () => {
  const cwd = folder();

  expect(locate(await read({}, { DATABASE_URL: "postgres://other" }, cwd), cwd)).toBeNull();
  for (const way of ["--database-url", "TASKER_DATABASE_URL", "tasker.config.ts", "tasker dev"])
    expect(noDatabase().message).toContain(way);
});
