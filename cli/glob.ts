import { readdirSync, statSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { globOf } from "../sdk/port/glob.ts";

/** All files below a folder, sorted, as absolute paths; `node_modules` and folders that begin with a dot are left out. */
export function walk(folder: string): readonly string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  const names = entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return names.flatMap((entry) => {
    if (entry.name.startsWith(".") || entry.name === "node_modules") return [];
    const path = join(folder, entry.name);
    if (entry.isSymbolicLink() && !statSync(path, { throwIfNoEntry: false })?.isFile()) return [];
    return entry.isDirectory() ? walk(path) : [path];
  });
}

/** Whether the text is a pattern rather than a path. */
export function isGlob(text: string): boolean {
  return /[*?{]/.test(text);
}

/** The folder that a pattern searches, or the path itself, absolute. */
export function rootOf(pattern: string, base: string): string {
  const parts = pattern.split("/");
  if (!isGlob(pattern)) return resolve(base, pattern);
  const fixed = parts.slice(0, parts.findIndex(isGlob)).join("/");
  return fixed === "" && pattern.startsWith("/") ? "/" : resolve(base, fixed);
}

/** The files that match a pattern, sorted, as absolute paths: `*` and `?` within a name, `**` over folders, `{a,b}`. */
export function glob(pattern: string, base: string): readonly string[] {
  const parts = pattern.split("/");
  const root = rootOf(pattern, base);
  if (!statSync(root, { throwIfNoEntry: false })?.isDirectory()) return [];
  const wanted = globOf(parts.slice(parts.findIndex(isGlob)).join("/"));
  return walk(root).filter((file) => wanted.test(relative(root, file).split(sep).join("/")));
}
