import { near } from "../sdk/port/near.ts";
import { nameOf, type Command } from "./command.ts";
import { given, type Flag, type Given } from "./given.ts";
import { BadUsage } from "./error.ts";
import { hint } from "../sdk/port/near.ts";
import { flagName, options } from "./option.ts";

/** A parsed command line: what to run, or the help or version to print. */
export type Line =
  | { readonly do: "run"; readonly command: Command; readonly args: readonly string[]; readonly given: Given }
  | { readonly do: "print"; readonly text: string };

/** Flags that every command takes. */
export const common: readonly Flag[] = [
  { flag: "--config <file>", about: "Config file (default: tasker.config.{ts,mts,js,mjs} in this folder)" },
  { flag: "--json", about: "Print one JSON document, for programs" },
  { flag: "--debug", about: "Show stacks of errors" },
];
const helpFlag: Flag = { flag: "-h, --help", about: "Display this message" };
const versionFlag: Flag = { flag: "-v, --version", about: "Display version number" };

/** The flags of a command, its keys of the configuration included, in the order of help. */
export function flagsOf(command: Command): readonly Flag[] {
  const { takes = "database", flags = [] } = command;
  const keys = options.filter((option) => takes === "worker" || takes === option.for);
  const said = keys.map(({ flag, about, variable, default: value }) => ({
    flag,
    about: `${about} [${variable}]${value ? ` (default: ${value})` : ""}`,
  }));
  return [...flags, ...said];
}

/** Parses the arguments after `tasker`.
 *  @throws {BadUsage} for an unknown command or flag, a missing argument or value. */
export function parse(argv: readonly string[], commands: readonly Command[], version: string): Line {
  const { words, flags } = split(argv[0] === "help" ? [...argv.slice(1), "--help"] : argv, commands);
  const pair = commands.find((command) => nameOf(command) === `${words[0]} ${words[1]}`);
  const command = pair ?? commands.find((each) => nameOf(each) === words[0]);
  if (flags.has("help") || argv.length === 0) return { do: "print", text: helpOf(command, commands, version) };
  if (!command && flags.has("version"))
    return { do: "print", text: `tasker/${version} ${process.platform}-${process.arch} node-${process.version}` };
  if (!command) throw unknown(words[0], commands);
  const args = words.slice(pair ? 2 : 1);
  check(command, { args, flags, commands });
  return { do: "run", command, args, given: given(Object.fromEntries(flags)) };
}

/** Flags by their names, each with its values; "" stands for none. */
type Flags = ReadonlyMap<string, readonly string[]>;

/** Tells flags with their values from the other words. A word after a flag is its value only if the flag takes one. A dash alone and a
 *  negative number are words; all are after `--`.
 *  @throws {BadUsage} for a value that is missing, or that the flag does not take */
function split(argv: readonly string[], commands: readonly Command[]): { words: readonly string[]; flags: Flags } {
  const known = new Map([...commands.flatMap(flagsOf), ...common].map((each) => [flagName(each), each.flag]));
  const words: string[] = [];
  const flags = new Map<string, string[]>();
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === "--") return { words: [...words, ...argv.slice(at + 1)], flags };
    const [, long, name = word === "-h" ? "help" : word === "-v" ? "version" : word.slice(1), inline] =
      /^(--)([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (!long && isWord(word)) {
      words.push(word);
      continue;
    }
    const kind = /[<[]/.exec(known.get(name) ?? "")?.[0];
    const next = argv[at + 1];
    const value = inline ?? (kind && next !== undefined && isWord(next) ? argv[++at] : undefined);
    if (kind === "<" && value === undefined) throw new BadUsage(`--${name} needs a value; write: ${known.get(name)}`);
    if (!kind && value !== undefined && known.has(name))
      throw new BadUsage(`--${name} takes no value; write: --${name}`);
    flags.set(name, [...(flags.get(name) ?? []), value ?? ""]);
  }
  return { words, flags };
}

function isWord(text: string): boolean {
  return !text.startsWith("-") || /^-\d|^-$/.test(text);
}

/** What must not be run as it stands.
 *  @throws {BadUsage} */
function check(
  command: Command,
  { args, flags, commands }: { args: readonly string[]; flags: Flags; commands: readonly Command[] },
): void {
  const name = nameOf(command);
  const wanted = [...command.usage.matchAll(/([<[])(\.\.\.)?([^>\]]+)/g)];
  const acts = commands
    .map(nameOf)
    .flatMap((each) => (each.startsWith(`${name} `) ? [each.slice(name.length + 1)] : []));
  if (args.length > wanted.length && acts.length > 0) throw unknownAct(args[0]!, name, acts);
  const names = [...flagsOf(command), ...common].map(flagName);
  for (const flag of flags.keys()) if (!names.includes(flag)) throw unknownFlag(flag, name, names);
  const usage = `usage: tasker ${command.usage}`;
  const missing = wanted.filter(([, bracket]) => bracket === "<")[args.length];
  if (missing) throw new BadUsage(`<${missing[3]}> is missing; ${usage}`);
  if (wanted.some(([, , dots]) => dots) || args.length <= wanted.length) return;
  const extra = args.slice(wanted.length).map((each) => `"${each}"`);
  throw new BadUsage(
    `${extra.join(", ")} ${extra.length === 1 ? "is" : "are"} too many; put a value that has spaces, such as a cron text, in quotes; ${usage}`,
  );
}

function unknownAct(word: string, of: string, acts: readonly string[]): BadUsage {
  return new BadUsage(`"${word}" is not an act on ${of}${hint(word, acts) || `; the acts are ${acts.join(", ")}`}`);
}

function unknownFlag(flag: string, command: string, names: readonly string[]): BadUsage {
  const like = near(flag, [...names, "help"]).map((each) => `--${each}`);
  const next = like.length > 0 ? `did you mean ${like.join(" or ")}?` : `see them with: tasker ${command} --help`;
  return new BadUsage(`"${flag.length > 1 ? "--" : "-"}${flag}" is not an option of "tasker ${command}"; ${next}`);
}

function unknown(word: string | undefined, commands: readonly Command[]): BadUsage {
  const names = commands.map(nameOf).filter((name) => !name.includes(" "));
  if (word === undefined) return new BadUsage(`a command is missing; the commands are ${names.join(", ")}`);
  return new BadUsage(`"${word}" is not a command${hint(word, names) || `; the commands are ${names.join(", ")}`}`);
}

/** The help of a command, or of all. */
function helpOf(command: Command | undefined, commands: readonly Command[], version: string): string {
  const isWorker = command?.takes === "worker";
  const shared = common.map((each) =>
    isWorker && each.flag === "--json" ? { ...each, about: "Write the log as lines of JSON" } : each,
  );
  const listed = command
    ? commands.filter((each) => nameOf(each).startsWith(`${nameOf(command)} `)) // what can be done with a noun
    : commands;
  const flags = command ? [...flagsOf(command), ...shared, helpFlag] : [helpFlag, versionFlag];
  const sections = [
    section("Usage", [[`$ tasker ${command?.usage ?? "<command> [options]"}`]]),
    section(
      command ? "Acts" : "Commands",
      listed.map(({ usage, about }) => [usage, about]),
    ),
    section(
      "Options",
      flags.map(({ flag, about }) => [flag, about]),
    ),
    section("Examples", command?.examples.map((example) => [`$ ${example}`]) ?? []),
  ];
  return [`tasker/${version}`, ...sections.filter(Boolean)].join("\n\n");
}

function section(title: string, rows: readonly (readonly [left: string, right?: string])[]): string {
  if (rows.length === 0) return "";
  const width = Math.max(...rows.map(([left]) => left.length));
  const lines = rows.map(([left, right]) => (right === undefined ? `  ${left}` : `  ${left.padEnd(width)}  ${right}`));
  return [`${title}:`, ...lines].join("\n");
}
