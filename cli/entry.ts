import { fileURLToPath } from "node:url";

/** A program of ours, such as `dev/runner`, as a process of its own: its file, and what Node must be told to run it. */
export function entry(name: string): { readonly path: string; readonly execArgv: string[] } {
  const isSource = import.meta.url.endsWith(".ts"); // else it is built, into a chunk in dist/sdk/ or into dist/cli/main.js
  const path = fileURLToPath(new URL(isSource ? `${name}.ts` : `../cli/${name}.js`, import.meta.url));
  return { path, execArgv: isSource ? ["--import", import.meta.resolve("tsx")] : [] };
}
