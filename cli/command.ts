import type { Output } from "./view/output.ts";
import type { Settings } from "./config.ts";
import type { Flag, Given } from "./given.ts";

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
  readonly flags?: readonly Flag[];
  /** Which keys of the configuration it takes as flags: none, those of the database (the default), or all. */
  readonly takes?: "nothing" | "database" | "worker";
  /** Whole command lines. */
  readonly examples: readonly string[];
  /** Answers the exit code, where that may be another than 0. */
  run(input: Input): Promise<number | void>;
}

/** The name alone: one word, or two. */
export function nameOf(command: Command): string {
  return command.usage.split(/ [<[]/, 1)[0]!;
}
