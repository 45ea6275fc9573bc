/** The feed: events of all processes that share a store, kept for some minutes while somebody watches. */

/** A line of the feed. */
export interface FeedLine {
  /** Its place. Places grow: as texts, a later one is greater. */
  readonly id: string;
  /** When it was written, epoch ms of the store's clock. */
  readonly atMs: number;
  /** JSON of an event, without line breaks; stores do not look into it. An event without `at` happened at `atMs`. */
  readonly text: string;
}
export interface FeedPage {
  readonly lines: readonly FeedLine[];
  /** The place of the last line that was read: give it back to go on. */
  readonly cursor: string;
  /** How many lines before these are gone, for they were old or nobody watched; null: nobody knows how many. */
  readonly lost?: number | null;
}
export interface Watched {
  /** The place before which everything is: what comes from now on is after it. */
  readonly cursor: string;
  /** The store's clock, epoch ms. */
  readonly nowMs: number;
  /** Names of nodes whose lease ended since then, without that they left. */
  readonly dead: readonly string[];
}

/** Reading the feed. */
export interface FeedView {
  /** Says that somebody reads for so long from now on, ms. Other processes hear of it at once, or within seconds. `sinceMs`: what `nowMs` was the
   *  last time, from which on nodes may have died. */
  watch(forMs: number, sinceMs?: number): Promise<Watched>;
  /** What came after a place, a bounded number of lines, in the order of all; waits for it for so long. The same for all who read.
   *  @throws {InvalidInput} for a cursor that is none */
  read(cursor: string, waitMs: number, signal?: AbortSignal): Promise<FeedPage>;
}

export interface Feed extends FeedView {
  /** Whether somebody reads, as far as is known here without asking: from what nodes and acts ask anyway. */
  readonly watched: boolean;
  /** Adds lines, after all that was written before, if somebody reads. Of what fails nobody knows whether it is there. */
  write(texts: readonly string[]): Promise<void>;
}
