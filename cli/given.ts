/** What a command line gives to its command. */

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
