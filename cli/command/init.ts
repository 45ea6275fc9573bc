import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import type { Command } from "../command.ts";
import { BadUsage } from "../error.ts";
import { read, write } from "../file.ts";
import { ignore } from "../init/ignore.ts";
import { amend } from "../init/package.ts";
import { config, hello, payload, tsconfig } from "../init/template.ts";
import { named } from "../init/types.ts";

/** `tasker init`: what a project needs to run its first job. It asks nothing, installs nothing, and needs no network. */
export const init: Command = {
  usage: "init [folder]",
  about: "Write a config, a first job and package scripts, into an empty folder or a project; nothing is overwritten",
  takes: "nothing",
  flags: [
    { flag: "--dry-run", about: "Write nothing; say what would be written" },
    { flag: "--yes", about: "Taken for granted: nothing is ever asked" },
  ],
  examples: ["tasker init", "tasker init worker --dry-run"],
  run: async ({ args: [name = "."], given, out }) => {
    const folder = resolve(name);
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === false)
      throw new BadUsage(`"${name}" is a file; give a folder`);
    const dry = given.on("dry-run");
    const files = plan(folder); // all of it is worked out before anything is written
    if (!dry) for (const { path, text } of files) if (text !== null) write(join(folder, path), text);
    const next = nextOf(folder);
    const did = (what: Planned["does"]): readonly string[] =>
      files.filter(({ does }) => does === what).map(({ path }) => path);
    out.answer({ written: did("write"), changed: did("change"), kept: did("keep"), next }, () => {
      const lines = files.map(
        ({ does, path, why }) => `${said[dry ? "dry" : "done"][does]} ${path}${why && ` (${why})`}`,
      );
      return [...lines, "", "next:", ...next.map((line) => `  ${line}`)].join("\n");
    });
  },
};

const said = {
  done: { write: "wrote", change: "changed", keep: "kept" },
  dry: { write: "would write", change: "would change", keep: "would keep" },
} as const;

/** What becomes of a file of the folder. */
interface Planned {
  readonly path: string;
  readonly does: "write" | "change" | "keep";
  /** Null: it stays as it is. */
  readonly text: string | null;
  /** For people, in brackets. */
  readonly why: string;
}

const unwritten = "nothing was written";

function plan(folder: string): readonly Planned[] {
  const text = (name: string): string | null => read(join(folder, name), unwritten);
  const before = text("package.json");
  const typed = text("tsconfig.json");
  const isTyped = typed !== null || !existsSync(join(folder, "jsconfig.json")); // with a jsconfig.json it wants to be JavaScript
  const after = amend(before, wanted(isTyped));
  const ignored = text(".gitignore");
  const ignoring = ignore(ignored, [".tasker/", "node_modules/"]);
  return [
    fresh(
      folder,
      ["ts", "mts", "js", "mjs"].map((end) => `tasker.config.${end}`),
      config,
    ),
    fresh(folder, ["jobs/hello.ts"], hello),
    typed === null
      ? fresh(folder, ["tsconfig.json", "jsconfig.json"], tsconfig(after.esm))
      : grown("tsconfig.json", typed, named(typed, compilerOf(folder, before))),
    grown("package.json", before, after),
    grown(".gitignore", ignored, ignoring),
  ];
}

/** The major version of the project's TypeScript: what is installed, or what its package.json asks for; null: it has none. */
function compilerOf(folder: string, manifest: string | null): number | null {
  const version = /"version":\s*"(\d+)/.exec(
    read(join(folder, "node_modules/typescript/package.json"), unwritten) ?? "",
  )?.[1];
  const range = /"typescript":\s*"\D*(\d+)/.exec(manifest ?? "")?.[1];
  return Number(version ?? range) || null;
}

/** The first of the names is written, unless there is one of them. */
function fresh(folder: string, names: readonly string[], text: string): Planned {
  const there = names.find((name) => existsSync(join(folder, name)));
  if (there !== undefined) return { path: there, does: "keep", text: null, why: "it exists" };
  return { path: names[0]!, does: "write", text, why: "" };
}

function grown(
  path: string,
  before: string | null,
  { text, added }: { readonly text: string; readonly added: readonly string[] },
): Planned {
  if (before === null) return { path, does: "write", text, why: "" };
  if (added.length === 0) return { path, does: "keep", text: null, why: "nothing is missing" };
  return { path, does: "change", text, why: `added ${added.join(", ")}` };
}

/** This package, the zod that it was tested with, and for TypeScript the types of the oldest Node that it runs on. */
function wanted(isTyped: boolean): Parameters<typeof amend>[1] {
  const { version, dependencies, devDependencies } = createRequire(import.meta.url)("tasker/package.json") as {
    readonly version: string;
    readonly dependencies: { readonly zod: string };
    readonly devDependencies: { readonly "@types/node": string };
  };
  return {
    // In place of the shell, which would pass no signal on; that of Windows has no such word.
    scripts: { dev: "tasker dev", start: process.platform === "win32" ? "tasker start" : "exec tasker start" },
    dependencies: { tasker: `^${version}`, zod: `^${dependencies.zod}` },
    devDependencies: isTyped ? { "@types/node": `^${devDependencies["@types/node"]}` } : {},
  };
}

/** The command lines that come next. */
function nextOf(folder: string): readonly string[] {
  const path = relative(process.cwd(), folder);
  const isThere = ["tasker", "zod", "@types/node"].every((name) => isInstalled(name, folder));
  return [
    ...(path === "" ? [] : [`cd ${/^[\w./\\:-]+$/.test(path) ? path : JSON.stringify(path)}`]),
    ...(isThere ? [] : [installers.find(([lock]) => existsSync(join(folder, lock)))?.[1] ?? "npm install"]),
    "npx tasker dev",
    `npx tasker trigger hello '${payload}'`,
  ];
}

const installers = [
  ["pnpm-lock.yaml", "pnpm install"],
  ["yarn.lock", "yarn install"],
  ["bun.lock", "bun install"],
] as const;

/** Where Node would look for it. */
function isInstalled(name: string, folder: string): boolean {
  if (existsSync(join(folder, "node_modules", name, "package.json"))) return true;
  return dirname(folder) !== folder && isInstalled(name, dirname(folder));
}
