import { InvalidInput } from "../sdk/error.ts";

/** One held entry, as `peek` shows it. */
export interface Entry<T> {
  readonly id: number;
  /** Epoch ms. */
  readonly key: number;
  readonly item: T;
}

/** How many entries fit before it grows for the first time; a power of two, as the table's mask needs. */
const first = 64;

/** A 4-ary min-heap of items by key (epoch ms), each under a numeric id; equal keys leave in order of arrival.
 *  Shape: children of i at 4i+1…4i+4, parent at (i-1)>>2. push, pop, remove and update O(log n); peek, has, get O(1).
 *  Grows by doubling and gives its memory back at `clear`: at most 40 bytes a place, the item's pointer aside.
 *  Ids are safe integers; keys are any number but NaN.
 *  Source: the heap of Go's runtime/time.go, with keys kept beside the order; numbers in bench/heap.ts. */
export class Heap<T> {
  #size = 0;
  #arrived = 0;
  // By position in the heap. Beyond #size, #slots holds the free slots: it is always a permutation of all of them.
  #keys = new Float64Array(first);
  #turns = new Float64Array(first);
  #slots = Int32Array.from({ length: first }, (_, slot) => slot);
  // By slot, which an entry keeps while it is held.
  #places = new Int32Array(first);
  #ids = new Float64Array(first);
  #items: (T | undefined)[] = [];
  // By id: an open hash table of slots + 1, twice as long, so that it is never more than half full. 0 is free.
  // A Map would take as much memory again as all the rest.
  #table = new Int32Array(first * 2);

  /** How many entries are held. */
  get size(): number {
    return this.#size;
  }

  /** Whether the id is held. */
  has(id: number): boolean {
    return this.#slotOf(id) >= 0;
  }

  /** The item under an id, or undefined. */
  get(id: number): T | undefined {
    const slot = this.#slotOf(id);
    return slot < 0 ? undefined : this.#items[slot];
  }

  /** The entry that `pop` would take, or undefined when empty. */
  peek(): Entry<T> | undefined {
    if (this.#size === 0) return undefined;
    const slot = this.#slots[0]!;
    return { id: this.#ids[slot]!, key: this.#keys[0]!, item: this.#items[slot] as T };
  }

  /** The smallest key, epoch ms; Infinity when empty. */
  nextKey(): number {
    return this.#size === 0 ? Infinity : this.#keys[0]!;
  }

  /** Whether the earliest key is at or before `nowMs`. */
  due(nowMs: number): boolean {
    return this.#size > 0 && this.#keys[0]! <= nowMs;
  }

  /** Adds an item. An id that is held already is replaced, item and key, and counts as arriving now.
   *  @returns false if it replaced one
   *  @throws {InvalidInput} when the key is NaN */
  push(id: number, key: number, item: T): boolean {
    check(key);
    const held = this.#slotOf(id);
    if (held >= 0) {
      this.#items[held] = item;
      this.#move(this.#places[held]!, key);
      return false;
    }
    if (this.#size === this.#keys.length) this.#grow();
    const at = this.#size++;
    const slot = this.#slots[at]!;
    this.#ids[slot] = id;
    this.#items[slot] = item;
    this.#enter(slot);
    this.#up(at, key, ++this.#arrived, slot);
    return true;
  }

  /** Takes the item with the smallest key, the earliest arrival among equals; undefined when empty. */
  pop(): T | undefined {
    return this.#size === 0 ? undefined : this.#take(0);
  }

  /** Takes the item under an id out; undefined if the id is not held. */
  remove(id: number): T | undefined {
    const slot = this.#slotOf(id);
    return slot < 0 ? undefined : this.#take(this.#places[slot]!);
  }

  /** Gives an entry another key, behind the entries that have that key already. The same key changes nothing.
   *  @returns false if the id is not held
   *  @throws {InvalidInput} when the key is NaN */
  update(id: number, key: number): boolean {
    check(key);
    const slot = this.#slotOf(id);
    if (slot < 0) return false;
    const at = this.#places[slot]!;
    if (this.#keys[at] !== key) this.#move(at, key);
    return true;
  }

  /** The items held, in no order. The heap must not be changed while it is being walked. */
  *items(): IterableIterator<T> {
    for (let at = 0; at < this.#size; at++) yield this.#items[this.#slots[at]!] as T;
  }

  /** Empties the heap and gives its memory back.
   *  @returns what it held, in no order */
  clear(): T[] {
    const items = [...this.items()];
    this.#size = 0;
    this.#keys = new Float64Array(first);
    this.#turns = new Float64Array(first);
    this.#slots = Int32Array.from({ length: first }, (_, slot) => slot);
    this.#places = new Int32Array(first);
    this.#ids = new Float64Array(first);
    this.#items = [];
    this.#table = new Int32Array(first * 2);
    return items;
  }

  #take(at: number): T {
    const slot = this.#slots[at]!;
    const item = this.#items[slot] as T;
    this.#leave(slot);
    this.#items[slot] = undefined;
    const last = --this.#size;
    const moved = this.#slots[last]!;
    this.#slots[last] = slot;
    if (at !== last) this.#settle(at, this.#keys[last]!, this.#turns[last]!, moved);
    return item;
  }

  #move(at: number, key: number): void {
    this.#settle(at, key, ++this.#arrived, this.#slots[at]!);
  }

  /** Puts an entry into the hole at `at`, then up or down to where it belongs. */
  #settle(at: number, key: number, turn: number, slot: number): void {
    const parent = (at - 1) >> 2;
    const other = this.#keys[parent]!;
    const above = at > 0 && (key < other || (key === other && turn < this.#turns[parent]!));
    if (above) this.#up(at, key, turn, slot);
    else this.#down(at, key, turn, slot);
  }

  // The two below run for every entry, level by level, so they hold the arrays in constants and call nothing.

  #up(from: number, key: number, turn: number, slot: number): void {
    const keys = this.#keys;
    const turns = this.#turns;
    const slots = this.#slots;
    const places = this.#places;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 2;
      const other = keys[parent]!;
      if (other < key || (other === key && turns[parent]! < turn)) break;
      const moved = slots[parent]!;
      keys[at] = other;
      turns[at] = turns[parent]!;
      slots[at] = moved;
      places[moved] = at;
      at = parent;
    }
    keys[at] = key;
    turns[at] = turn;
    slots[at] = slot;
    places[slot] = at;
  }

  #down(from: number, key: number, turn: number, slot: number): void {
    const keys = this.#keys;
    const turns = this.#turns;
    const slots = this.#slots;
    const places = this.#places;
    const size = this.#size;
    let at = from;
    for (let child = 4 * at + 1; child < size; child = 4 * at + 1) {
      const end = child + 4 < size ? child + 4 : size;
      let least = child;
      let best = keys[child]!;
      for (let next = child + 1; next < end; next++) {
        const other = keys[next]!;
        if (other < best || (other === best && turns[next]! < turns[least]!)) {
          least = next;
          best = other;
        }
      }
      if (key < best || (key === best && turn < turns[least]!)) break;
      const moved = slots[least]!;
      keys[at] = best;
      turns[at] = turns[least]!;
      slots[at] = moved;
      places[moved] = at;
      at = least;
    }
    keys[at] = key;
    turns[at] = turn;
    slots[at] = slot;
    places[slot] = at;
  }

  /** The slot of an id, or -1. */
  #slotOf(id: number): number {
    const table = this.#table;
    const ids = this.#ids;
    const mask = table.length - 1;
    for (let at = home(id, mask); ; at = (at + 1) & mask) {
      const slot = table[at]! - 1;
      if (slot < 0 || ids[slot] === id) return slot;
    }
  }

  #enter(slot: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    let at = home(this.#ids[slot]!, mask);
    while (table[at] !== 0) at = (at + 1) & mask;
    table[at] = slot + 1;
  }

  /** Frees a place in the table, and pulls back what had been pushed past it: no search ever crosses a gap. */
  #leave(slot: number): void {
    const table = this.#table;
    const ids = this.#ids;
    const mask = table.length - 1;
    let gap = home(ids[slot]!, mask);
    while (table[gap] !== slot + 1) gap = (gap + 1) & mask;
    for (let at = (gap + 1) & mask; table[at] !== 0; at = (at + 1) & mask) {
      const wanted = home(ids[table[at]! - 1]!, mask);
      if (((at - wanted) & mask) < ((at - gap) & mask)) continue;
      table[gap] = table[at]!;
      gap = at;
    }
    table[gap] = 0;
  }

  #grow(): void {
    const size = this.#size;
    this.#keys = widen(this.#keys, new Float64Array(size * 2));
    this.#turns = widen(this.#turns, new Float64Array(size * 2));
    this.#ids = widen(this.#ids, new Float64Array(size * 2));
    this.#places = widen(this.#places, new Int32Array(size * 2));
    this.#slots = widen(this.#slots, new Int32Array(size * 2));
    for (let slot = size; slot < size * 2; slot++) this.#slots[slot] = slot;
    this.#table = new Int32Array(size * 4);
    for (let slot = 0; slot < size; slot++) this.#enter(slot);
  }
}

/** Where the search for an id begins: all 53 bits count, so that ids in blocks or strides don't crowd. */
function home(id: number, mask: number): number {
  const mixed = Math.imul((id | 0) ^ Math.imul((id / 2 ** 32) | 0, 0x85ebca6b), 0x9e3779b1);
  return (mixed ^ (mixed >>> 15)) & mask;
}

function widen<A extends Float64Array<ArrayBuffer> | Int32Array<ArrayBuffer>>(from: A, to: A): A {
  to.set(from);
  return to;
}

function check(key: number): void {
  if (Number.isNaN(key))
    throw new InvalidInput("the key of a heap entry is NaN, which has no place in an order; pass epoch milliseconds");
}
