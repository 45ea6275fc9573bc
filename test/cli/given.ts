import { given } from "../../cli/program.ts";
import type { Given } from "../../cli/given.ts";

/** Flags as a parsed command line has them: `{ "database-url": "postgres://…", tag: ["a", "b"], all: true }`. */
export function flags(values: Readonly<Record<string, string | readonly string[] | true>> = {}): Given {
  const camel = (name: string): string => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
  return given(Object.fromEntries(Object.entries(values).map(([name, value]) => [camel(name), value])));
}
