/** Places in a feed: in which counting, and the number of a line in that. A counting begins when somebody begins to watch. */
import { InvalidInput } from "../../sdk/port/error.ts";
import { shown } from "../../sdk/port/option.ts";
import type { FeedLine, FeedPage } from "../../sdk/port/feed.ts";

export interface Place {
  /** When the counting began, epoch ms. */
  readonly epoch: number;
  /** From 1; 0: before the first. */
  readonly n: number;
}

/** How long lines are kept at least, and how many rows a page of the feed has at most. */
export const keepMs = 5 * 60_000;
export const mostRows = 50;

/** Of one width, so that a later place is greater as a text, too. */
export function formatPlace({ epoch, n }: Place): string {
  return `${epoch.toString(36).padStart(9, "0")}-${n.toString(36).padStart(9, "0")}`;
}

/** @throws {InvalidInput} for a text that is no place */
export function parsePlace(text: string): Place {
  const [, epoch, n] = /^([0-9a-z]{9})-([0-9a-z]{9})$/.exec(text) ?? [];
  if (epoch === undefined || n === undefined)
    throw new InvalidInput(`"${shown(text)}" is not the id of an event; leave it out to begin with what comes next`, {
      path: "since",
    });
  return { epoch: Number.parseInt(epoch, 36), n: Number.parseInt(n, 36) };
}

/** Lines that were written together; the last of them has this number. */
export interface Row {
  readonly last: number;
  readonly atMs: number;
  readonly texts: readonly string[];
}

/** Where to read on from a place: from the beginning, if that was of another counting. */
export function placeIn(epoch: number, at: Place): Place {
  return at.epoch === epoch ? at : { epoch, n: 0 };
}

/** A page of what comes after a place: `rows` are those of the counting `epoch`, in order. */
export function pageOf(epoch: number, at: Place, rows: readonly Row[]): FeedPage {
  let { n } = placeIn(epoch, at);
  const first = rows[0];
  const missing = first ? first.last - first.texts.length - n : 0;
  const lost = at.epoch === epoch ? (missing > 0 ? missing : undefined) : null;
  const lines: FeedLine[] = [];
  for (const { last, atMs, texts } of rows) {
    for (const [i, text] of texts.entries()) {
      const number = last - texts.length + 1 + i;
      if (number > n) lines.push({ id: formatPlace({ epoch, n: number }), atMs, text });
    }
    n = Math.max(n, last);
  }
  return { lines, cursor: formatPlace({ epoch, n }), ...(lost !== undefined && { lost }) };
}
