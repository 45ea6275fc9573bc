import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Makes `tasker`, `zod` and Node's types packages of a folder, as `npm install` would. */
export function install(folder: string): void {
  mkdirSync(join(folder, "node_modules", "@types"), { recursive: true });
  symlinkSync(join(root, "node_modules", "@types", "node"), join(folder, "node_modules", "@types", "node"));
  symlinkSync(root, join(folder, "node_modules", "tasker"));
  symlinkSync(join(root, "node_modules", "zod"), join(folder, "node_modules", "zod"));
}

/** What TypeScript says of a folder's tsconfig.json, an error each: `use.ts(3,1): error TS2322: …`; details are left out. */
export function complaints(folder: string, compiler = "typescript7"): readonly string[] {
  const tsc = join(root, "node_modules", compiler, "bin", "tsc");
  const { stdout, stderr } = spawnSync(process.execPath, [tsc, "-p", ".", "--pretty", "false"], {
    cwd: folder,
    encoding: "utf8",
  });
  return (stdout + stderr).split("\n").filter((line) => line !== "" && !line.startsWith(" "));
}
