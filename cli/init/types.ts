/** Names Node's types in a tsconfig.json, comments and layout kept: from TypeScript 6 on none is taken unless it is named. A list that there
 *  is gets one more; a new one is made where that takes nothing away: older compilers (`major`) take all types without one, and the
 *  files that it extends may have one. */
export function named(
  before: string,
  major: number | null,
): { readonly text: string; readonly added: readonly string[] } {
  const added = ['"node" in types'];
  const [list, start, entries] = /("types"\s*:\s*\[)([^\]]*)\]/.exec(before) ?? [];
  if (list !== undefined) {
    if (/["']node["'\/]/.test(entries!)) return { text: before, added: [] };
    const more = `${start}"node"${entries!.trim() === "" ? "" : ", "}`;
    return { text: before.replace(`${start}${entries}`, () => more + entries), added };
  }
  const [options, indent = " "] = /"compilerOptions"\s*:\s*\{(\s*)(?=["/])/.exec(before) ?? [];
  if (options === undefined || /"(?:types|extends)"/.test(before) || (major ?? 6) < 6)
    return { text: before, added: [] };
  return { text: before.replace(options, () => `${options}"types": ["node"],${indent}`), added };
}
