import type { Output } from "./output.ts";
import type { Settings } from "./config.ts";

/** A flag of one command, as cac writes it: `--since <time>` takes a value, `--wait [time]` may, `--all` takes none. */
export interface Flag {
  readonly flag: string;
  readonly about: string;
}

/** The flags that were given. Values are always text: nothing is taken for a number. */
export interface Given {
  /** The value, or null; the last one if it was given twice. "" if it was given without its optional value. */
  text(name: string): string | null;
  /** All values, as they were given. */
  each(name: string): readonly string[];
  /** All values, also those separated by commas. */
  list(name: string): readonly string[];
  on(name: string): boolean;
}

/** What a command is called with. */
export interface Input {
  readonly args: readonly string[];
  readonly given: Given;
  readonly out: Output;
  /** Reads the configuration: flags, environment, config file, defaults. */
  settings(): Promise<Settings>;
}

/** One subcommand: a thin skin that parses, calls and prints. */
export interface Command {
  /** Name and arguments: `trigger <job> [payload]`, `schedules pause <...ids>`. */
  readonly usage: string;
  readonly about: string;
  readonly flags: readonly Flag[];
  /** Which keys of the configuration it takes as flags: none, those of the database, or all. */
  readonly takes: "nothing" | "database" | "worker";
  /** Whole command lines. */
  readonly examples: readonly string[];
  /** Answers the exit code. */
  run(input: Input): Promise<number>;
}

/** The name alone: one word, or two. */
export function nameOf(command: Command): string {
  return command.usage.split(/ [<[]/, 1)[0]!;
}
