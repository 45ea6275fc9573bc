/** Items sorted by a number, then by id. An item's number must not change while it is in.
 *  Shape: sorted blocks of at most `most` items. add and remove O(log n + most), count O(n / most), a walk O(1) an item. */
export class Order<T extends { readonly id: number }> {
  readonly #blocks: T[][] = [];
  readonly #of: (item: T) => number;

  constructor(of: (item: T) => number) {
    this.#of = of;
  }

  first(): T | undefined {
    return this.#blocks[0]?.[0];
  }

  add(item: T): void {
    const at = Math.max(0, Math.min(this.#blockOf(item), this.#blocks.length - 1));
    const block = (this.#blocks[at] ??= []);
    const place = this.#placeIn(block, item);
    if (place === block.length) block.push(item);
    else block.splice(place, 0, item);
    if (block.length > most) this.#blocks.splice(at + 1, 0, block.splice(most / 2));
  }

  /** @returns false if it was not in */
  remove(item: T): boolean {
    const at = this.#blockOf(item);
    const block = this.#blocks[at] ?? [];
    const place = this.#placeIn(block, item);
    if (block[place] !== item) return false;
    if (place === 0) block.shift();
    else block.splice(place, 1);
    if (block.length === 0) this.#blocks.splice(at, 1);
    return true;
  }

  /** Items whose number is at most `end`, in order. Nothing may be added or removed meanwhile. */
  *upTo(end: number): Generator<T> {
    for (const block of this.#blocks)
      for (const item of block) {
        if (this.#of(item) > end) return;
        yield item;
      }
  }

  /** How many items have a number of at most `end`. */
  count(end = Infinity): number {
    let count = 0;
    for (const block of this.#blocks) {
      if (this.#of(block.at(-1)!) > end) return count + firstOf(block.length, (i) => this.#of(block[i]!) > end);
      count += block.length;
    }
    return count;
  }

  #blockOf(item: T): number {
    return firstOf(this.#blocks.length, (i) => this.#compare(this.#blocks[i]!.at(-1)!, item) >= 0);
  }

  #placeIn(block: readonly T[], item: T): number {
    if (block[0] === item) return 0; // mostly the first is removed
    if (block.length > 0 && this.#compare(block.at(-1)!, item) < 0) return block.length;
    return firstOf(block.length, (i) => this.#compare(block[i]!, item) >= 0);
  }

  #compare(a: T, b: T): number {
    return this.#of(a) - this.#of(b) || a.id - b.id;
  }
}

const most = 512;

/** The first place at which `isFrom` is true, by binary search. */
function firstOf(count: number, isFrom: (place: number) => boolean): number {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isFrom(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
