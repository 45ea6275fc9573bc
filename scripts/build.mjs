// Compiles sdk/, runtime/ and cli/ to dist/ and makes the command executable. Runs at `npm ci` and before the tests.
import { spawnSync } from "node:child_process";
import { chmodSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
rmSync("dist", { recursive: true, force: true });
const tsc = spawnSync(process.execPath, ["node_modules/typescript7/bin/tsc", "-p", "tsconfig.build.json"], {
  stdio: "inherit",
});
if (tsc.status === 0) chmodSync("dist/cli/main.js", 0o755);
process.exit(tsc.status ?? 1);
