import fc from "fast-check";
import { expect, test } from "vitest";
import { InvalidInput } from "../sdk/error.ts";
import { Heap } from "../runtime/heap.ts";

function drain<T>(heap: Heap<T>): T[] {
  const items: T[] = [];
  while (heap.size > 0) items.push(heap.pop() as T);
  return items;
}

test("items leave by key, whatever the order they came in", () => {
  const heap = new Heap<string>();
  heap.push(1, 300, "late");
  heap.push(2, 100, "early");
  heap.push(3, 200, "between");

  const left = drain(heap);

  expect(left).toEqual(["early", "between", "late"]);
});

test("equal keys leave in order of arrival", () => {
  const heap = new Heap<number>();
  for (let id = 0; id < 100; id++) heap.push(id, 7, id);

  const left = drain(heap);

  expect(left).toEqual(Array.from({ length: 100 }, (_, id) => id));
});

test("an empty heap answers undefined, and has no next key", () => {
  const heap = new Heap<string>();

  expect(heap.pop()).toBeUndefined();
  expect(heap.peek()).toBeUndefined();
  expect(heap.nextKey()).toBe(Infinity);
  expect(heap.due(Number.MAX_VALUE)).toBe(false);
});

test("peek shows the next entry and leaves it there", () => {
  const heap = new Heap<string>();
  heap.push(5, 20, "b");
  heap.push(4, 10, "a");

  expect(heap.peek()).toEqual({ id: 4, key: 10, item: "a" });
  expect(heap.size).toBe(2);
});

test("an entry is due at its instant, not before", () => {
  const heap = new Heap<string>();
  heap.push(1, 1_000, "a");

  expect(heap.due(999)).toBe(false);
  expect(heap.due(1_000)).toBe(true);
});

test("remove takes one id out and no other", () => {
  const heap = new Heap<string>();
  heap.push(1, 10, "a");
  heap.push(2, 20, "b");
  heap.push(3, 30, "c");

  expect(heap.remove(2)).toBe("b");
  expect(heap.remove(2)).toBeUndefined();
  expect(heap.has(2)).toBe(false);
  expect(drain(heap)).toEqual(["a", "c"]);
});

test("update moves an entry behind those that have the new key already; the same key moves nothing", () => {
  const heap = new Heap<string>();
  heap.push(1, 10, "a");
  heap.push(2, 20, "b");
  heap.push(3, 20, "c");

  heap.update(1, 20);
  heap.update(2, 20);

  expect(heap.update(9, 20)).toBe(false);
  expect(drain(heap)).toEqual(["b", "c", "a"]);
});

test("pushing an id again replaces its item and its key", () => {
  const heap = new Heap<string>();
  heap.push(1, 10, "first lease");
  heap.push(2, 20, "other");

  const added = heap.push(1, 30, "second lease");

  expect(added).toBe(false);
  expect(heap.get(1)).toBe("second lease");
  expect(drain(heap)).toEqual(["other", "second lease"]);
});

test("ids beyond 32 bits are kept apart", () => {
  const heap = new Heap<string>();
  heap.push(2 ** 32 + 1, 1, "a");
  heap.push(1, 2, "b");
  heap.push(Number.MAX_SAFE_INTEGER, 3, "c");

  expect(heap.remove(1)).toBe("b");
  expect(heap.get(Number.MAX_SAFE_INTEGER)).toBe("c");
  expect(heap.get(2 ** 32 + 1)).toBe("a");
});

test("clear gives back what was held, and the heap goes on empty", () => {
  const heap = new Heap<number>();
  for (let id = 0; id < 1_000; id++) heap.push(id, -id, id);

  const held = heap.clear();
  heap.push(7, 1, 7);

  expect(held.sort((a, b) => a - b)).toEqual(Array.from({ length: 1_000 }, (_, id) => id));
  expect(drain(heap)).toEqual([7]);
});

test("NaN is refused as a key, and the heap stays as it was", () => {
  const heap = new Heap<string>();
  heap.push(1, 10, "a");

  expect(() => heap.push(2, Number.NaN, "b")).toThrow(InvalidInput);
  expect(() => heap.update(1, Number.NaN)).toThrow(InvalidInput);
  expect(drain(heap)).toEqual(["a"]);
});

interface Entry {
  readonly id: number;
  readonly key: number;
  readonly item: number;
}

/** What the heap must equal: an array kept in order, where an entry goes behind those with its key. */
class Model {
  entries: Entry[] = [];

  put(entry: Entry): void {
    const after = this.entries.findIndex((other) => other.key > entry.key);
    this.entries.splice(after < 0 ? this.entries.length : after, 0, entry);
  }

  take(id: number): Entry | undefined {
    const at = this.entries.findIndex((entry) => entry.id === id);
    return at < 0 ? undefined : this.entries.splice(at, 1)[0];
  }
}

/** Does one act to both and compares the answers. */
type Act = (heap: Heap<number>, model: Model) => void;

const id = fc.oneof(
  fc.nat({ max: 40 }),
  fc.nat({ max: 400 }).map((n) => 2 ** 40 + n),
);
const key = fc.oneof(fc.nat({ max: 5 }), fc.double({ noNaN: true }));

const push = fc.tuple(id, key, fc.nat()).map(([id, key, item]): Act => (heap, model) => {
  const held = model.take(id);
  model.put({ id, key, item });

  expect(heap.push(id, key, item)).toBe(!held);
});
const pop = fc.constant<Act>((heap, model) => {
  expect(heap.pop()).toBe(model.entries.shift()?.item);
});
const remove = id.map((id): Act => (heap, model) => {
  expect(heap.remove(id)).toBe(model.take(id)?.item);
});
const update = fc.tuple(id, key).map(([id, key]): Act => (heap, model) => {
  const found = model.entries.find((entry) => entry.id === id);
  if (found && found.key !== key) model.put({ ...found, ...model.take(id), key });

  expect(heap.update(id, key)).toBe(found !== undefined);
});
const clear = fc.constant<Act>((heap, model) => {
  const items = model.entries.splice(0).map((entry) => entry.item);

  expect(heap.clear().sort((a, b) => a - b)).toEqual(items.sort((a, b) => a - b));
});
const act = fc.oneof(
  { weight: 40, arbitrary: push },
  { weight: 15, arbitrary: pop },
  { weight: 10, arbitrary: remove },
  { weight: 15, arbitrary: update },
  { weight: 1, arbitrary: clear },
);

test("any mix of acts leaves it equal to a sorted array", () => {
  fc.assert(
    fc.property(fc.array(act, { size: "max", maxLength: 400 }), id, (acts, probe) => {
      const heap = new Heap<number>();
      const model = new Model();

      for (const one of acts) {
        one(heap, model);
        expect(heap.peek()).toEqual(model.entries[0]);
        expect(heap.size).toBe(model.entries.length);
        expect(heap.get(probe)).toBe(model.entries.find((entry) => entry.id === probe)?.item);
      }

      expect(drain(heap)).toEqual(model.entries.map((entry) => entry.item));
    }),
    { numRuns: 200 },
  );
});
