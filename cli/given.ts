/** What a command line gives to its command. */

/** A flag of one command, as help writes it: `--since <time>` takes a value, `--wait [time]` may, `--all` takes none. */
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

/** Flags by their names, each with its values. */
export function given(values: Readonly<Record<string, readonly string[]>>): Given {
  const each = (name: string): readonly string[] => values[name] ?? [];
  return {
    each,
    text: (name) => each(name).at(-1) ?? null,
    list: (name) => each(name).flatMap((value) => value.split(",").filter((part) => part !== "")),
    on: (name) => each(name).length > 0,
  };
}
