import type { Journal, NewEntry, Recorded } from "../store/port.ts";
import type { Core } from "../core/core.ts";
import { fence, type Leased } from "../core/lease.ts";
import { Batcher } from "../core/batcher.ts";

interface Asking<T> {
  readonly leased: Leased;
  readonly done: (answer: T | Error | null) => void;
}
interface Reading extends Asking<Journal> {
  readonly after: number;
  readonly floorMs: number;
}
interface Writing extends Asking<Recorded> {
  readonly entries: readonly NewEntry[];
  readonly floorMs: number;
}

/** Reads and writes the journals of all runs here, in shared calls. While the store is away, all wait; a lost lease answers null. */
export class Writer {
  readonly #core: Core;
  readonly #loads: Batcher<Reading>;
  readonly #records: Batcher<Writing>;

  constructor(core: Core) {
    const { clock, health, store } = core;
    this.#core = core;
    this.#loads = new Batcher({
      ...{ clock, health, what: "Reading journals" },
      send: (batch) =>
        this.#answer<Journal, Reading>(batch, (of) =>
          store.flow.load(of.map((one) => ({ ...fence(one.leased), after: one.after, floorMs: one.floorMs }))),
        ),
      refused: ({ done }, error) => done(error as Error),
    });
    this.#records = new Batcher({
      ...{ clock, health, what: "Writing journals" },
      send: (batch) =>
        this.#answer<Recorded, Writing>(batch, (of) =>
          store.flow.record(of.map(({ leased, entries, floorMs }) => ({ ...fence(leased), entries, floorMs }))),
        ),
      refused: ({ done }, error) => done(error as Error),
    });
  }

  load(leased: Leased, after: number, floorMs: number): Promise<Journal | Error | null> {
    return new Promise((done) => this.#loads.add({ leased, after, floorMs, done }));
  }

  record(leased: Leased, entries: readonly NewEntry[], floorMs: number): Promise<Recorded | Error | null> {
    return new Promise((done) => this.#records.add({ leased, entries, floorMs, done }));
  }

  /** One whose lease was renewed by this node meanwhile is asked again, under the newer token. */
  async #answer<T, Q extends Asking<T>>(
    batch: readonly Q[],
    ask: (batch: readonly Q[]) => Promise<readonly (T | Error | null)[]>,
  ): Promise<void> {
    const tokens = batch.map(({ leased }) => leased.lease.token);
    const answers = await ask(batch);
    if (answers.includes(null)) await this.#core.claims.passed();
    const again = batch.filter(({ leased }, i) => answers[i] === null && leased.lease.token !== tokens[i]);
    batch.forEach((one, i) => {
      if (!again.includes(one)) one.done(answers[i]!);
    });
    if (again.length > 0) await this.#answer(again, ask);
  }
}
