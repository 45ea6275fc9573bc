import type { Event, Untimed } from "../../sdk/port/event.ts";
import type { Feed } from "../../sdk/port/feed.ts";
import { clean, type ErrorRecord } from "../../sdk/port/text.ts";

/** A row of the feed has at most so many lines, and about so many characters. */
const mostLines = 100;
const mostLength = 65_536;
/** Between two rows that are not full; after one that failed; ms. */
const betweenMs = 25;
const againMs = 1000;
/** Events a second that one process writes; more are counted as lost. */
const ratePerS = 2000;
/** How long the end waits for what is not written; ms. */
const endMs = 1000;
const longestMessage = 1024;

/** Somebody in this process who hears of acts as they are done. */
export interface Ear {
  readonly active: boolean;
  hear(event: Untimed): void;
}

/** A line to be written, and how many events it stands for. */
interface Item {
  readonly text: string;
  readonly count: number;
}

/** Where events of this process leave for the feed, while somebody reads that: in rows of what came meanwhile, one write at a time, so that
 *  they stay in order. What it can't take is counted, and a gap says so in its place. */
export class Outlet {
  readonly #feed: Feed;
  readonly #ears = new Set<Ear>();
  readonly #working = new Set<Promise<unknown>>();
  #items: Item[] = [];
  #lost = 0;
  #allowed = ratePerS;
  #allowedAt = 0;
  #pumping: Promise<void> | null = null;
  /** Ends a pause between two rows. */
  #hurry: (() => void) | null = null;
  #ending = false;

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  /** Whether somebody reads the feed. */
  get watched(): boolean {
    return this.#feed.watched;
  }

  /** Whether anybody hears of acts. */
  get active(): boolean {
    if (this.#feed.watched) return true;
    for (const ear of this.#ears) if (ear.active) return true;
    return false;
  }

  /** Lets somebody hear of acts; the answer ends that. */
  attach(ear: Ear): () => void {
    this.#ears.add(ear);
    return () => void this.#ears.delete(ear);
  }

  /** Tells of an act: whoever hears here, and the feed. */
  publish(event: Untimed): void {
    for (const ear of this.#ears) if (ear.active) ear.hear(event);
    this.take(event);
  }

  /** Writes an event to the feed if somebody reads it. Without an instant it happens now. Never throws. */
  take(event: Event | Untimed): void {
    if (!this.#feed.watched || this.#ending) return;
    if (!this.#mayTake()) return void this.#lost++;
    this.#admit();
    this.#items.push({ text: textOf(event), count: 1 });
    this.#pumping ??= this.#pump().finally(() => (this.#pumping = null));
  }

  /** Work after which there will be events: the end waits for it. It never rejects. */
  after(work: Promise<unknown>): void {
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }

  /** Writes what is left, for a second at most. */
  async end(): Promise<void> {
    const written = async (): Promise<void> => {
      await Promise.all(this.#working);
      this.#ending = true;
      this.#hurry?.();
      await this.#pumping;
    };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, endMs)));
    await Promise.race([written(), late]);
    clearTimeout(timer);
    this.#ending = true;
  }

  #mayTake(): boolean {
    const now = performance.now();
    this.#allowed = Math.min(ratePerS, this.#allowed + ((now - this.#allowedAt) * ratePerS) / 1000);
    this.#allowedAt = now;
    if (this.#allowed < 1 || this.#items.length >= ratePerS) return false;
    this.#allowed--;
    return true;
  }

  /** Puts a gap where events are missing. */
  #admit(): void {
    if (this.#lost === 0) return;
    this.#items.push({ text: JSON.stringify({ type: "gap", lost: this.#lost }), count: this.#lost });
    this.#lost = 0;
  }

  async #pump(): Promise<void> {
    await new Promise(setImmediate); // what comes in one turn shares a row
    while (this.#items.length > 0) {
      const row = this.#items.splice(0, endOf(this.#items));
      let failed = false;
      try {
        await this.#feed.write(row.map(({ text }) => text));
      } catch {
        failed = true;
        for (const { count } of row) this.#lost += count;
      }
      if (!this.#feed.watched || (failed && this.#ending)) return this.#drop();
      if (this.#items.length < mostLines) await this.#pause(failed ? againMs : betweenMs);
      if (this.#items.length === 0) this.#admit();
    }
  }

  #drop(): void {
    this.#items = [];
    this.#lost = 0;
  }

  async #pause(ms: number): Promise<void> {
    if (this.#ending) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#hurry = () => (clearTimeout(timer), resolve());
    });
    this.#hurry = null;
  }
}

/** How many items fit into a row; at least one. */
function endOf(items: readonly Item[]): number {
  let length = 0;
  for (const [i, { text }] of items.entries()) {
    length += text.length;
    if (i > 0 && (i === mostLines || length > mostLength)) return i;
  }
  return items.length;
}

/** The event as JSON. Errors are without their stack, and cut: the run has them whole. */
function textOf(event: Event | Untimed): string {
  const error = "error" in event && event.error;
  return JSON.stringify(error ? { ...event, error: brief(error) } : event);
}

function brief({ name, message }: ErrorRecord): ErrorRecord {
  return { name: clean(name, 256), message: clean(message, longestMessage), stack: null };
}
