/** Adds the folders to a .gitignore that it does not name yet, however they are written; null: there is none yet. */
export function ignore(
  before: string | null,
  folders: readonly string[],
): { readonly text: string; readonly added: readonly string[] } {
  const text = before ?? "";
  const newline = text.includes("\r\n") ? "\r\n" : "\n";
  const named = new Set(text.split(/\r?\n/).map((line) => bare(line.trim())));
  const added = folders.filter((folder) => !named.has(bare(folder)));
  const gap = text === "" || text.endsWith("\n") || added.length === 0 ? "" : newline;
  return { text: text + gap + added.map((folder) => folder + newline).join(""), added };
}

// "/node_modules/", for example, names node_modules
function bare(line: string): string {
  return line.replace(/^(?:\*\*)?\//, "").replace(/\/$/, "");
}
