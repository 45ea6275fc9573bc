/** Words that look like `word`: at most a third of its letters differ, or it begins them. The nearest first, three at
 *  most. */
export function near(word: string, known: readonly string[]): readonly string[] {
  const short = word.slice(0, 128);
  const limit = Math.max(1, Math.floor(short.length / 3));
  return known
    .map((name) => ({ name, far: name.startsWith(short) && short.length > 1 ? 0.5 : distance(short, name) }))
    .filter(({ far }) => far <= limit)
    .sort((a, b) => a.far - b.far || a.name.localeCompare(b.name))
    .slice(0, 3)
    .map(({ name }) => name);
}

/** `did you mean "a" or "b"?`, or nothing. */
export function meant(names: readonly string[]): string {
  return names.length > 0 ? `did you mean ${names.map((name) => `"${name}"`).join(" or ")}?` : "";
}

/** `; did you mean "a" or "b"?` of the words that look like it, or nothing. */
export function hint(word: string, known: readonly string[]): string {
  const names = near(word, known);
  return names.length > 0 ? `; ${meant(names)}` : "";
}

/** Steps from `a` to `b`: a letter put in, taken out or replaced, or two neighbours swapped. O(a·b). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const line = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      line[j] = Math.min(last[j]! + 1, line[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        line[j] = Math.min(line[j]!, before[j - 2]! + 1);
    }
    before = last;
    last = line;
  }
  return last[b.length]!;
}
