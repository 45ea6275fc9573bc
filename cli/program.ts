import { cac, type CAC } from "cac";
import { near } from "../sdk/port/near.ts";
import { nameOf, type Command } from "./command.ts";
import type { Flag, Given } from "./given.ts";
import { BadUsage } from "./error.ts";
import { hint } from "./hint.ts";
import { options } from "./option.ts";

/** A parsed command line: what to run, or help or a version to print. */
export type Line =
  | { readonly do: "run"; readonly command: Command; readonly args: readonly string[]; readonly given: Given }
  | { readonly do: "help" | "version" };

/** Flags that every command takes. */
export const common: readonly Flag[] = [
  { flag: "--config <file>", about: "Config file (default: tasker.config.{ts,mts,js,mjs} in this folder)" },
  { flag: "--json", about: "Print one JSON document, for programs" },
  { flag: "--debug", about: "Show stacks of errors" },
];

function commonOf(command: Command): readonly Flag[] {
  if (command.takes !== "worker") return common;
  return common.map((each) => (each.flag === "--json" ? { ...each, about: "Write the log as lines of JSON" } : each));
}

/** The flags of a command, its keys of the configuration included, in the order of help. */
export function flagsOf(command: Command): readonly Flag[] {
  const keys = options.filter(
    (option) => command.takes === "worker" || (command.takes === "database" && option.for === "database"),
  );
  const own = command.flags;
  return [
    ...own,
    ...keys.map(({ flag, about, variable, default: value }) => ({
      flag,
      about: `${about} [${variable}]${value ? ` (default: ${value})` : ""}`,
    })),
  ];
}

/** Parses the arguments after `tasker`. Help and version are printed by the parser.
 *  @throws {BadUsage} for an unknown command or flag, a missing argument or value. */
export function parse(argv: readonly string[], commands: readonly Command[], version: string): Line {
  const words = argv[0] === "help" ? [...argv.slice(1), "--help"] : argv;
  const { program, called } = build(commands, version);
  if (words.length === 0) program.outputHelp();
  if (words.length === 0) return { do: "help" };
  program.parse(["node", "tasker", ...paired(guard(words, commands), commands)], { run: false });
  if (program.options.help) return { do: "help" };
  if (program.options.version && !program.matchedCommand) return { do: "version" };
  if (!program.matchedCommand) throw unknown(program.args[0], commands);
  check(program, commands);
  program.runMatchedCommand();
  return { do: "run", ...called()! };
}

interface Call {
  readonly command: Command;
  readonly args: readonly string[];
  readonly given: Given;
}

function build(commands: readonly Command[], version: string): { program: CAC; called: () => Call | null } {
  const program = cac("tasker");
  let call: Call | null = null;
  for (const command of commands) {
    const added = program.command(command.usage, command.about);
    for (const { flag, about } of [...flagsOf(command), ...commonOf(command)]) added.option(flag, about);
    for (const example of command.examples) added.example(`  $ ${example}`);
    added.action((...values: unknown[]) => {
      const args = values
        .slice(0, -1)
        .flat()
        .filter((value) => value !== undefined);
      call = {
        command,
        args: args.map((value) => unmark(String(value))),
        given: given(values.at(-1) as Record<string, unknown>),
      };
    });
  }
  program.help((sections) =>
    sections
      .filter(({ title }) => !title?.startsWith("For more info"))
      .map(({ title, body }) => ({ ...(title !== undefined && { title }), body: body.replace(/ +$/gm, "") }))
      .toSpliced(2, 0, ...actsOf(program.matchedCommand?.name, commands)),
  );
  program.version(version, "-v, --version");
  return { program, called: () => call };
}

/** A section of help that lists what can be done with a noun: `schedules` has `schedules pause`. */
function actsOf(
  noun: string | undefined,
  commands: readonly Command[],
): readonly { readonly title: string; readonly body: string }[] {
  const acts = commands.filter((command) => noun && nameOf(command).startsWith(`${noun} `));
  const width = Math.max(0, ...acts.map(({ usage }) => usage.length));
  if (acts.length === 0) return [];
  return [{ title: "Acts", body: acts.map(({ usage, about }) => `  ${usage.padEnd(width)}  ${about}`).join("\n") }];
}

/** Reads flags from what cac parsed; values carry the mark that `guard` gave them. */
export function given(flags: Readonly<Record<string, unknown>>): Given {
  const all = (name: string): readonly string[] => {
    const value = flags[name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())];
    return [value]
      .flat()
      .filter((each) => each !== undefined && each !== false)
      .map((each) => (each === true ? "" : unmark(String(each))));
  };
  return {
    text: (name) => all(name).at(-1) ?? null,
    each: all,
    list: (name) =>
      all(name)
        .flatMap((value) => value.split(","))
        .filter((value) => value !== ""),
    on: (name) => all(name).length > 0,
  };
}

const mark = "=";

/** Marks each value of a flag, and each argument that begins with "-", so that cac takes "007" for no number, "-" for an
 *  argument, and no argument for the value of a flag that has none. */
function guard(argv: readonly string[], commands: readonly Command[]): readonly string[] {
  const kinds = new Map(
    [...commands.flatMap(flagsOf), ...common].map(({ flag }) => [
      /--[a-z-]+/.exec(flag)![0],
      /[<[]/.exec(flag)?.[0] ?? "none",
    ]),
  );
  const words: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    const [, name = word, value] = /^(--[a-z-]+)=(.*)$/s.exec(word) ?? [];
    const kind = kinds.get(name);
    const next = argv[at + 1];
    if (word === "-" || /^-\d/.test(word)) words.push(mark + word);
    else if (value !== undefined) words.push(kind === "none" ? word : `${name}=${mark}${value}`);
    else if (kind === "none") words.push(`${name}=true`);
    else if (kind && next !== undefined && (!next.startsWith("-") || /^-\d|^-$/.test(next)))
      words.push(`${name}=${mark}${argv[++at]}`);
    else words.push(word);
  }
  return words;
}

/** Makes one word of the two that name a command, as the parser takes them. Flags may stand between. */
function paired(words: readonly string[], commands: readonly Command[]): readonly string[] {
  const [first, second] = words.flatMap((word, at) => (word.startsWith("-") ? [] : [at]));
  const name = `${words[first ?? 0]} ${words[second ?? 0]}`;
  if (second === undefined || !commands.some((command) => nameOf(command) === name)) return words;
  return words.map((word, at) => (at === first ? name : word)).toSpliced(second, 1);
}

function unmark(value: string): string {
  return value.startsWith(mark) ? value.slice(mark.length) : value;
}

/** What the parser would refuse, in our words.
 *  @throws {BadUsage} */
function check({ matchedCommand, args, options: given, globalCommand }: CAC, commands: readonly Command[]): void {
  const { name, rawName, args: wanted, options: own } = matchedCommand!;
  const all = [...own, ...globalCommand.options];
  const usage = `usage: tasker ${rawName}`;
  const acts = actsOn(name, commands);
  if (args.length > wanted.length && acts.length > 0) throw unknownAct(unmark(String(args[0])), name, acts);
  for (const flag of Object.keys(given))
    if (flag !== "--" && !all.some(({ names }) => names.includes(flag))) throw unknownFlag(flag, name, all);
  const bare = all.find(
    (option) => option.required && [given[option.name]].flat().some((each) => each === true || each === false),
  );
  if (bare) throw new BadUsage(`${/--[a-z-]+/.exec(bare.rawName)![0]} needs a value; write: ${bare.rawName}`);
  const missing = wanted.filter(({ required }) => required)[args.length];
  if (missing) throw new BadUsage(`<${missing.value}> is missing; ${usage}`);
  if (wanted.some(({ variadic }) => variadic) || args.length <= wanted.length) return;
  const extra = args.slice(wanted.length).map((each) => `"${unmark(String(each))}"`);
  throw new BadUsage(
    `${extra.join(", ")} ${extra.length === 1 ? "is" : "are"} too many; put a value that has spaces, such as a cron text, in quotes; ${usage}`,
  );
}

/** The second words of commands that begin with this one. */
function actsOn(name: string, commands: readonly Command[]): readonly string[] {
  return commands.map(nameOf).flatMap((each) => (each.startsWith(`${name} `) ? [each.slice(name.length + 1)] : []));
}

function unknownAct(word: string, of: string, acts: readonly string[]): BadUsage {
  return new BadUsage(`"${word}" is not an act on ${of}${hint(word, acts) || `; the acts are ${acts.join(", ")}`}`);
}

function unknownFlag(flag: string, command: string, all: CAC["globalCommand"]["options"]): BadUsage {
  const dashed = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const names = all.map((option) => dashed(option.name)).filter((each) => each !== "version");
  const like = near(dashed(flag), names).map((each) => `--${each}`);
  const next = like.length > 0 ? `did you mean ${like.join(" or ")}?` : `see them with: tasker ${command} --help`;
  return new BadUsage(
    `"${flag.length > 1 ? "--" : "-"}${dashed(flag)}" is not an option of "tasker ${command}"; ${next}`,
  );
}

function unknown(first: string | undefined, commands: readonly Command[]): BadUsage {
  const names = commands.map(nameOf).filter((name) => !name.includes(" "));
  if (first === undefined) return new BadUsage(`a command is missing; the commands are ${names.join(", ")}`);
  const word = unmark(String(first));
  return new BadUsage(`"${word}" is not a command${hint(word, names) || `; the commands are ${names.join(", ")}`}`);
}
