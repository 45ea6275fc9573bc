import { InvalidInput } from "../../sdk/port/error.ts";

/** What a heap holds: an object that keeps a number for the heap it is in, one heap at a time. Any whole number from 0 on will do at first. */
export interface Placed {
  place: number;
}

/** How many entries fit before it grows for the first time. */
const first = 256;

/** A 4-ary min-heap of objects by key (epoch ms, ticks; any number but NaN); equal keys leave in order of arrival.
 *  Shape: children of i at 4i+1…4i+4, parent at (i-1)>>2. push and pop O(log n), remove O(1) on average, has and peek O(1).
 *  What is removed leaves its entry behind, without the item: it goes when it comes to the top, or with all others like it
 *  once they outnumber those that are held. So no entry's position is written down as it moves, which costs more than all else.
 *  Grows by doubling and gives its memory back at `clear`: 20 bytes an entry, the item's pointer aside.
 *  bench/heap.ts measures it beside others. */
export class Heap<T extends Placed> {
  /** Entries, and those among them whose item was removed; never the one on top. */
  #total = 0;
  #dead = 0;
  #arrived = 0;
  // By position. Beyond #total, where at least 3 places stay free, the keys are Infinity, so that four children can always be
  // compared; and #slots holds the free slots there: it is a permutation of all of them.
  #keys = infinities(first);
  #slots = numbers(first);
  // By slot, which an entry keeps as it moves. A free slot's turn is Infinity: it loses against an entry whose key is Infinity.
  #turns = infinities(first);
  #items: (T | undefined)[] = [];

  /** How many items are held. */
  get size(): number {
    return this.#total - this.#dead;
  }

  /** Whether the item is held. */
  has(item: T): boolean {
    return this.#items[item.place] === item;
  }

  /** The item that `pop` would take, or undefined when empty. */
  peek(): T | undefined {
    return this.#total === 0 ? undefined : this.#items[this.#slots[0]!];
  }

  /** The smallest key; Infinity when empty. */
  nextKey(): number {
    return this.#keys[0]!;
  }

  /** Whether the earliest key is at or before `nowMs`. */
  due(nowMs: number): boolean {
    return this.#total > 0 && this.#keys[0]! <= nowMs;
  }

  /** Adds an item. One that is held already gets the key, and counts as arriving now.
   *  @returns false if it was held
   *  @throws {InvalidInput} when the key is NaN */
  push(item: T, key: number): boolean {
    check(key);
    const held = this.remove(item);
    if (this.#total + 3 === this.#slots.length) this.#grow();
    const keys = this.#keys;
    const slots = this.#slots;
    let at = this.#total++;
    const slot = slots[at]!;
    item.place = slot;
    this.#items[slot] = item;
    this.#turns[slot] = ++this.#arrived;
    while (at > 0) {
      const parent = (at - 1) >> 2;
      const other = keys[parent]!;
      if (other <= key) break; // among equals the last to come is the last to go
      keys[at] = other;
      slots[at] = slots[parent]!;
      at = parent;
    }
    keys[at] = key;
    slots[at] = slot;
    return !held;
  }

  /** Takes the item with the smallest key, the earliest arrival among equals; undefined when empty. */
  pop(): T | undefined {
    if (this.#total === 0) return undefined;
    const slot = this.#slots[0]!;
    const item = this.#items[slot];
    this.#items[slot] = undefined;
    this.#advance();
    return item;
  }

  /** Takes an item out.
   *  @returns false if it is not held */
  remove(item: T): boolean {
    if (!this.has(item)) return false;
    this.#items[item.place] = undefined;
    if (item.place === this.#slots[0]) this.#advance();
    else if (++this.#dead * 2 > this.#total) this.#compact();
    return true;
  }

  /** Empties the heap and gives its memory back. */
  clear(): void {
    this.#total = 0;
    this.#dead = 0;
    this.#keys = infinities(first);
    this.#slots = numbers(first);
    this.#turns = infinities(first);
    this.#items = [];
  }

  /** Frees the first entry, and all that come to the top without an item. */
  #advance(): void {
    this.#shift();
    while (this.#dead > 0 && this.#items[this.#slots[0]!] === undefined) {
      this.#dead--;
      this.#shift();
    }
  }

  #shift(): void {
    const keys = this.#keys;
    const slots = this.#slots;
    const free = slots[0]!;
    const last = --this.#total;
    keys[0] = keys[last]!;
    slots[0] = slots[last]!;
    keys[last] = Infinity;
    slots[last] = free;
    this.#turns[free] = Infinity;
    this.#sink(0);
  }

  /** Moves an entry down to where it belongs. */
  #sink(from: number): void {
    const keys = this.#keys;
    const slots = this.#slots;
    const turns = this.#turns;
    const total = this.#total;
    const key = keys[from]!;
    const slot = slots[from]!;
    let at = from;
    for (let child = 4 * at + 1; child < total; child = 4 * at + 1) {
      const a = keys[child]!;
      const b = keys[child + 1]!;
      const c = keys[child + 2]!;
      const d = keys[child + 3]!;
      let least = child + lowest(a, b, c, d);
      const best = keys[least]!;
      if (+(a <= best) + +(b <= best) + +(c <= best) + +(d <= best) > 1)
        least =
          child +
          lowest(
            a > best ? Infinity : turns[slots[child]!]!,
            b > best ? Infinity : turns[slots[child + 1]!]!,
            c > best ? Infinity : turns[slots[child + 2]!]!,
            d > best ? Infinity : turns[slots[child + 3]!]!,
          );
      if (key < best || (key === best && turns[slot]! < turns[slots[least]!]!)) break;
      keys[at] = best;
      slots[at] = slots[least]!;
      at = least;
    }
    keys[at] = key;
    slots[at] = slot;
  }

  /** Frees all entries without an item, and makes a heap of the others. */
  #compact(): void {
    const keys = this.#keys;
    const slots = this.#slots;
    let kept = 0;
    for (let at = 0; at < this.#total; at++) {
      const slot = slots[at]!;
      if (this.#items[slot] === undefined) {
        this.#turns[slot] = Infinity;
        continue;
      }
      keys[kept] = keys[at]!;
      slots[at] = slots[kept]!;
      slots[kept++] = slot;
    }
    keys.fill(Infinity, kept, this.#total);
    this.#total = kept;
    this.#dead = 0;
    for (let at = (kept - 2) >> 2; at >= 0; at--) this.#sink(at);
  }

  #grow(): void {
    const places = this.#slots.length * 2;
    this.#keys = widen(this.#keys, infinities(places));
    this.#slots = widen(this.#slots, numbers(places));
    this.#turns = widen(this.#turns, infinities(places));
  }
}

/** Which of four is the lowest, 0…3; the first among equals. Without branches, because they could not be predicted: that alone makes
 *  `pop` of a small heap twice as fast. */
function lowest(a: number, b: number, c: number, d: number): number {
  const isB = +(b < a) & +(b <= c) & +(b <= d);
  const isC = +(c < a) & +(c < b) & +(c <= d);
  const isD = +(d < a) & +(d < b) & +(d < c);
  return isB | isD | ((isC | isD) << 1);
}

function infinities(length: number): Float64Array<ArrayBuffer> {
  return new Float64Array(length).fill(Infinity);
}

function numbers(length: number): Int32Array<ArrayBuffer> {
  const list = new Int32Array(length);
  for (let at = 0; at < length; at++) list[at] = at;
  return list;
}

function widen<A extends Float64Array<ArrayBuffer> | Int32Array<ArrayBuffer>>(from: A, to: A): A {
  to.set(from);
  return to;
}

function check(key: number): void {
  if (Number.isNaN(key))
    throw new InvalidInput("the key of a heap entry is NaN, which has no place in an order; pass epoch milliseconds");
}
