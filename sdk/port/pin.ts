/** Runs that are pinned to a version of the code: they are in a queue of their own, `$queue@version`, from which only nodes with that version
 *  take runs. No name of a queue begins with `$` or has an `@`. */

/** The queue of runs of a queue that are pinned to a version; with null, of those that are not. */
export function pinned(queue: string, version: string | null): string {
  const home = homeOf(queue);
  return version === null ? home : `$${home}@${version}`;
}

/** The version to which the runs of a queue are pinned, or null. */
export function pinOf(queue: string): string | null {
  const at = queue.startsWith("$") ? queue.indexOf("@") : -1;
  return at < 0 ? null : queue.slice(at + 1);
}

/** The queue that its runs were added to. */
export function homeOf(queue: string): string {
  const version = pinOf(queue);
  return version === null ? queue : queue.slice(1, -1 - version.length);
}
