import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Settings } from "../../cli/config.ts";
import { BadUsage } from "../../cli/error.ts";
import { announce, locate, noDatabase } from "../../cli/database.ts";
import { running } from "../../sdk/client/source.ts";
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

test("a file has the address, as mounted secrets have; a flag needs no file, and one that is absent is no reason to look elsewhere", async () => {
  const cwd = folder({ secret: "postgres://secret\n", ".tasker/dev.json": note(process.pid) });
  const env = { TASKER_DATABASE_URL_FILE: join(cwd, "secret") };
  const absent = { TASKER_DATABASE_URL_FILE: join(cwd, "absent") };
  const flag = { "database-url": "postgres://flag" };

  const found = locate(await read({}, env, cwd), cwd);
  const given = locate(await read(flag, absent, cwd), cwd);

  expect(found).toMatchObject({ url: "postgres://secret", from: "TASKER_DATABASE_URL_FILE" });
  expect(given).toMatchObject({ url: "postgres://flag" });
  const said = read({}, absent, cwd);
  await expect(said).rejects.toThrow(/^TASKER_DATABASE_URL_FILE: ".*absent" can't be read/);
  await expect(said).rejects.toBeInstanceOf(BadUsage);
});

test("a dev of a folder above is found; one whose process has gone is not", () => {
  const alive = folder({ ".tasker/dev.json": note(process.pid), "a/b/.keep": "" });
  const dead = folder({ ".tasker/dev.json": note(gone) });
  const torn = folder({ ".tasker/dev.json": `{"url":` });

  expect(running(join(alive, "a", "b"))).toEqual({
    url: "postgres://dev",
    schema: "tasker",
    pid: process.pid,
    command: "dev",
  });
  expect([running(dead), running(torn)]).toEqual([null, null]);
});

test("DATABASE_URL is never used, and the error names the ways", async () => {
  const cwd = folder();

  expect(locate(await read({}, { DATABASE_URL: "postgres://other" }, cwd), cwd)).toBeNull();
  for (const way of ["--database-url", "TASKER_DATABASE_URL", "tasker.config.ts", "tasker dev"])
    expect(noDatabase().message).toContain(way);
});

test("a process leaves a note for its folder, readable by its user alone, and takes it away", async () => {
  const cwd = folder({ ".tasker/dev.json": note(gone) });
  const path = join(cwd, ".tasker", "dev.json");
  const before = process.listenerCount("exit");

  const left = announce({ url: "postgres://embedded", schema: "own", from: "" }, "start", { cwd });
  const second = announce({ url: "postgres://other", schema: "own", from: "" }, "dev", { cwd });
  const found = locate(await read({}, {}, cwd), cwd);
  const mode = statSync(path).mode & 0o777;
  const listening = process.listenerCount("exit");
  left!.remove();

  expect([second, mode, listening]).toEqual([null, 0o600, before + 1]);
  expect(found).toEqual({ url: "postgres://embedded", schema: "own", from: `tasker start (pid ${process.pid})` });
  expect([existsSync(path), process.listenerCount("exit")]).toEqual([false, before]);
});

test.each([
  ["memory:", /^--database-url: a store in memory ends with its process, and no other can reach it; name a Postgres/],
  [
    "mysql://u:s3cret@db/app",
    /^--database-url: "mysql:\/\/u:\*\*\*@db\/app" is not the address of a Postgres; write it like postgres:\/\/user/,
  ],
  ["app", /^--database-url: "app" is not the address of a Postgres/],
])("the database %j is refused", async (url, message) => {
  const cwd = folder();
  const settings = await read({ "database-url": url }, {}, cwd);

  expect(() => locate(settings, cwd)).toThrow(BadUsage);
  expect(() => locate(settings, cwd)).toThrow(message);
});
