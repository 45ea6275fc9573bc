import { readFileSync } from "node:fs";
import pg from "pg";
import { load } from "../contender.ts";
import { all, quiet, range, type Session } from "./session.ts";

interface Task {
  readonly taskID: string;
}
interface TaskContext {
  step<T>(name: string, fn: () => Promise<T>): Promise<T>;
  awaitEvent(name: string): Promise<unknown>;
  awaitTaskResult(id: string, options: object): Promise<unknown>;
}
interface Client {
  createQueue(): Promise<void>;
  registerTask(
    options: object,
    fn: (params: { steps: number; run: string }, ctx: TaskContext) => Promise<unknown>,
  ): void;
  spawn(name: string, params: object, options?: object): Promise<Task>;
  emitEvent(name: string, payload: null): Promise<void>;
  fetchTaskResult(id: string): Promise<{ readonly state: string } | null>;
  awaitTaskResult(id: string): Promise<unknown>;
  startWorker(options: object): Promise<{ close(): Promise<void> }>;
}

/** Absurd: its tables and functions are those of `ABSURD_SQL`, its own file `sql/absurd.sql`. A worker for each of two queues, because a task can't
 *  wait for one of its own queue. Ends are heard in the handlers, for its wait for a result polls up to a second apart. */
export async function absurd(url: string): Promise<Session> {
  const { Absurd } = await load<{ Absurd: new (options: object) => Client }>("absurd-sdk");
  const db = new pg.Pool({ connectionString: url, max: 20 });
  await db.query(readFileSync(process.env["ABSURD_SQL"]!, "utf8"));
  const [app, other] = ["main", "children"].map(
    (queueName) => new Absurd({ db, queueName, log: { ...quiet, log() {} } }),
  );
  await app!.createQueue();
  await other!.createQueue();
  const marks: number[] = [];
  let ended = 0;
  const task = (name: string, fn: (steps: number, ctx: TaskContext, run: string) => Promise<unknown>): void =>
    app!.registerTask({ name }, async ({ steps, run }, ctx) => {
      await fn(steps, ctx, run);
      ended++;
    });
  task("sequence", async (steps, ctx) => {
    for (const i of range(steps)) await ctx.step(`s${i}`, () => Promise.resolve(i));
  });
  task("parallel", (steps, ctx) => all(steps, (i) => ctx.step(`s${i}`, () => Promise.resolve(i))));
  task("waits", async (steps, ctx, run) => {
    for (const i of range(steps)) {
      await ctx.awaitEvent(`${run}:${i}`); // the first event of a name is the only one
      marks[i] ??= performance.now();
    }
  });
  task("parent", async (steps, ctx) => {
    const ids = await ctx.step("spawn", async () =>
      (await all(steps, (i) => app!.spawn("child", { steps: i }, { queue: "children" }))).map(({ taskID }) => taskID),
    );
    await Promise.all(ids.map((id) => ctx.awaitTaskResult(id, { queue: "children" })));
  });
  other!.registerTask({ name: "child" }, ({ steps }) => Promise.resolve(steps));
  const options = { concurrency: 64, pollInterval: 0.01 };
  const workers = [await app!.startWorker(options), await other!.startWorker(options)];
  const each = async (name: string, workflows: number, steps: number): Promise<void> => {
    ended = 0;
    const tasks = await all(workflows, () => app!.spawn(name, { steps }));
    while (ended < workflows) await new Promise((resolve) => setTimeout(resolve, 1));
    await Promise.all(tasks.map(({ taskID }) => app!.awaitTaskResult(taskID)));
  };
  return {
    sequence: (workflows, steps) => each("sequence", workflows, steps),
    parallel: (workflows, steps) => each("parallel", workflows, steps),
    async resume(count) {
      const { taskID } = await app!.spawn("waits", { steps: count, run: "a" });
      const times: number[] = [];
      for (const i of range(count)) {
        while ((await app!.fetchTaskResult(taskID))?.state !== "sleeping")
          await new Promise((resolve) => setTimeout(resolve, 2));
        const sent = performance.now();
        await app!.emitEvent(`a:${i}`, null);
        while (marks[i] === undefined) await new Promise((resolve) => setImmediate(resolve));
        times.push(marks[i] - sent);
      }
      return times;
    },
    children: (count) => each("parent", 1, count),
    async close() {
      await Promise.all(workers.map((worker) => worker.close()));
      await db.end();
    },
  };
}
