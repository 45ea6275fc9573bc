import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { StoreUnusable } from "../../sdk/port/error.ts";
import { findBinary } from "../../runtime/store/postgres/embedded/binary.ts";
import { openLog, startChild } from "../../runtime/store/postgres/embedded/child.ts";
import { type Embedded, startEmbedded } from "../../runtime/store/postgres/embedded.ts";
import { until } from "../kit/until.ts";

const module = fileURLToPath(new URL("../../runtime/store/postgres/embedded.ts", import.meta.url));
const root = process.getuid?.() === 0;
const { major } = findBinary();
const nobody = { uid: 65534, gid: 65534 };
const open = 0o755; // as a project's folder is: the server's user may enter it

/** A folder with data, for the tests that need none of their own: making them is most of a test's time. */
let shared = "";
let undo: (() => unknown)[] = [];

beforeAll(async () => {
  shared = folder(open);
  const gone = undo;
  undo = [];
  await (await startEmbedded({ dir: shared, fsync: false })).stop();
  return () => gone.forEach((step) => step());
});

afterEach(async () => {
  vi.unstubAllEnvs();
  for (const step of undo.splice(0).reverse()) await step();
});

/** A folder that goes when the test ends. */
function folder(mode: number): string {
  const path = mkdtempSync(join(tmpdir(), "tasker-test-"));
  chmodSync(path, mode);
  undo.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A server in this process, stopped when the test ends. */
async function start(dir = shared): Promise<Embedded> {
  const server = await startEmbedded({ dir, fsync: false });
  undo.push(server.stop);
  return server;
}

type Shown = Omit<Embedded, "stop">;

/** A starter in a process of its own: it shows the server that it got, or says why it got none, and stops it when its input ends. */
function starter<Said = Shown>(
  dir = shared,
  user: Partial<typeof nobody> = {},
): { readonly child: ChildProcess; readonly shown: Promise<Said> } {
  const script = `
    const { startEmbedded } = await import(${JSON.stringify(module)});
    const server = await startEmbedded({ dir: ${JSON.stringify(dir)}, fsync: false }).catch(({ message }) => message);
    console.log(JSON.stringify(server));
    process.stdin.resume().on("end", () => server.stop());`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    ...user,
    stdio: ["pipe", "pipe", "inherit"],
  });
  undo.push(() => kill(child));
  const lines = createInterface({ input: child.stdout });
  return { child, shown: once(lines, "line").then(([line]) => JSON.parse(String(line)) as Said) };
}

/** Containers often forbid it, to root too. */
function mountable(): boolean {
  if (!root || process.platform !== "linux") return false;
  const dir = mkdtempSync(join(tmpdir(), "tasker-test-"));
  const made = spawnSync("mount", ["-t", "tmpfs", "none", dir]).status === 0;
  if (made) execFileSync("umount", [dir]);
  rmdirSync(dir);
  return made;
}

function locks(dir: string): readonly string[] {
  return readdirSync(dir)
    .filter((name) => name.startsWith("postgres.lock"))
    .sort();
}

/** As a crash would: no handler runs. */
async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

/** A process's id is known, and it has not just become a zombie. */
function running(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  return !existsSync("/proc/self/stat") || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}

test("a fresh start gives a server with the database and the user tasker, and a password that only its owner can read", async () => {
  const dir = folder(open);
  const server = await start(dir);

  const rows = await query(server.url, "select current_user::text as who, current_database()::text as db");

  expect(rows).toEqual([{ who: "tasker", db: "tasker" }]);
  expect(server).toMatchObject({ reused: false, data: join(dir, `pg${major}`) });
  expect(server.version).toMatch(new RegExp(`^${major}\\.`));
  expect(statSync(`${server.data}.password`).mode & 0o777).toBe(0o600);
});

test("nobody gets in without the password, and it is in no argument and no log", async () => {
  const server = await start();
  const url = new URL(server.url);
  const password = url.password;

  url.password = "guess";

  await expect(query(url.href, "select 1")).rejects.toThrow(/password authentication failed/);
  expect(readFileSync(join(shared, "postgres.log"), "utf8")).not.toContain(password);
  if (process.platform === "linux") expect(readFileSync(`/proc/${server.pid}/cmdline`, "utf8")).not.toContain(password);
});

test("a restart keeps the rows; stop may be called twice", async () => {
  const first = await start();
  await query(first.url, "create table kept_2 as select 42 as answer");
  await first.stop();
  await first.stop();

  const second = await start();

  expect(running(first.pid)).toBe(false);
  expect(await query(second.url, "select answer from kept_2")).toEqual([{ answer: 42 }]);
});

test("kill -9 of its only user ends the server, and the next start has every committed row", async () => {
  const owner = starter();
  const { url, pid } = await owner.shown;
  await query(url, "create table kept_3 as select generate_series(1, 1000) as n");

  await kill(owner.child);
  await until(() => !running(pid), { what: "the server has ended with its user" });
  const next = await start();

  expect(next.reused).toBe(false);
  expect(await query(next.url, "select count(*)::int as rows from kept_3")).toEqual([{ rows: 1000 }]);
});

test("of five starters at once one starts the server, and the others use it", async () => {
  const dir = folder(open);
  const starters = Array.from({ length: 5 }, () => starter(dir));

  const shown = await Promise.all(starters.map((one) => one.shown));

  expect(shown.filter((one) => !one.reused)).toHaveLength(1);
  expect(new Set(shown.map((one) => one.pid)).size).toBe(1);
  expect(new Set(shown.map((one) => one.url)).size).toBe(1);
  expect(readdirSync(dir).sort()).toEqual([`pg${major}`, `pg${major}.password`, "postgres.log"]);
}, 60_000);

test("a second process uses the running server, and leaves it running when it stops", async () => {
  const first = await start();
  const second = starter();
  const shown = await second.shown;

  const exited = once(second.child, "exit");
  second.child.stdin?.end();
  await exited;

  expect(shown).toMatchObject({ reused: true, url: first.url, pid: first.pid });
  expect(await query(first.url, "select 1 as up")).toEqual([{ up: 1 }]);
});

test("the server ends with the last that uses it; whoever starts next has a new one on the same data", async () => {
  const first = await start();
  const second = await start();

  await first.stop();
  await first.stop();
  await query(second.url, "create table kept_6 as select 1 as n");
  await second.stop();
  await first.ended;
  const third = await start();

  expect([second.reused, third.reused]).toEqual([true, false]);
  expect(await query(third.url, "select n from kept_6")).toEqual([{ n: 1 }]);
});

test("when the process that started the server is killed, the others go on without a break", async () => {
  const host = starter();
  const { url, pid } = await host.shown;
  const second = starter();
  expect(await second.shown).toMatchObject({ reused: true, pid });
  const client = new Client({ connectionString: url });
  await client.connect();
  undo.push(() => client.end());

  await kill(host.child);
  await client.query("create table kept_7 as select 1 as n");
  const third = await start();

  expect(third).toMatchObject({ reused: true, pid });
  await kill(second.child);
  expect((await client.query("select n from kept_7")).rows).toEqual([{ n: 1 }]);
  await client.end();
  await third.stop();
  await until(() => !running(pid), { what: "the server has ended with its last user" });
});

test("a server that was started by hand is joined, and left running", async () => {
  const first = await start();
  await first.stop();
  const { bin } = findBinary();
  const log = openLog(join(shared, "postgres.log"));
  const flags = ["-c", `port=${new URL(first.url).port}`, "-c", "unix_socket_directories="];
  const { uid, gid } = statSync(first.data);
  const byHand = startChild([join(bin, "postgres"), "-D", first.data, ...flags], root ? { uid, gid } : {}, log);
  undo.push(byHand.stop);
  await until(() => query(first.url, "select 1"), { what: "it answers" });

  const joined = await start();
  await joined.stop();

  expect(joined.reused).toBe(true);
  expect(await query(joined.url, "select 1 as up")).toEqual([{ up: 1 }]);
});

test("data of another major version are refused, with both versions and a way out", async () => {
  const dir = folder(open);
  const data = join(dir, `pg${major}`);
  mkdirSync(data);
  writeFileSync(join(data, "PG_VERSION"), "9\n");

  const started = start(dir);

  await expect(started).rejects.toThrow(StoreUnusable);
  await expect(started).rejects.toThrow(/holds data of PostgreSQL 9, but .* is PostgreSQL \d.*TASKER_PG_BIN/);
});

test("a start that was killed while it made the data folder is made good by the next", async () => {
  const dir = folder(open);
  const half = starter(dir);
  half.shown.catch(() => undefined);
  const name = await until(() => readdirSync(dir).find((entry) => entry.includes(".init-")), {
    what: "initdb has begun",
  });
  await until(() => existsSync(join(dir, name, "PG_VERSION")), { what: "initdb is half-way" });
  await kill(half.child);

  const server = await start(dir);

  expect(await query(server.url, "select 1 as up")).toEqual([{ up: 1 }]);
  expect(readdirSync(dir).filter((name) => /\.init-|\.lock/.test(name))).toEqual([]);
}, 60_000);

test.each([
  ["of a process that died", (dead: number) => `postgres.lock.${dead}-1a2b3c4d.4711-89abcdef`, ""],
  ["whose process has its id from another", () => `postgres.lock.${process.pid}-1a2b3c4d.4711-89abcdef`, ""],
  ["of an older version", () => "postgres.lock", "4194304 0123456789abcdef"],
  ["of an older version, cut short", () => "postgres.lock", ""],
  ["that an older version was breaking", () => "postgres.lock.0123456789abcdef", "4194304 0123456789abcdef"],
])("a claim of the lock %s holds nobody up, and is removed", { timeout: 10_000 }, async (_, nameOf, text) => {
  const dead = spawn("true");
  await once(dead, "exit");
  writeFileSync(join(shared, nameOf(dead.pid!)), text);

  const server = await start();

  expect(server.reused).toBe(false);
  expect(locks(shared)).toEqual([]);
});

test.runIf(root)(
  "a claim that another user left holds nobody up, even where it can't be removed",
  { timeout: 20_000 },
  async () => {
    const dir = folder(0o1777); // as /tmp: only the owner of a file may remove it
    const left = ["postgres.lock", "postgres.lock.4194304-1a2b3c4d.4711-89abcdef"];
    for (const name of left) writeFileSync(join(dir, name), "4194304 0123456789abcdef");

    const shown = await starter(dir, nobody).shown;

    expect(shown).toMatchObject({ reused: false });
    expect(locks(dir)).toEqual(left);
  },
);

test.runIf(root)("a folder of another user is refused with its name and a way out", { timeout: 10_000 }, async () => {
  const dir = folder(0o755);
  writeFileSync(join(dir, "postgres.lock"), "4194304 0123456789abcdef");

  const { shown } = starter<string>(dir, nobody);

  expect(await shown).toMatch(/^this user can't write to the folder ".*" \(EACCES: .*\); make it writable, or/);
});

test.runIf(mountable())("a disk that is read-only is refused by name, beside a stale lock too", async () => {
  const dir = folder(open);
  execFileSync("mount", ["-t", "tmpfs", "none", dir]);
  undo.push(() => execFileSync("umount", [dir]));
  writeFileSync(join(dir, "postgres.lock"), "4194304 0123456789abcdef");
  execFileSync("mount", ["-o", "remount,ro", dir]);

  await expect(start(dir)).rejects.toThrow(/^this user can't write to the folder ".*" \(EROFS: .*\); make it writable/);
});

test.each(["starting", "ready   ", "stopping"])(
  'a note of a server that is gone and was "%s", with the id of another process, holds nobody up',
  { timeout: 10_000 },
  async (state) => {
    const first = await start();
    const file = join(first.data, "postmaster.pid");
    const note = readFileSync(file, "utf8");
    await first.stop();
    writeFileSync(file, note.replace(/^\d+/, String(process.pid)).replace("ready   ", state)); // as in a container that starts again

    const server = await start();

    expect(server.reused).toBe(false);
  },
);

test("the id of another PostgreSQL server in the note holds nobody up either", { timeout: 20_000 }, async () => {
  const first = await start();
  const file = join(first.data, "postmaster.pid");
  const note = readFileSync(file, "utf8");
  await first.stop();
  const other = await start(folder(open));
  writeFileSync(file, note.replace(/^\d+/, String(other.pid)).replace("ready   ", "starting"));

  const server = await start();

  expect(server.reused).toBe(false);
  expect(running(other.pid)).toBe(true);
});

test("a server that stands still is not taken for gone", { timeout: 20_000 }, async () => {
  const first = await start();
  process.kill(first.pid, "SIGSTOP");
  undo.push(() => process.kill(first.pid, "SIGCONT"));

  await expect(start()).rejects.toThrow(/^process \d+ holds ".*", but does not answer; end it, or see/);
  expect(existsSync(join(first.data, "postmaster.pid"))).toBe(true);
});

test("a broken configuration fails quickly, with what the server said", async () => {
  const server = await start();
  await server.stop();
  const config = join(server.data, "postgresql.conf");
  const before = readFileSync(config);
  undo.push(() => writeFileSync(config, before));
  appendFileSync(config, "\nno_such_setting = on\n");

  const began = performance.now();
  const started = start();

  await expect(started).rejects.toThrow(/does not start; its log ".*postgres\.log" ends with: .*no_such_setting/);
  expect(performance.now() - began).toBeLessThan(5_000);
});

test("a lost password is reported with the file that it belongs in", async () => {
  const server = await start();
  await server.stop();
  renameSync(`${server.data}.password`, join(shared, "elsewhere"));
  undo.push(() => renameSync(join(shared, "elsewhere"), `${server.data}.password`));

  await expect(start()).rejects.toThrow(/password of ".*" is not in ".*\.password" any more; put it back/);
});

test("a TASKER_PG_BIN that holds no server is refused by name", async () => {
  vi.stubEnv("TASKER_PG_BIN", shared);

  await expect(start()).rejects.toThrow(/TASKER_PG_BIN is ".*", but there is no "postgres" in/);
});

test("Windows is refused, with a way out", async () => {
  const platform = vi.spyOn(process, "platform", "get").mockReturnValue("win32");
  undo.push(() => platform.mockRestore());

  await expect(start()).rejects.toThrow(/does not run on Windows; use WSL, or set TASKER_DATABASE_URL/);
});

test.runIf(root)("root's server runs as another user", async () => {
  const server = await start();

  const { uid } = statSync(server.data);

  expect(uid).not.toBe(0);
  if (process.platform === "linux") expect(statSync(`/proc/${server.pid}`).uid).toBe(uid);
});

test.runIf(root)(
  "a folder that the server's user can't enter: data and binaries go below the temp folder, and are found again",
  async () => {
    const hidden = folder(0o700);
    const { bin } = findBinary();
    cpSync(join(bin, ".."), join(hidden, "native"), { recursive: true, verbatimSymlinks: true });
    vi.stubEnv("TASKER_PG_BIN", join(hidden, "native", "bin"));

    const first = await start(hidden);
    const parent = join(first.data, "..");
    undo.unshift(() => rmSync(parent, { recursive: true, force: true }));
    await query(first.url, "create table kept_16 as select 1 as n");
    await first.stop();
    const second = await start(hidden);
    const third = await start(hidden);

    expect(parent.startsWith(join(tmpdir(), "tasker-"))).toBe(true);
    expect(statSync(parent).mode & 0o777).toBe(0o700);
    expect(await query(second.url, "select n from kept_16")).toEqual([{ n: 1 }]);
    expect(third).toMatchObject({ reused: true, url: second.url });
  },
  60_000,
);
