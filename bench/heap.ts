/** The heap beside its rivals, in ns an operation. Run: `npm install --prefix bench && node --import tsx bench/heap.ts`.
 *  push: n pushes into an empty heap · pop: n pops · churn: pop and push at constant n · remove: by id or object, at n.
 *  Keys are random; an entry is an object with an id and a key. "-": it has no removal. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Heap } from "../runtime/heap.ts";

interface Entry {
  readonly id: number;
  key: number;
}

/** What is measured, whatever the package calls it. */
interface Queue {
  push(entry: Entry): void;
  pop(): Entry | undefined;
  remove?(entry: Entry): unknown;
}

interface Rival {
  readonly name: string;
  make(): Queue;
}

const sizes = [1e3, 1e5, 1e6];
const removeBudgetMs = 300;

const byKey = (a: Entry, b: Entry): number => a.key - b.key;

function tasker(): Queue {
  const heap = new Heap<Entry>();
  return {
    push: (entry) => heap.push(entry.id, entry.key, entry),
    pop: () => heap.pop(),
    remove: (entry) => heap.remove(entry.id),
  };
}

/** The rivals live in bench/package.json, so the types here are the little that is used of them. */
async function rivals(): Promise<readonly Rival[]> {
  const heapJs = await load<{ Heap: new (by: typeof byKey) => Queue }>("heap-js");
  const fast = await load<{ default: new (less: (a: Entry, b: Entry) => boolean) => FastQueue }>("fastpriorityqueue");
  const tiny = await load<{ default: new (items: Entry[], by: typeof byKey) => Queue }>("tinyqueue");
  const flat = await load<{ default: new () => FlatQueue }>("flatqueue");
  const structures = await load<{ PriorityQueue: new (by: typeof byKey) => ListQueue }>(
    "@datastructures-js/priority-queue",
  );
  return [
    { name: "tasker", make: tasker },
    { name: "heap-js", make: () => new heapJs.Heap(byKey) },
    { name: "fastpriorityqueue", make: () => overFast(new fast.default((a, b) => a.key < b.key)) },
    { name: "tinyqueue", make: () => new tiny.default([], byKey) },
    { name: "flatqueue", make: () => overFlat(new flat.default()) },
    { name: "@datastructures-js/priority-queue", make: () => overList(new structures.PriorityQueue(byKey)) },
  ];
}

async function load<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    throw new Error(`"${name}" is not installed; run "npm install --prefix bench"`, { cause: error });
  }
}

interface FastQueue {
  add(entry: Entry): void;
  poll(): Entry | undefined;
  removeOne(matches: (entry: Entry) => boolean): Entry | undefined;
}

function overFast(queue: FastQueue): Queue {
  return {
    push: (entry) => queue.add(entry),
    pop: () => queue.poll(),
    remove: (entry) => queue.removeOne((other) => other === entry),
  };
}

interface FlatQueue {
  push(entry: Entry, key: number): void;
  pop(): Entry | undefined;
}

function overFlat(queue: FlatQueue): Queue {
  return { push: (entry) => queue.push(entry, entry.key), pop: () => queue.pop() };
}

interface ListQueue {
  enqueue(entry: Entry): void;
  dequeue(): Entry | null;
  remove(matches: (entry: Entry) => boolean): readonly Entry[];
}

function overList(queue: ListQueue): Queue {
  return {
    push: (entry) => queue.enqueue(entry),
    pop: () => queue.dequeue() ?? undefined,
    remove: (entry) => queue.remove((other) => other === entry),
  };
}

/** The same keys for everybody, every time. */
function entries(n: number): Entry[] {
  let seed = 42;
  return Array.from({ length: n }, (_, id) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return { id: id + 1, key: seed };
  });
}

/** In ns an operation; null where there is no such operation. */
interface Figures {
  readonly push: number;
  readonly pop: number;
  readonly churn: number;
  readonly remove: number | null;
}

function measure(rival: Rival, n: number): Figures {
  const rounds = Array.from({ length: n < 1e4 ? 100 : n < 1e6 ? 5 : 3 }, () => round(rival, entries(n)));
  const removes = rounds.map((figures) => figures.remove).filter((figure) => figure !== null);
  return {
    push: median(rounds.map((figures) => figures.push)),
    pop: median(rounds.map((figures) => figures.pop)),
    churn: median(rounds.map((figures) => figures.churn)),
    remove: removes.length ? median(removes) : null,
  };
}

function round(rival: Rival, list: readonly Entry[]): Figures {
  const queue = rival.make();
  const push = perCall(list.length, (i) => queue.push(list[i]!));
  const churn = perCall(Math.min(list.length, 2e5), () => {
    const entry = queue.pop()!;
    entry.key += 2 ** 31;
    queue.push(entry);
  });
  const remove = queue.remove ? removal(queue, list) : null;
  const left = list.length;
  const pop = perCall(left, () => queue.pop());
  return { push, pop, churn, remove };
}

/** Takes entries out from all over; putting them back is not counted. Slow ones get few samples: an order of magnitude. */
function removal(queue: Queue, list: readonly Entry[]): number {
  const samples = Math.min(list.length, 1_000);
  const taken: Entry[] = [];
  const began = performance.now();
  for (let i = 0; i < samples && performance.now() - began < removeBudgetMs; i++) {
    const entry = list[Math.imul(i, 7919) % list.length]!;
    taken.push(entry);
    queue.remove?.(entry);
  }
  const took = performance.now() - began;
  for (const entry of taken) queue.push(entry);
  return (took * 1e6) / taken.length;
}

function perCall(times: number, act: (i: number) => unknown): number {
  const began = performance.now();
  for (let i = 0; i < times; i++) act(i);
  return ((performance.now() - began) * 1e6) / times;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

function shown(ns: number | null): string {
  if (ns === null) return "-";
  return ns < 1e4 ? `${ns.toFixed(0)}` : ns < 1e6 ? `${(ns / 1e3).toFixed(0)}k` : `${(ns / 1e6).toFixed(1)}M`;
}

/** Bytes that a million entries take, the pointers to their items included. */
function bytesOfMillion(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const used = (): number => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const heap = new Heap<object>();
  const item = {};
  const before = used();
  for (let i = 0; i < 1e6; i++) heap.push(2 ** 40 + i, i % 1000, item);
  const bytes = used() - before;
  heap.clear(); // it must still be there when the bytes are counted
  return bytes;
}

const million = bytesOfMillion(); // first: nothing else has left garbage yet
const all = await rivals();
console.log(`node ${process.version}; ns an operation, median of rounds`);
console.log(
  `| heap | ${sizes.map((n) => `n=${n.toExponential(0).replace("+", "")}: push / pop / churn / remove`).join(" | ")} |`,
);
console.log(`| --- |${sizes.map(() => " --- |").join("")}`);
for (const rival of all) {
  const cells = sizes.map((n) =>
    Object.values<number | null>({ ...measure(rival, n) })
      .map(shown)
      .join(" / "),
  );
  console.log(`| ${rival.name} | ${cells.join(" | ")} |`);
}
console.log(`a million entries: ${(million / 2 ** 20).toFixed(1)} MiB, pointers to the items included`);
