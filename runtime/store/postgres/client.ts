import type pg from "pg";

/** A connection is kept this long after a statement, then returned to the pool. */
const atHandMs = 10_000;
const tendMs = 1000;

/** What the types of `pg` leave out. */
type Client = pg.PoolClient & { ref(): void; unref(): void };

interface Hand {
  readonly client: Client;
  /** While a statement runs: its deadline. Else since when the connection is free. */
  at: number;
  /** The deadline had passed at the last check. */
  isLate: boolean;
}

/** Connections that are kept between statements: checkout, checkin and a timer a statement are a fifth of the process's cost of a lone
 *  statement. Free connections do not keep the process alive. */
export class Clients {
  readonly #free: Hand[] = [];
  readonly #busy = new Set<Hand>();
  readonly #dead = new WeakSet<pg.PoolClient>();
  readonly #pool: pg.Pool;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
    pool.on("connect", (client) => client.on("error", (error) => this.#lose(client, error)));
  }

  /** Lends a connection. Without an answer for `patienceMs`, and up to two seconds more, the connection is dropped, because it may be
   *  half-open. */
  async use<T>(act: (client: pg.PoolClient) => Promise<T>, patienceMs: number): Promise<T> {
    const hand = this.#free.pop() ?? { client: (await this.#pool.connect()) as Client, at: 0, isLate: false };
    hand.client.ref();
    hand.at = performance.now() + patienceMs;
    hand.isLate = false;
    this.#busy.add(hand);
    this.#timer ??= setInterval(() => this.#tend(), tendMs).unref();
    try {
      const answer = await act(hand.client);
      if (this.#busy.delete(hand)) this.#give(hand);
      return answer;
    } catch (error) {
      if (!this.#busy.delete(hand)) throw new Error(`timeout: no answer within ${patienceMs} ms`, { cause: error });
      if ((error as { code?: string }).code === "55P03")
        this.#give(hand); // after a lock timeout it is still usable
      else hand.client.release(error as Error); // its state is unknown
      throw error;
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const { client } of this.#free.splice(0)) client.release();
    return this.#pool.end();
  }

  #lose(client: pg.PoolClient, error: Error): void {
    this.#dead.add(client); // an answer may still come
    const place = this.#free.findIndex((hand) => hand.client === client);
    if (place >= 0) this.#free.splice(place, 1)[0]!.client.release(error);
  }

  #tend(): void {
    const now = performance.now();
    for (const hand of this.#busy) {
      if (now <= hand.at) continue;
      if (hand.isLate && this.#busy.delete(hand)) {
        hand.client.release(true); // its statement fails
        for (const { client } of this.#free.splice(0)) client.release(true); // they may be half-open, too
      }
      hand.isLate = true; // the answer may be waiting, if this process was blocked
    }
    while (this.#free.length > 0 && now - this.#free[0]!.at > atHandMs) this.#free.shift()!.client.release();
    if (this.#timer && this.#free.length + this.#busy.size === 0) {
      clearInterval(this.#timer);
      this.#timer = null;
    }
  }

  #give(hand: Hand): void {
    if (this.#closed || this.#dead.has(hand.client)) return hand.client.release(this.#dead.has(hand.client));
    hand.client.unref();
    hand.at = performance.now();
    this.#free.push(hand);
  }
}
