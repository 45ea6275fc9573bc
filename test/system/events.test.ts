/** What is seen of nodes by a process that runs none: with real processes, on a real database. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../../sdk/job.ts";
import { formatId } from "../../sdk/port/id.ts";
import { createRuntime } from "../../runtime/runtime.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { launch, project, type Running } from "../cli/process.ts";
import { folder } from "../cli/folder.ts";
import { addMany, wire } from "../kit/build.ts";
import { until } from "../kit/until.ts";
import { startWorker, type Worker } from "../kit/worker.ts";
import { allEnded, freshStore } from "./kit.ts";

interface Seen {
  readonly id?: string;
  readonly type: string;
  readonly run: string;
  readonly node?: string;
  readonly lost?: number | null;
  readonly attempt?: number;
}

let url: string;
let store: Guarded;
beforeEach(async () => {
  ({ url, store } = await freshStore());
});

const add = async (count: number, ms: number): Promise<readonly string[]> =>
  (await addMany(store, count, { job: "work", input: wire({ ms }) })).map(formatId);

/** `tasker events` in a process of its own; resolves once it watches. */
async function follow(...flags: readonly string[]): Promise<Running & { seen(): readonly Seen[] }> {
  await store.feed.watch(60_000); // what it writes is told, so that the follower shows that it reads
  const following = launch(["events", "--json", ...flags], { cwd: folder(), env: { TASKER_DATABASE_URL: url } });
  const seen = (): readonly Seen[] =>
    following
      .out()
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Seen)
      .filter(({ node, type }) => type !== "node.started" || node !== "mark");
  const mark = JSON.stringify({ type: "node.started", node: "mark" });
  await until(async () => (await store.feed.write([mark]), following.out() !== ""), {
    what: "it follows",
    timeoutMs: 20_000,
  });
  return { ...following, seen };
}

function isIn(few: ReadonlySet<string>, all: ReadonlySet<string>): boolean {
  return [...few].every((one) => all.has(one));
}

/** For each run that this node ran, what was seen of it. */
function waysOf(seen: readonly Seen[], worker: Worker): readonly (readonly string[])[] {
  const ran = new Set(worker.ledger().map(({ run }) => run));
  return [...ran].map((run) => seen.filter((event) => event.run === run).map(({ type }) => type));
}

test(
  "a third process sees all events of two nodes, each node's in its order, and what is added by one that runs none",
  { timeout: 60_000 },
  async () => {
    const workers = await Promise.all([
      startWorker(url, ["--name", "one", "--slots", "10"]),
      startWorker(url, ["--name", "two", "--slots", "10"]),
    ]);
    const following = await follow();

    const ids = await add(100, 50);
    await allEnded(store);
    await until(() => following.seen().filter(({ type }) => type === "run.completed").length >= 100, {
      what: "all ends are seen",
    });

    expect(workers.every((worker) => worker.ledger().length > 0)).toBe(true);
    for (const worker of workers)
      for (const way of waysOf(following.seen(), worker))
        expect(way.filter((type) => type !== "run.scheduled")).toEqual(["run.started", "run.completed"]);
    const added = following.seen().filter(({ type }) => type === "run.scheduled");
    expect(added.map(({ run }) => run).toSorted()).toEqual([...ids].toSorted());
    expect(following.seen().filter(({ type }) => type === "gap")).toEqual([]);
    for (const worker of workers) worker.kill("SIGTERM");
    await until(() => following.seen().filter(({ type }) => type === "node.stopped").length === 2, {
      what: "both ends are seen",
    });
    following.child.kill("SIGINT");
    expect(await following.ended).toBe(0);
  },
);

test("kill -9 of a node costs its last events alone, and a gap names the node", { timeout: 90_000 }, async () => {
  const doomed = await startWorker(url, ["--name", "doomed", "--slots", "5", "--lease", "5s"]);
  const other = await startWorker(url, ["--name", "other", "--slots", "5", "--lease", "5s"]);
  const following = await follow();
  await add(1500, 20);
  const done = (worker: Worker): number =>
    worker.ledger().filter((entry) => entry.event === "end" && entry.at < Date.now() - 400).length;
  await until(() => done(doomed) > 40 && done(other) > 40, { what: "both are at it" });

  doomed.kill("SIGKILL");
  await doomed.exited;

  await until(() => following.seen().some(({ type }) => type === "gap"), { what: "the gap", timeoutMs: 40_000 });
  expect(following.seen().filter(({ type }) => type === "gap")).toMatchObject([{ lost: null, node: "doomed" }]);
  await allEnded(store);
  const completed = (): ReadonlySet<string> =>
    new Set(following.seen().flatMap(({ type, run }) => (type === "run.completed" ? [run] : [])));
  const all = new Set(other.ledger().map(({ run }) => run));
  await until(() => isIn(all, completed()), { what: "all that the other did is seen" });
  // Of what it had settled, for nobody did that again, only its last events may be missing, whenever the machine let it write.
  const again = new Set(other.ledger().map(({ run }) => run));
  const settled = doomed
    .ledger()
    .filter(({ event, run }) => event === "end" && !again.has(run))
    .map(({ run }) => run);
  const told = completed();
  const last = settled.findLastIndex((run) => told.has(run));
  expect(last).toBeGreaterThan(20);
  expect(settled.slice(0, last - 10).filter((run) => !told.has(run))).toEqual([]);
});

test("a reader that was restarted goes on by the last id without a hole", { timeout: 60_000 }, async () => {
  await startWorker(url, ["--slots", "10"]);
  const whole = await follow();
  const first = await follow("--limit", "60");

  await add(100, 20);
  expect(await first.ended).toBe(0);
  const since = first.seen().at(-1)!.id!;
  await add(100, 20);
  const second = await follow("--since", since);
  await allEnded(store);

  const ends = (of: { seen(): readonly Seen[] }): number =>
    of.seen().filter(({ type }) => type === "run.completed").length;
  await until(() => ends(whole) === 200, { what: "all is seen" });
  const last = whole.seen().at(-1)!.id!;
  await until(() => second.seen().at(-1)?.id === last, { what: "all is seen after the restart" });
  const ids = whole.seen().map(({ id }) => id!);
  expect(second.seen().map(({ id }) => id)).toEqual(ids.slice(ids.indexOf(since) + 1));
});

describe("docs/events.md", () => {
  const page = readFileSync(new URL("../../docs/events.md", import.meta.url), "utf8");
  const blocks = (language: string): readonly string[] =>
    [...page.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, of, code]) => (of === language ? [code!] : []));

  /** Runs a job until `isOver`: every other run of it fails. */
  async function remindUntil(isOver: () => boolean): Promise<void> {
    const remind = defineJob({
      id: "remind",
      schema: z.number(),
      retry: { attempts: 1 },
      handler: (n) => {
        if (n % 2 === 1) throw new Error("boom");
      },
    });
    const runtime = createRuntime({ store: postgres({ url }), jobs: [remind] });
    await runtime.start();
    const next = { n: 0 };
    await until(async () => (await addMany(runtime.store, 1, { job: "remind", input: wire(next.n++) }), isOver()), {
      what: "it says what it should",
      timeoutMs: 20_000,
    });
    await runtime.stop();
  }

  test.each([
    [0, /^run_\w+ took [\d.]+ ms$/m, /^run_\w+ failed: boom$/m],
    [1, /^20\S+Z run\.started$/m, /^three seconds are over$/m],
    [2, /^part 1: run\.\w+\npart 2: run\.\w+$/m, /^/],
  ])("program %i does what it says", { timeout: 90_000 }, async (at, ...said) => {
    const cwd = project({ "program.ts": blocks("ts")[at]! });
    const program = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), "program.ts"], {
      cwd,
      env: { ...process.env, TASKER_DATABASE_URL: url, NODE_OPTIONS: "" },
    });
    onTestFinished(() => void program.kill("SIGKILL"));
    let out = "";
    for (const stream of [program.stdout, program.stderr])
      stream.on("data", (part: Buffer) => (out += part.toString()));

    await remindUntil(() => said.every((text) => text.test(out)));

    if (at > 0) expect(await new Promise((resolve) => program.on("close", resolve))).toBe(0);
  });

  test("its commands follow", { timeout: 90_000 }, async () => {
    const lines = blocks("sh")[0]!.trim().split("\n");
    const commands = lines.map((line) =>
      launch(line.split(" ").slice(1), { cwd: folder(), env: { TASKER_DATABASE_URL: url } }),
    );

    await remindUntil(() => commands.every((command) => command.out().includes("\n")));

    expect(lines).toHaveLength(3);
    expect(commands[0]!.out()).toMatch(/^20\S+Z {2}run\.\w+ +run_\w+ {2}remind/m);
    expect(commands[1]!.out()).toMatch(
      /run\.failed +run_\w+ {2}remind {2}attempt 1 {2}error {2}took \d+ms {2}Error: boom$/m,
    );
    const document = JSON.parse(commands[2]!.out().split("\n")[0]!) as Seen;
    expect(document).toMatchObject({ type: "run.completed", attempt: 1 });
    for (const command of commands.slice(0, 2)) command.child.kill("SIGINT");
    expect(await Promise.all(commands.slice(0, 2).map(({ ended }) => ended))).toEqual([0, 0]);
  });
});
