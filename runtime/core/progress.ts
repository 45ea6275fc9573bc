import { InvalidInput } from "../../sdk/port/error.ts";
import type { Progress } from "../../sdk/port/target.ts";
import { clean } from "../../sdk/port/text.ts";
import type { Alarm, Clock } from "./clock.ts";

const betweenMs = 500;
const longestDetail = 1024;

/** A progress as it is stored: any finite number, and a detail of at most 1 KiB.
 *  @throws {InvalidInput} when the value is not a finite number */
export function toProgress(value: number, detail: string | undefined): Progress {
  if (!Number.isFinite(value))
    throw new InvalidInput(`progress ${String(value)} is not a finite number; pass 0 to 100`);
  return { value, detail: detail === undefined ? null : clean(String(detail), longestDetail) };
}

/** Writes how far one attempt is: the newest value, at most twice a second, and the last one always. */
export class ProgressWriter {
  readonly #clock: Clock;
  readonly #write: (progress: Progress) => Promise<void>;
  readonly #alarm: Alarm;
  #next: Progress | null = null;
  #wroteAt = -Infinity;
  #writing: Promise<void> | null = null;

  /** `write` never rejects. */
  constructor(clock: Clock, write: (progress: Progress) => Promise<void>) {
    this.#clock = clock;
    this.#write = write;
    this.#alarm = clock.alarm(() => void this.#flush());
  }

  set(progress: Progress): void {
    const waits = this.#next !== null;
    this.#next = progress;
    if (waits || this.#writing) return;
    const at = this.#wroteAt + betweenMs;
    if (at <= this.#clock.ticks()) void this.#flush();
    else this.#alarm.set(at);
  }

  /** Writes what is not written yet; null if there is nothing to wait for. */
  end(): Promise<void> | null {
    this.#alarm.clear();
    if (this.#writing) return this.#writing.then(() => this.end() ?? undefined); // a value may have come meanwhile
    return this.#next && this.#flush();
  }

  #flush(): Promise<void> {
    return (this.#writing ??= this.#send());
  }

  async #send(): Promise<void> {
    const next = this.#next!;
    this.#next = null;
    this.#wroteAt = this.#clock.ticks();
    await this.#write(next);
    this.#writing = null;
    if (this.#next) this.#alarm.set(this.#wroteAt + betweenMs);
  }
}
