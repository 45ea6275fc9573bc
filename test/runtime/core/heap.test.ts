import fc from "fast-check";
import { expect, test } from "vitest";
import { InvalidInput } from "../../../sdk/port/error.ts";
import { Heap } from "../../../runtime/core/heap.ts";

interface Item {
  readonly name: string | number;
  place: number;
}

function anItem(name: string | number): Item {
  return { name, place: 0 };
}

/** One item for each of 0…n-1. */
function someItems(n: number): Item[] {
  return Array.from({ length: n }, (_, name) => anItem(name));
}

function drain(heap: Heap<Item>): (string | number)[] {
  const names: (string | number)[] = [];
  while (heap.size > 0) names.push(heap.pop()!.name);
  return names;
}

test("items leave by key, whatever the order they came in", () => {
  const heap = new Heap<Item>();
  heap.push(anItem("late"), 300);
  heap.push(anItem("early"), 100);
  heap.push(anItem("between"), 200);

  const left = drain(heap);

  expect(left).toEqual(["early", "between", "late"]);
});

test("equal keys leave in order of arrival", () => {
  const heap = new Heap<Item>();
  for (const item of someItems(100)) heap.push(item, 7);

  const left = drain(heap);

  expect(left).toEqual(Array.from({ length: 100 }, (_, name) => name));
});

interface Entry {
  readonly item: Item;
  readonly key: number;
}

/** What the heap must equal: an array kept in order, where an entry goes behind those with its key. */
class Model {
  entries: Entry[] = [];

  put(entry: Entry): void {
    const after = this.entries.findIndex((other) => other.key > entry.key);
    this.entries.splice(after < 0 ? this.entries.length : after, 0, entry);
  }

  take(item: Item): boolean {
    const at = this.entries.findIndex((entry) => entry.item === item);
    if (at >= 0) this.entries.splice(at, 1);
    return at >= 0;
  }
}

/** Numbers from 0 to 999 that follow no rule, the same every time. */
function* someNumbers(): Generator<number, never> {
  for (let seed = 1; ; seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) yield (seed >>> 8) % 1000;
}

/** Pushes to both. */
function put(heap: Heap<Item>, model: Model, entry: Entry): void {
  model.put(entry);
  heap.push(entry.item, entry.key);
}

// Around 256 and 512, where it grows.
const sizes = Array.from({ length: 8 }, (_, more) => [250 + more, 506 + more]).flat();

test.each(sizes)("while it holds %i, the least is next, whatever comes and goes", (n) => {
  const heap = new Heap<Item>();
  const model = new Model();
  const numbers = someNumbers();
  for (const item of someItems(n)) put(heap, model, { item, key: numbers.next().value });

  for (let turn = 0; turn < 3_000; turn++) {
    const { item, key } = model.entries.shift()!;
    expect(heap.pop()).toBe(item);
    put(heap, model, { item, key: key + numbers.next().value });
  }
});

test.each([5, 6, 7, 8, 9, 21, 100, 1000])("%i items leave by key, though most of those before were removed", (n) => {
  const numbers = someNumbers();
  for (let round = 0; round < 20; round++) {
    const heap = new Heap<Item>();
    const model = new Model();
    const [before, after] = [someItems(n), someItems(n)];
    for (const item of before) put(heap, model, { item, key: numbers.next().value });
    for (const item of before) if (numbers.next().value < 600 && model.take(item)) heap.remove(item);
    for (const item of after) put(heap, model, { item, key: numbers.next().value });

    const left = drain(heap);

    expect(left).toEqual(model.entries.map(({ item }) => item.name));
  }
});

test("an empty heap answers undefined, and has no next key", () => {
  const heap = new Heap<Item>();

  expect(heap.pop()).toBeUndefined();
  expect(heap.peek()).toBeUndefined();
  expect(heap.nextKey()).toBe(Infinity);
  expect(heap.due(Number.MAX_VALUE)).toBe(false);
  expect(heap.due(Infinity)).toBe(false);
});

test("peek shows the next item and leaves it there", () => {
  const heap = new Heap<Item>();
  heap.push(anItem("b"), 20);
  heap.push(anItem("a"), 10);

  expect(heap.peek()?.name).toBe("a");
  expect(heap.nextKey()).toBe(10);
  expect(heap.size).toBe(2);
});

test("an item is due at its instant, not before", () => {
  const heap = new Heap<Item>();
  heap.push(anItem("a"), 1_000);

  expect(heap.due(999)).toBe(false);
  expect(heap.due(1_000)).toBe(true);
});

test("remove takes one item out and no other", () => {
  const heap = new Heap<Item>();
  const item = anItem("b");
  heap.push(anItem("a"), 10);
  heap.push(item, 20);
  heap.push(anItem("c"), 30);

  expect(heap.remove(item)).toBe(true);
  expect(heap.remove(item)).toBe(false);
  expect(heap.has(item)).toBe(false);
  expect(heap.size).toBe(2);
  expect(drain(heap)).toEqual(["a", "c"]);
});

test("what was removed never shows, though it was next in line", () => {
  const heap = new Heap<Item>();
  const items = someItems(5);
  for (const item of items) heap.push(item, Number(item.name));
  heap.remove(items[1]!);
  heap.remove(items[0]!);

  expect(heap.peek()).toBe(items[2]);
  expect(heap.nextKey()).toBe(2);
  expect(drain(heap)).toEqual([2, 3, 4]);
});

test("an item that left, or that another heap holds, is not held", () => {
  const heap = new Heap<Item>();
  const other = new Heap<Item>();
  const popped = anItem("popped");
  const elsewhere = anItem("elsewhere");
  heap.push(popped, 1);
  heap.pop();
  heap.push(anItem("in its place"), 1);
  other.push(elsewhere, 1);

  expect(heap.remove(popped)).toBe(false);
  expect(heap.remove(elsewhere)).toBe(false);
  expect(heap.has(anItem("new"))).toBe(false);
  expect(other.has(elsewhere)).toBe(true);
  expect(drain(heap)).toEqual(["in its place"]);
});

test("an item goes from heap to heap", () => {
  const heap = new Heap<Item>();
  const other = new Heap<Item>();
  const item = anItem("a");
  for (const before of someItems(3)) heap.push(before, 1);
  heap.push(item, 0);

  other.push(heap.pop()!, 5);

  expect(heap.has(item)).toBe(false);
  expect(other.remove(item)).toBe(true);
  expect(drain(heap)).toEqual([0, 1, 2]);
});

test("pushing an item again gives it the key, behind those that have it", () => {
  const heap = new Heap<Item>();
  const item = anItem("moved");
  heap.push(item, 10);
  heap.push(anItem("other"), 20);

  const added = heap.push(item, 20);

  expect(added).toBe(false);
  expect(heap.size).toBe(2);
  expect(drain(heap)).toEqual(["other", "moved"]);
});

test("of many items those stay that were not removed", () => {
  const heap = new Heap<Item>();
  const items = someItems(1_000);
  for (const item of items) heap.push(item, Number(item.name));
  for (const item of items) if (Number(item.name) % 3) heap.remove(item);

  expect(items.filter((item) => heap.has(item)).map((item) => Number(item.name) % 3)).toEqual(Array(334).fill(0));
  expect(heap.size).toBe(334);
});

test("what comes and goes behind what stays takes no memory", () => {
  const heap = new Heap<Item>();
  heap.push(anItem("stays"), 0);
  const before = process.memoryUsage().arrayBuffers;
  for (const item of someItems(500_000)) {
    heap.push(item, 1);
    heap.remove(item);
  }

  expect(heap.size).toBe(1);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e6); // else 20 bytes for each
});

test("clear lets go of all that was held, and the heap goes on empty", () => {
  const heap = new Heap<Item>();
  const items = someItems(1_000);
  for (const item of items) heap.push(item, -Number(item.name));

  heap.clear();
  heap.push(anItem("new"), 1);

  expect(items.filter((item) => heap.has(item))).toEqual([]);
  expect(heap.size).toBe(1);
  expect(drain(heap)).toEqual(["new"]);
});

test("NaN is refused as a key, and the heap stays as it was", () => {
  const heap = new Heap<Item>();
  const item = anItem("a");
  heap.push(item, 10);

  expect(() => heap.push(anItem("b"), Number.NaN)).toThrow(InvalidInput);
  expect(() => heap.push(item, Number.NaN)).toThrow(InvalidInput);
  expect(heap.nextKey()).toBe(10);
  expect(drain(heap)).toEqual(["a"]);
});

/** Does one act to both and compares the answers. `items` are those that may be held. */
type Act = (heap: Heap<Item>, model: Model, items: readonly Item[]) => void;

const index = fc.nat({ max: 400 });
const key = fc.oneof(fc.nat({ max: 5 }), fc.double({ noNaN: true }), fc.constantFrom(Infinity, -Infinity, 0, -0));

const push = fc.tuple(index, key).map(([index, key]): Act => (heap, model, items) => {
  const item = items[index]!;
  const held = model.take(item);
  model.put({ item, key });

  expect(heap.push(item, key)).toBe(!held);
});
const pop = fc.constant<Act>((heap, model) => {
  expect(heap.pop()).toBe(model.entries.shift()?.item);
});
const remove = index.map((index): Act => (heap, model, items) => {
  expect(heap.remove(items[index]!)).toBe(model.take(items[index]!));
});
/** Leaves few: what was removed outnumbers what is held, and is swept away. */
const thin = index.map((index): Act => (heap, model, items) => {
  const others = items.filter((item) => item.name !== index);

  expect(others.map((item) => heap.remove(item))).toEqual(others.map((item) => model.take(item)));
});
const flood = key.map((key): Act => (heap, model, items) => {
  const held = items.map((item) => model.take(item));
  for (const item of items) model.put({ item, key });

  expect(items.map((item) => heap.push(item, key))).toEqual(held.map((was) => !was));
});
const clear = fc.constant<Act>((heap, model) => {
  heap.clear();
  model.entries = [];
});
const act = fc.oneof(
  { weight: 80, arbitrary: push },
  { weight: 30, arbitrary: pop },
  { weight: 50, arbitrary: remove },
  { weight: 1, arbitrary: thin },
  { weight: 1, arbitrary: flood },
  { weight: 1, arbitrary: clear },
);

test("any mix of acts leaves it equal to a sorted array", () => {
  fc.assert(
    fc.property(fc.array(act, { size: "max", maxLength: 400 }), index, (acts, probe) => {
      const heap = new Heap<Item>();
      const model = new Model();
      const items = someItems(401);

      for (const one of acts) {
        one(heap, model, items);
        expect(heap.peek()).toBe(model.entries[0]?.item);
        expect(heap.nextKey() + 0).toBe((model.entries[0]?.key ?? Infinity) + 0); // -0 and 0 are one key
        expect(heap.size).toBe(model.entries.length);
        expect(heap.has(items[probe]!)).toBe(model.entries.some(({ item }) => item === items[probe]));
      }

      expect(drain(heap)).toEqual(model.entries.map(({ item }) => item.name));
    }),
    { numRuns: 200 },
  );
});
