import { near } from "../sdk/port/near.ts";

/** `; did you mean "a" or "b"?`, or nothing. */
export function hint(word: string, known: readonly string[]): string {
  const names = near(word, known);
  return names.length ? `; did you mean ${names.map((name) => `"${name}"`).join(" or ")}?` : "";
}
