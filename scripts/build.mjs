// Compiles sdk/, runtime/ and cli/ to dist/ and makes the command executable. Runs at `npm ci` and before the tests.
// The code is then packed into few files, for loading a hundred took half of the time to a process's first run. Packages stay outside but for those in
// `inside`, what is loaded late stays late, and there is one of each class, for no module is in two files.
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { minifySync } from "rolldown/utils";

/** What is imported by name, or started by its path. */
const entries = [
  ...["sdk/index", "sdk/remote", "sdk/trace/index", "runtime/index", "runtime/http/index", "runtime/metrics/index"],
  "runtime/testing/index",
  ...["cli/main", "cli/dev/runner", "cli/dev/leash", "cli/check/child"],
];
/** One file each, with all that they import but for what an earlier one has. Commands read settings, for which no driver is loaded. */
const groups = ["sdk/index", "sdk/setting", "runtime/store/postgres/index", "runtime/index"];
/** Packages that become part of the files: the first two are fifteen small ones, and took a sixth of the loading. */
const inside = ["superjson", "copy-anything", "cron-parser", "prom-client"];
/** prom-client has these, 5 MB of them, for summaries and exemplars, of which nothing is used. */
const unused = /require\('(?:tdigest|@opentelemetry\/api)'\)/g;
/** cron-parser asks luxon for today's date alone, of which nothing is used; luxon takes 30 ms to load. */
const luxon = "{ DateTime: { local: () => ({ isValid: true }) } }";
/** A module that has a `require` of its own takes a package in that runs when it is first asked for. */
const late = {
  name: "late",
  transform(code, id) {
    const own = code.replace(/^const require = createRequire\(.*$/m, "").replace('require("luxon")', luxon);
    if (id.includes("node_modules/prom-client/")) return code.replace(unused, "{}");
    return id.includes("node_modules/cron-parser/") ? minifySync(id, own).code : own;
  },
};
const packed = "dist/packed";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
rmSync("dist", { recursive: true, force: true });
const tsc = spawnSync(process.execPath, ["node_modules/typescript7/bin/tsc", "-p", "tsconfig.build.json"], {
  stdio: "inherit",
});
if (tsc.status !== 0) process.exit(tsc.status ?? 1);
const bundle = await rolldown({
  input: Object.fromEntries(entries.map((entry) => [entry, `dist/${entry}.js`])),
  platform: "node",
  external: (id) => !/^[./]/.test(id) && !id.startsWith("dist/") && !inside.includes(id.split("/", 1)[0]),
  plugins: [late],
  checks: { ineffectiveDynamicImport: false }, // what one entry loads late, another may load at once
});
await bundle.write({
  ...{ dir: packed, format: "esm", entryFileNames: "[name].js", chunkFileNames: "sdk/[name]-[hash].js" },
  codeSplitting: {
    groups: groups.map((path, i) => ({
      name: path.replace("/index", "").split("/").at(-1),
      test: (id) => id.endsWith(`/dist/${path}.js`),
      priority: groups.length - i,
    })),
  },
});
await bundle.close();
for (const name of readdirSync("dist", { recursive: true }))
  if (name.endsWith(".js") && !name.startsWith("packed")) rmSync(`dist/${name}`);
cpSync(packed, "dist", { recursive: true });
rmSync(packed, { recursive: true });
const licenses = inside.map((name) => `${name}\n\n${readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()}\n`);
writeFileSync("dist/LICENSES.txt", `Parts of these files come from the packages below.\n\n${licenses.join("\n\n")}`);
chmodSync("dist/cli/main.js", 0o755);
