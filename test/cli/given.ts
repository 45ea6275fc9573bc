import { given, type Given } from "../../cli/given.ts";

/** Flags as a parsed command line has them: `{ "database-url": "postgres://…", tag: ["a", "b"], all: true }`. */
export function flags(values: Readonly<Record<string, string | readonly string[] | true>> = {}): Given {
  return given(
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value === true ? [""] : [value].flat()])),
  );
}
