import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const program = (act: string): string => `
  import { z } from "zod";
  import { defineJob } from ${JSON.stringify(new URL("../../../sdk/job.ts", import.meta.url).href)};
  import { testRuntime } from ${JSON.stringify(new URL("../../../runtime/testing/index.ts", import.meta.url).href)};
  let complete, hear;
  const completed = new Promise((resolve) => (complete = resolve));
  const heard = new Promise((resolve) => (hear = resolve));
  const error = (fields, message) => hear(console.log(message, fields.err.stack.split("\\n")[0]));
  const logger = { debug() {}, info() {}, warn() {}, error };
  const job = defineJob({ id: "job", schema: z.void(), handler: () => { ${act} } });
  const runtime = await testRuntime({ jobs: [job], logger });
  const run = await job.trigger();
  await runtime.idle();
  complete();
  await heard;
  console.log("completed", await run.result());
  await runtime.stop();`;

async function run(act: string): Promise<string> {
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", "tsx", "--input-type=module", "-e", program(act)],
    { cwd: root },
  );
  return stdout;
}

test("a promise that a handler leaves behind may be rejected after its run has completed: that is logged, and the process lives", async () => {
  const stdout = await run(`completed.then(() => { throw new Error("late"); }); return 1;`);

  expect(stdout).toContain("Error: late");
  expect(stdout).toContain("completed 1");
});
