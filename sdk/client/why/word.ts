/** How what is known is put in words. */
import { humanMs } from "../../port/duration.ts";
import { formatId } from "../../port/id.ts";
import type { NodeFact } from "../../port/target.ts";
import type { ErrorRecord } from "../../port/text.ts";
import type { Place } from "./because.ts";

/** `for 3m`, `3m ago`, `in 3m` are made from this; a span that has just ended is 0ms. */
export function span(from: Date, to: Date): string {
  return humanMs(Math.max(0, to.getTime() - from.getTime()));
}

/** `in 4m, at 2030-01-01T00:04:00.000Z` */
export function later(now: Date, at: Date): string {
  return `in ${span(now, at)}, at ${at.toISOString()}`;
}

/** `3m ago, at 2029-12-31T23:57:00.000Z` */
export function ago(now: Date, at: Date): string {
  return `${span(at, now)} ago, at ${at.toISOString()}`;
}

export function quoted(name: string): string {
  return `"${name}"`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listed(words: readonly string[], joint = "and"): string {
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} ${joint} ${last}`;
}

/** `1 run`, `1,200 runs` */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en-US")} ${noun}${count === 1 ? "" : "s"}`;
}

const most = 3;

/** The first of `count` things, and how many more there are. */
export function someOf(words: readonly string[], count = words.length): string {
  const more = count - Math.min(most, words.length);
  return listed([...words.slice(0, most), ...(more > 0 ? [`${more.toLocaleString("en-US")} more`] : [])]);
}

export function ids(runs: readonly number[]): readonly string[] {
  return runs.map(formatId);
}

const longest = 300;

/** Name and first line of an error. */
export function errorText({ name, message }: ErrorRecord): string {
  const line = `${name}: ${message}`.split("\n", 1)[0]!;
  return line.length > longest ? `${line.slice(0, longest - 1)}…` : line;
}

export function nodeNamed(name: string | null): string {
  return name === null ? "a node" : `node ${quoted(name)}`;
}

export function placeOf({ name: node, version, slots, leased, limit, ofQueue }: NodeFact): Place {
  return { node, version, slots, leased, limit, ofQueue };
}

/** The version of code, where it has one. */
export function versionText(version: string | null): string {
  return version === null || version === "" || version === "0" ? "" : `, version ${quoted(version)},`;
}

/** With its first letter as of a sentence. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
