import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** How the tests run: on the sources, each file in a process of its own, with one Postgres for all (see test/kit/setup.ts). */
export default defineConfig({
  resolve: {
    alias: [
      { find: /^tasker$/, replacement: at("sdk/index.ts") },
      { find: /^tasker\/runtime$/, replacement: at("runtime/index.ts") },
      { find: /^tasker\/http$/, replacement: at("runtime/http/index.ts") },
      { find: /^tasker\/metrics$/, replacement: at("runtime/metrics/index.ts") },
      { find: /^tasker\/telemetry$/, replacement: at("sdk/trace/index.ts") },
      { find: /^tasker\/testing$/, replacement: at("runtime/testing/index.ts") },
    ],
  },
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/kit/setup.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 15_000,
  },
});
