/** The loop over a folder of job files: files that stand still are checked, loaded and moved away. */
import { createHash } from "node:crypto";
import { humanMs } from "../../sdk/port/duration.ts";
import { StoreUnavailable } from "../../sdk/port/error.ts";
import { fieldOf } from "../../sdk/port/text.ts";
import { Bell, wait } from "../core/clock.ts";
import type { Core } from "../core/core.ts";
import { logged } from "../core/log.ts";
import type { InboxSettings } from "../setting.ts";
import type { Guarded } from "../store/port.ts";
import { Adder, type Loaded } from "./add.ts";
import { check, type Checked } from "./check.ts";
import { Folder, type Found } from "./folder.ts";
import { Ledger } from "./ledger.ts";
import { load } from "./load.ts";
import { Locks, type Held } from "./lock.ts";
import type { Making, Problem } from "./make.ts";
import { FileChanged, isSame, openSource, type Source } from "./source.ts";
import { Watch } from "./watch.ts";

/** What an inbox has done since its start. */
export interface InboxCounts {
  /** Files that were loaded, that were loaded before, and that were refused. */
  loaded: number;
  again: number;
  refused: number;
  /** Runs that were made, and schedules that were made or changed. */
  runs: number;
  schedules: number;
}

/** A file is read once it has not changed for so long; ms. One that was written before that by its own date is read at once. */
const stillMs = 250;
const oldMs = 2000;
/** A file that ends too soon is being written, unless it has not changed for so long; ms. */
const patienceMs = 10_000;
/** When to look again: at all files, at one that another process loads, at one where something failed; ms. */
const [scanMs, busyMs, stuckMs] = [10_000, 1000, 30_000];
/** How many files are read at once. */
const width = 32;

/** A file as it was seen last. `lookAt`: when to look at it again, ticks; Infinity: it is done with, unless it changes. */
interface Seen {
  readonly found: Found;
  readonly since: number;
  lookAt: number;
  failed: boolean;
}

export class Inbox {
  readonly counts: InboxCounts = { loaded: 0, again: 0, refused: 0, runs: 0, schedules: 0 };
  readonly #core: Core;
  readonly #settings: InboxSettings;
  readonly #making: Making;
  readonly #folder: Folder;
  readonly #ledger: Ledger;
  readonly #locks: Locks;
  readonly #bell: Bell;
  #seen = new Map<string, Seen>();
  #away = false;

  /** `to`: the store as this process's application sees it. */
  constructor(core: Core, to: Guarded, settings: InboxSettings) {
    const { registry, storeClock, clock } = core;
    this.#core = core;
    this.#settings = settings;
    this.#making = { to, timezone: core.settings.timezone, spec: (id) => registry.get(id)?.spec };
    this.#folder = new Folder(settings);
    this.#ledger = new Ledger(`${this.#folder.notes}/loaded`);
    this.#locks = new Locks(this.#folder.notes, () => storeClock.date());
    this.#bell = new Bell(clock);
  }

  /** @throws {InvalidInput} if the folder can't be used */
  async open(): Promise<void> {
    const { logger } = this.#core;
    const { dir, watch } = this.#settings;
    const { anybody } = await this.#folder.open();
    logger.info({ dir, watch }, "Inbox opened");
    if (anybody) logger.warn({ dir }, "Anybody on this machine may write to the inbox, and so start jobs");
  }

  /** Loads what is there, then what comes, until the signal aborts. Never rejects. */
  async run(drain: AbortSignal): Promise<void> {
    const { clock, logger } = this.#core;
    const watch = this.#settings.watch ? new Watch(() => this.#bell.ring(), logger) : null;
    while (!drain.aborted) {
      const began = clock.ticks();
      const files = await this.#list(watch);
      const walkedMs = clock.ticks() - began;
      await this.#pass(files, drain);
      const looks = [...this.#seen.values()].reduce((least, { lookAt }) => Math.min(least, lookAt), Infinity);
      if (!watch && looks === Infinity) break;
      const scan = watch ? began + Math.max(scanMs, 50 * walkedMs) : Infinity; // a large folder is walked less often
      await this.#bell.next(Math.min(looks, scan), drain);
      await wait(clock, began + 4 * walkedMs, drain);
    }
    watch?.close();
    await this.#ledger.close();
  }

  /** The files that are there; none while the folder can't be read, which is said once. */
  async #list(watch: Watch | null): Promise<readonly Found[]> {
    const { logger } = this.#core;
    const { dir } = this.#settings;
    try {
      const { files, folders } = await this.#folder.list();
      watch?.set(folders);
      if (this.#away) logger.info({ dir }, "The inbox can be read again");
      this.#away = false;
      return files;
    } catch (error) {
      if (!this.#away) logger.error({ dir, err: logged(error) }, "The inbox can't be read; trying again");
      this.#away = true;
      return [];
    }
  }

  async #pass(files: readonly Found[], drain: AbortSignal): Promise<void> {
    const now = this.#core.clock.ticks();
    this.#seen = new Map(files.map((found) => [found.path, this.#look(found, now)]));
    const due = [...this.#seen.values()].filter(({ lookAt }) => lookAt <= now);
    const next = async (): Promise<void> => {
      for (let file = due.shift(); file && !drain.aborted; file = due.shift()) await this.#one(file, drain);
    };
    await Promise.all(Array.from({ length: width }, next));
  }

  #look(found: Found, now: number): Seen {
    const known = this.#seen.get(found.path);
    if (known && isSame(known.found.stamp, found.stamp)) return known;
    const ageMs = Date.now() - Number(found.stamp.mtimeNs / 1_000_000n);
    return { found, since: now, lookAt: ageMs > oldMs && !known ? now : now + stillMs, failed: false };
  }

  /** Sees to one file. Never rejects. */
  async #one(seen: Seen, drain: AbortSignal): Promise<void> {
    const { clock, health, logger } = this.#core;
    const { name } = seen.found;
    try {
      const again = await this.#see(seen, drain);
      seen.failed = false;
      seen.lookAt = again === null ? Infinity : clock.ticks() + again;
    } catch (error) {
      if (drain.aborted) return;
      const isAway = error instanceof StoreUnavailable;
      seen.lookAt = clock.ticks() + (isAway ? busyMs : stuckMs);
      if (error instanceof FileChanged || fieldOf(error, "code") === "ENOENT") seen.lookAt = clock.ticks() + stillMs;
      else if (isAway) health.failed("Loading a job file", error);
      else if (!seen.failed)
        logger.error({ file: name, err: logged(error) }, "Job file can't be dealt with; trying again");
      seen.failed = !isAway;
    }
  }

  /** Answers in how many ms to look again; null: never. */
  async #see(seen: Seen, drain: AbortSignal): Promise<number | null> {
    const { found } = seen;
    if (found.isLink)
      return this.#refused(found, null, "it is a link, and links are not followed; put the file itself here", 0o600);
    const source = await openSource(found.path, found.name, false);
    if (!source) return null;
    try {
      if (!isSame(source.stamp, found.stamp)) return stillMs;
      if (!(await this.#folder.holds(found, source.stamp)))
        throw new Error("it is reached over a link that leaves the folder");
      const file = stoppable(source, drain);
      if (await this.#isKept(file)) return null;
      const checked = await check(file.chunks(), file.form, this.#making);
      const leftMs = seen.since + patienceMs - this.#core.clock.ticks();
      if (checked.cut && leftMs > 0) return leftMs;
      const lock = await this.#locks.take(checked.hash);
      if (!lock) return busyMs;
      return await this.#settle(found, file, checked, lock).finally(() => lock.release());
    } finally {
      await source.close();
    }
  }

  /** Whether it was loaded before and stays where it is; it is not looked into then. */
  async #isKept(source: Source): Promise<boolean> {
    if (this.#settings.after !== "keep") return false;
    const hash = createHash("sha256");
    for await (const chunk of source.chunks()) hash.update(chunk);
    const isKept = await this.#ledger.has(hash.digest("hex"));
    if (isKept) this.counts.again++;
    return isKept;
  }

  async #settle(found: Found, source: Source, checked: Checked, { since }: Held): Promise<number | null> {
    const { hash } = checked;
    const isAgain = await this.#ledger.has(hash); // first: its job may have another schema by now
    if (!isAgain && checked.refused > 0) return this.#refused(found, checked, reasons(found, checked), source.mode);
    const tell = isAgain ? () => this.#again(found) : await this.#load(found, source, checked, since);
    if (tell === null) return null;
    const moved = await this.#folder.finish(found, hash).finally(tell);
    return moved === "changed" ? stillMs : null;
  }

  #again({ name }: Found): void {
    this.counts.again++;
    this.#core.logger.info({ file: name }, "Job file has a content that was loaded before; nothing is made");
  }

  /** Answers how to tell of it once the file is where it belongs; null: it was refused. */
  async #load(found: Found, source: Source, checked: Checked, since: Date | null): Promise<(() => void) | null> {
    const { clock, logger } = this.#core;
    const { name } = found;
    const began = clock.ticks();
    const adder = new Adder(this.#making.to, checked.hash, since);
    const { problems, ...made } = await load(source, checked, this.#making, adder);
    await this.#ledger.add(checked.hash, name);
    this.counts.runs += made.runs;
    this.counts.schedules += made.schedules;
    if (problems.length > 0) {
      await this.#refused(found, checked, reasons(found, { ...checked, problems }, made), source.mode);
      return null;
    }
    return () => {
      this.counts.loaded++;
      const notes = (checked.made ?? []).flatMap(({ line, item }) =>
        item.notes.map((note) => `${name}:${line}: ${note}`),
      );
      const shown = notes.length > 0 && { notes: notes.slice(0, 3) };
      logger.info({ file: name, ...made, ...shown, took: humanMs(clock.ticks() - began) }, "Job file loaded");
    };
  }

  async #refused(found: Found, checked: Checked | null, why: string, mode: number): Promise<number | null> {
    const hash = checked?.hash ?? String(found.stamp.ino);
    const moved = await this.#folder.refuse(found, { hash, why: `${why}\n`, mode });
    if (moved === "changed") return stillMs;
    if (moved === "gone") return null; // another process has refused it
    this.counts.refused++;
    const { items = 0, refused = 0 } = checked ?? {};
    const first = why.split("\n", 1)[0];
    this.#core.logger.warn({ file: found.name, items, refused, why: first }, "Job file refused");
    return null;
  }
}

/** What is wrong with a file, a line each. */
function reasons(
  { name }: Found,
  { problems, refused, items }: Pick<Checked, "problems" | "refused" | "items">,
  made?: Omit<Loaded, "problems">,
): string {
  const lines = problems.map((problem) => lineOf(name, problem));
  const left = refused - new Set(problems.map(({ line }) => line)).size;
  if (left > 0) lines.push(`… and ${left} more`);
  const rest = made
    ? `The store refused these items; of the others ${made.runs} runs and ${made.schedules} schedules were made, and ${made.existed} runs were there already.`
    : `${refused} of ${items} items are wrong, so nothing of the file was made. Mend it, and move it back.`;
  return [...lines, "", rest].join("\n");
}

function lineOf(name: string, { line, message }: Problem): string {
  return `${name}:${line}: ${message}`;
}

/** Reads no further once the signal aborts: what was added by then is not added twice. */
function stoppable(source: Source, signal: AbortSignal): Source {
  return {
    ...source,
    async *chunks() {
      for await (const chunk of source.chunks()) {
        signal.throwIfAborted();
        yield chunk;
      }
    },
  };
}
