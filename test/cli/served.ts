import { afterAll, beforeAll } from "vitest";
import type { JobSpec } from "../../sdk/define/spec.ts";
import { createRuntime, type Runtime } from "../../runtime/runtime.ts";
import { postgres } from "../../runtime/store/postgres/index.ts";
import { freshDatabase, type Database } from "../kit/database.ts";
import { folder } from "./folder.ts";
import { tasker } from "./line.ts";

/** A runtime of these jobs on a database of its own, from the first test of a file to its last: `tasker <argv>` on that, and its store. */
export function served(jobs: readonly JobSpec[]) {
  let database: Database;
  let runtime: Runtime;
  beforeAll(async () => {
    database = await freshDatabase();
    runtime = createRuntime({ store: postgres({ url: database.url }), jobs });
    await runtime.start();
  });
  afterAll(async () => {
    await runtime.stop();
    await database.drop();
  });
  return {
    tasker: (...argv: readonly string[]) => tasker(argv, folder(), { TASKER_DATABASE_URL: database.url }),
    open: async () => runtime.store,
    url: () => database.url,
  };
}
