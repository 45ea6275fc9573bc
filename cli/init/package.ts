import { ActFailed } from "../error.ts";

/** What a package.json shall have: where there is none of that name, it is added. */
export interface Wanted {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** A package.json that has all that is wanted. */
export interface Amended {
  readonly text: string;
  /** What was added, for people; empty: nothing was missing. */
  readonly added: readonly string[];
  /** Whether its files are ES modules. */
  readonly esm: boolean;
}

/** Adds what is missing; null: there is none yet. Nothing that is there is changed, moved or laid out anew, save lists that stand in one
 *  line. A script whose name is taken is added as `tasker:name`; a dependency counts wherever it is declared.
 *  @throws {ActFailed} if it is no package.json */
export function amend(before: string | null, wanted: Wanted): Amended {
  const { scripts } = wanted;
  if (before === null) {
    const made = { private: true, type: "module", ...wanted };
    return { text: laidOut(made, "  ", "\n"), added: [], esm: true };
  }
  const found = parsed(before);
  const declared = kinds.map((kind) => section(found, kind));
  const missing = (["dependencies", "devDependencies"] as const).flatMap((kind) => {
    const isMissing = ([name]: readonly [string, string]): boolean =>
      !declared.some((list) => Object.hasOwn(list, name));
    return entries(wanted[kind])
      .filter(isMissing)
      .map(([name, range]) => ({ kind, name, range }));
  });
  const lacking = entries(scripts).flatMap(([name, line]) => addedScript(section(found, "scripts"), name, line));
  const after: Record<string, unknown> = { ...found };
  if (lacking.length > 0) after["scripts"] = { ...section(found, "scripts"), ...Object.fromEntries(lacking) };
  for (const { kind, name, range } of missing) after[kind] = { ...section(after, kind), [name]: range };
  const added = [
    ...lacking.map(([name]) => `script ${name}`),
    ...missing.map(({ name, range }) => `dependency ${name} ${range}`),
  ];
  return { text: added.length === 0 ? before : inStyleOf(before, after), added, esm: found["type"] === "module" };
}

const kinds = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/** The script as it is to be added; nothing where it is there. */
function addedScript(scripts: object, name: string, line: string): [string, string][] {
  const has = (key: string): boolean => Object.hasOwn(scripts, key);
  if (!has(name)) return [[name, line]];
  const second = `tasker:${name}`;
  return (scripts as Record<string, unknown>)[name] === line || has(second) ? [] : [[second, line]];
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (cause) {
    throw new ActFailed(`package.json is no JSON: ${(cause as Error).message}; mend it, then run this again`, {
      cause,
    });
  }
  if (isObject(value)) return value;
  throw new ActFailed("package.json holds no object; mend it, then run this again");
}

function section(found: Readonly<Record<string, unknown>>, key: string): Readonly<Record<string, unknown>> {
  const value = found[key] ?? {};
  if (isObject(value)) return value;
  throw new ActFailed(`"${key}" in package.json is no object; mend it, then run this again`);
}

function inStyleOf(before: string, value: object): string {
  const indent = /\n([ \t]+)"/.exec(before)?.[1] ?? (before.includes("\n") ? "" : "  ");
  const newline = before.includes("\r\n") ? "\r\n" : "\n";
  const [mark] = /^\ufeff?/.exec(before)!;
  const [end] = /\s*$/.exec(before)!;
  return mark + laidOut(value, indent, newline).trimEnd() + end;
}

function laidOut(value: object, indent: string, newline: string): string {
  return `${JSON.stringify(value, null, indent).replaceAll("\n", newline)}${newline}`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function entries(of: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(of);
}
