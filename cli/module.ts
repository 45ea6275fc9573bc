import { pathToFileURL } from "node:url";

let ready: Promise<void> | null = null;
let heard: ((url: string) => void) | null = null;

/** Gets ready for TypeScript at once, and calls back with the URL of each module that is imported from now on. Before the first `load`. */
export async function hear(imported: (url: string) => void): Promise<void> {
  heard = imported;
  await (ready ??= register());
}

/** Imports a file of the project's author, TypeScript or JavaScript, once: a second import gives the same module. Its exports by name,
 *  also where it counts as CommonJS. `tasker` inside it is this very package, so that jobs and runtime share one registry.
 *  @throws whatever the file throws, or a SyntaxError that names file and line. */
export async function load(file: string): Promise<Readonly<Record<string, unknown>>> {
  if (/\.[cm]?tsx?$/.test(file)) await (ready ??= register());
  const module = (await import(pathToFileURL(file).href)) as Readonly<Record<string, unknown>>;
  const inner = module.default as { readonly __esModule?: true } | null | undefined;
  return inner?.__esModule ? { ...inner } : module; // TypeScript in a package that is not "type": "module"
}

async function register(): Promise<void> {
  // Without a namespace: with one, every module under it would be a second copy, `tasker` included. Both loaders, because a file of a
  // package that is not "type": "module" goes through require.
  const [esm, cjs] = await Promise.all([import("tsx/esm/api"), import("tsx/cjs/api")]);
  cjs.register();
  esm.register(heard ? { onImport: heard } : {});
}
