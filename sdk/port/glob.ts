/** What a pattern matches: `*` and `?` within a name, `**` over folders, `{a,b}`. Parts are separated by "/". */
export function globOf(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|\*|\?|\{[^{}]*\}|[.+^$()|[\]\\{}]/g, (part) => {
    if (part === "**/") return "(?:[^/]+/)*";
    if (part === "**") return ".*";
    if (part === "*") return "[^/]*";
    if (part === "?") return "[^/]";
    if (part.length > 1)
      return `(?:${part
        .slice(1, -1)
        .split(",")
        .map((name) => globOf(name).source.slice(1, -1))
        .join("|")})`;
    return `\\${part}`;
  });
  return new RegExp(`^${source}$`);
}
