import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import { close, configure, target } from "../../../sdk/client/config.ts";
import { InvalidInput, NotConfigured, StoreUnavailable } from "../../../sdk/port/error.ts";
import { defineJob } from "../../../sdk/job.ts";
import { inRuntime, slot } from "../../../sdk/client/scope.ts";
import { locate } from "../../../sdk/client/source.ts";
import { recorder } from "./recorder.ts";

const run = promisify(execFile);
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tasker-config-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await close();
  rmSync(folder, { recursive: true });
});

const dead = 2 ** 22 + 1; // above the largest pid of Linux

/** Leaves what a running `tasker dev` leaves in a folder. */
function dev(at: string, note: unknown): void {
  mkdirSync(join(at, ".tasker"), { recursive: true });
  writeFileSync(join(at, ".tasker", "dev.json"), typeof note === "string" ? note : JSON.stringify(note));
}

/** No variable that leads to a store, and no dev above. */
function nowhere(): void {
  for (const name of ["TASKER_DATABASE_URL", "TASKER_DATABASE_URL_FILE", "TASKER_URL", "CI", "NODE_ENV"])
    vi.stubEnv(name, "");
  vi.spyOn(process, "cwd").mockReturnValue(folder);
}

describe("locate", () => {
  const url = "postgres://127.0.0.1:5432/dev";

  test("TASKER_DATABASE_URL comes first, with its schema", () => {
    dev(folder, { url, pid: process.pid });

    const source = locate({
      env: { TASKER_DATABASE_URL: "postgres://db/app", TASKER_SCHEMA: "jobs", TASKER_URL: "http://x" },
      cwd: folder,
    });

    expect(source).toEqual({ kind: "url", url: "postgres://db/app", schema: "jobs" });
  });

  test("TASKER_DATABASE_URL_FILE names a file with the address; one that can't be read is an error, not a reason to look elsewhere", () => {
    const file = join(folder, "secret");
    const at = (path: string) => () => locate({ env: { TASKER_DATABASE_URL_FILE: path }, cwd: folder });
    dev(folder, { url, pid: process.pid });
    writeFileSync(file, "postgres://db/app\n");

    expect(at(file)()).toMatchObject({ kind: "url", url: "postgres://db/app" });
    expect(at(join(folder, "absent"))).toThrow(/^TASKER_DATABASE_URL_FILE: ".*absent" can't be read: ENOENT/);
    writeFileSync(file, "\n");
    expect(at(file)).toThrow(/^TASKER_DATABASE_URL_FILE: ".*secret" is empty/);
  });

  test("TASKER_PREPARE turns named statements off; what is neither true nor false is refused", () => {
    const env = { TASKER_DATABASE_URL: "postgres://db/app" };

    expect(locate({ env: { ...env, TASKER_PREPARE: "false" } })).toMatchObject({ prepare: false });
    expect(() => locate({ env: { ...env, TASKER_PREPARE: "maybe" } })).toThrow(/^TASKER_PREPARE "maybe" is neither/);
    expect(() => configure({ url: "postgres://db/app", prepare: "no" as never })).toThrow(/^prepare "no" is neither/);
  });

  test("without a database TASKER_URL is a server, with its token", () => {
    expect(locate({ env: { TASKER_URL: "http://x", TASKER_TOKEN: "secret" }, cwd: folder })).toEqual({
      ...{ kind: "url", url: "http://x", token: "secret" },
    });
  });

  test("a running dev is found upwards, the nearest first", () => {
    const inner = join(folder, "app", "src");
    mkdirSync(inner, { recursive: true });
    dev(folder, { url: `${url}-outer`, pid: process.pid });
    dev(join(folder, "app"), { url, pid: process.pid });

    expect(locate({ env: {}, cwd: inner })).toEqual({ kind: "url", url, schema: "tasker" });
  });

  test.each<[string, unknown]>([
    ["whose process has gone", { url, pid: dead }],
    ["that is being written", '{"url":"postg'],
    ["without a pid", { url }],
    ["with a pid that means a group", { url, pid: -1 }],
    ["with pid 0", { url, pid: 0 }],
    ["that is null", "null"],
  ])("a note %s is not used", (_, note) => {
    dev(folder, note);

    expect(locate({ env: {}, cwd: folder })).toBeNull();
  });

  test("a live dev above is used past a dead one", () => {
    const inner = join(folder, "app");
    mkdirSync(inner);
    dev(folder, { url, pid: process.pid });
    dev(inner, { url: "postgres://old", pid: dead });

    expect(locate({ env: {}, cwd: inner })).toMatchObject({ url });
  });

  test.each([{ NODE_ENV: "production" }, { CI: "true" }, { CI: "1" }])("dev is never used under %j", (env) => {
    dev(folder, { url, pid: process.pid });

    expect(locate({ env, cwd: folder })).toBeNull();
  });

  test("CI=false is no CI", () => {
    dev(folder, { url, pid: process.pid });

    expect(locate({ env: { CI: "false" }, cwd: folder })).toMatchObject({ url });
  });
});

describe("target", () => {
  test("without any way is an error that names all of them", async () => {
    nowhere();

    await expect(target()).rejects.toThrow(NotConfigured);
    await expect(target()).rejects.toThrow(/configure.*TASKER_DATABASE_URL.*tasker dev/);
  });

  test("is the store that was configured, opened once for any number of callers, on first use", async () => {
    const store = recorder();
    configure({ store });
    const before = store.opened;

    const targets = await Promise.all([target(), target(), target()]);

    expect([before, store.opened]).toEqual([0, 1]);
    expect(targets).toEqual([store, store, store]);
  });

  test("a failed open fails its callers, and the next one tries again", async () => {
    let fails = true;
    const store = recorder({
      open: async () => {
        if (fails) throw new StoreUnavailable("test", "away");
      },
    });
    configure({ store });

    await expect(Promise.all([target(), target()])).rejects.toThrow(StoreUnavailable);
    fails = false;

    expect(await target()).toBe(store);
    expect(store.opened).toBe(2);
  });

  test("configure again replaces the store", async () => {
    const [first, second] = [recorder(), recorder()];
    configure({ store: first });
    await target();

    configure({ store: second });

    expect(await target()).toBe(second);
    expect(first.closed).toBe(0);
  });

  test("within a handler it is the runtime's, also in what goes on later, and for any job", async () => {
    const [own, configured] = [recorder(), recorder()];
    configure({ store: configured });
    const job = defineJob({ id: "job", schema: z.void(), handler: () => 1 });

    await inRuntime(own, async () => {
      await Promise.resolve();
      await job.trigger();
    });
    await job.trigger();

    expect([own.adds.length, configured.adds.length, own.opened]).toEqual([1, 1, 0]);
  });

  test("close ends what was opened, once, and forgets it", async () => {
    nowhere();
    const store = recorder();
    configure({ store });
    await target();

    await close();
    await close();

    expect(store.closed).toBe(1);
    await expect(target()).rejects.toThrow(NotConfigured);
  });

  test("close before any use, and after a failed open, ends nothing", async () => {
    const store = recorder({
      open: async () => {
        throw new Error("away");
      },
    });
    configure({ store });
    await target().catch(() => undefined);

    await close();

    expect(store.closed).toBe(0);
  });

  test("a doubly loaded module shares the slot", () => {
    expect((globalThis as Record<symbol, unknown>)[Symbol.for("tasker")]).toBe(slot());
  });
});

test.each([{}, { store: recorder(), url: "memory:" }, { url: "" }, { url: 5 }])(
  "configure refuses %j",
  (connection) => {
    expect(() => configure(connection as never)).toThrow(InvalidInput);
  },
);

test("configure takes the address of a store and loads it on first use", async () => {
  configure({ url: "memory:" });

  const store = await target();

  expect((await store.find.list({})).items).toEqual([]);
  expect(await target()).toBe(store);
});

test("importing the package loads no database driver", async () => {
  const index = new URL("../../../sdk/index.ts", import.meta.url).href;
  const script = `
    const { createRequire } = await import("node:module");
    const drivers = () => Object.keys(createRequire(${JSON.stringify(index)}).cache).filter((file) => /node_modules.(pg|ioredis)\\W/.test(file)).length > 0;
    await import(${JSON.stringify(index)});
    const afterIndex = drivers();
    await import("pg");
    console.log(JSON.stringify([afterIndex, drivers()]));`;

  const { stdout } = await run(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script]);

  expect(JSON.parse(stdout)).toEqual([false, true]); // the second shows that the probe sees a driver
});
