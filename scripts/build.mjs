// Compiles sdk/, runtime/ and cli/ to dist/ and makes the command executable. Runs at `npm ci` and before the tests.
// The code is then packed into few files, for loading a hundred took half of the time to a process's first run. Packages stay outside, what is loaded late
// stays late, and what two entries share is one chunk, so that there is one of each class.
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, readdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

/** What is imported by name, or started by its path. */
const entries = [
  ...["sdk/index", "runtime/index", "runtime/testing/index"],
  ...["cli/main", "cli/dev/runner", "cli/dev/leash", "cli/check/child"],
];
const packed = "dist/packed";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
rmSync("dist", { recursive: true, force: true });
const tsc = spawnSync(process.execPath, ["node_modules/typescript7/bin/tsc", "-p", "tsconfig.build.json"], {
  stdio: "inherit",
});
if (tsc.status !== 0) process.exit(tsc.status ?? 1);
buildSync({
  entryPoints: entries.map((entry) => `dist/${entry}.js`),
  ...{ outdir: packed, outbase: "dist", chunkNames: "sdk/chunk-[hash]" },
  ...{ bundle: true, splitting: true, format: "esm", platform: "node", target: "node20.19", packages: "external" },
  logLevel: "warning",
});
for (const name of readdirSync("dist", { recursive: true }))
  if (name.endsWith(".js") && !name.startsWith("packed")) rmSync(`dist/${name}`);
cpSync(packed, "dist", { recursive: true });
rmSync(packed, { recursive: true });
chmodSync("dist/cli/main.js", 0o755);
