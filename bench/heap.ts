/** The heap beside its rivals, in ns an operation. Run: `npm install --prefix bench && node --import tsx bench/heap.ts`; a few minutes.
 *  push: n pushes into an empty heap · pop: n pops · churn: pop and push at n · remove: by object, n of n in scattered order.
 *  Keys are random epoch ms, others in each round, for a CPU learns a thousand of them by heart. An entry is an object with a
 *  key, which flatqueue and tasker are given beside it. Each figure is the median of several processes, which take turns; a
 *  process measures one heap at one size, so that no compiled code is shared, and collects garbage before each round.
 *  "-": it has no removal. */
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Heap } from "../runtime/core/heap.ts";

interface Entry {
  key: number;
  place: number;
}

/** What is measured, whatever the package calls it. */
interface Queue {
  push(entry: Entry): void;
  pop(): Entry | null | undefined;
  remove?(entry: Entry): unknown;
}

const sizes = [1e3, 1e5, 1e6];
const processes = 3;
/** Removals by those that search all n entries, in a round of 50: an order of magnitude will do, for one may take 10 s. */
const scans = (n: number): number => (n < 1e4 ? 20 : n < 1e6 ? 5 : 2);

const byKey = (a: Entry, b: Entry): number => a.key - b.key;

/** What makes an empty one. The rivals live in bench/package.json, so the types here are the little that is used of them. */
const contenders: Readonly<Record<string, () => Promise<() => Queue>>> = {
  tasker: async () => () => {
    const heap = new Heap<Entry>();
    return {
      push: (entry) => heap.push(entry, entry.key),
      pop: () => heap.pop(),
      remove: (entry) => heap.remove(entry),
    };
  },
  flatqueue: async () => {
    const { default: Flat } = await load<{ default: new () => FlatQueue }>("flatqueue");
    return () => {
      const queue = new Flat();
      return { push: (entry) => queue.push(entry, entry.key), pop: () => queue.pop() };
    };
  },
  tinyqueue: async () => {
    const { default: Tiny } = await load<{ default: new (items: Entry[], by: typeof byKey) => Queue }>("tinyqueue");
    return () => {
      const queue = new Tiny([], byKey);
      return { push: (entry) => queue.push(entry), pop: () => queue.pop() };
    };
  },
  fastpriorityqueue: async () => {
    const { default: Fast } = await load<{ default: new (less: (a: Entry, b: Entry) => boolean) => FastQueue }>(
      "fastpriorityqueue",
    );
    return () => {
      const queue = new Fast((a, b) => a.key < b.key);
      return {
        push: (entry) => queue.add(entry),
        pop: () => queue.poll(),
        remove: (entry) => queue.removeOne((other) => other === entry),
      };
    };
  },
  "heap-js": async () => {
    const { Heap: Rival } = await load<{ Heap: new (by: typeof byKey) => Required<Queue> }>("heap-js");
    return () => {
      const queue = new Rival(byKey);
      return {
        push: (entry) => queue.push(entry),
        pop: () => queue.pop(),
        remove: (entry) => queue.remove(entry),
      };
    };
  },
  "@datastructures-js/priority-queue": async () => {
    const { PriorityQueue } = await load<{ PriorityQueue: new (by: typeof byKey) => ListQueue }>(
      "@datastructures-js/priority-queue",
    );
    return () => {
      const queue = new PriorityQueue(byKey);
      return {
        push: (entry) => queue.enqueue(entry),
        pop: () => queue.dequeue(),
        remove: (entry) => queue.remove((other) => other === entry),
      };
    };
  },
};

interface FastQueue {
  add(entry: Entry): void;
  poll(): Entry | undefined;
  removeOne(matches: (entry: Entry) => boolean): Entry | undefined;
}

interface FlatQueue {
  push(entry: Entry, key: number): void;
  pop(): Entry | undefined;
}

interface ListQueue {
  enqueue(entry: Entry): void;
  dequeue(): Entry | null;
  remove(matches: (entry: Entry) => boolean): readonly Entry[];
}

async function load<T>(name: string): Promise<T> {
  try {
    return (await import(name)) as T;
  } catch (error) {
    throw new Error(`"${name}" is not installed; run "npm install --prefix bench"`, { cause: error });
  }
}

/** The same keys for everybody. */
function entries(n: number, round: number): Entry[] {
  let seed = Math.imul(round + 1, 0x9e3779b1) >>> 0;
  return Array.from({ length: n }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return { key: 1.7e12 + seed, place: 0 };
  });
}

const figures = ["push", "pop", "churn", "remove"] as const;

/** In ns an operation; null where there is no such operation. */
type Figures = Readonly<Record<(typeof figures)[number], number | null>>;

function measure(make: () => Queue, n: number, searches: boolean): Figures {
  const collect = collector();
  const rounds = Array.from({ length: n < 1e4 ? 200 : n < 1e6 ? 9 : 3 }, (_, index) => {
    const list = entries(n, index);
    if (n > 1e4 || index % 50 === 0) collect();
    const removals = !searches ? n : index % 50 === 0 ? scans(n) : 0;
    return round(make, list, removals);
  });
  return middle(rounds);
}

/** Loops are written out: called with a closure for each operation, they would measure that call, too. */
function round(make: () => Queue, list: readonly Entry[], removals: number): Figures {
  const n = list.length;
  const turns = Math.min(n, 2e5);
  const queue = make();
  const began = performance.now();
  for (let i = 0; i < n; i++) queue.push(list[i]!);
  const pushed = performance.now();
  for (let i = 0; i < turns; i++) {
    const entry = queue.pop()!;
    entry.key += 2 ** 31;
    queue.push(entry);
  }
  const churned = performance.now();
  for (let i = 0; i < n; i++) queue.pop();
  const popped = performance.now();
  return {
    push: ((pushed - began) * 1e6) / n,
    pop: ((popped - churned) * 1e6) / n,
    churn: ((churned - pushed) * 1e6) / turns,
    remove: removal(make(), list, removals),
  };
}

/** Who has to search has a few removed. Others empty their heap, so that whatever they put off is counted. */
function removal(queue: Queue, list: readonly Entry[], samples: number): number | null {
  if (!queue.remove || samples === 0) return null;
  for (const entry of list) queue.push(entry);
  const began = performance.now();
  for (let i = 0; i < samples; i++) queue.remove(list[((i + 1) * 7919) % list.length]!);
  return ((performance.now() - began) * 1e6) / samples;
}

function middle(all: readonly Figures[]): Figures {
  const of = (name: keyof Figures): number | null => {
    const values = all.map((one) => one[name]).filter((value) => value !== null);
    return values.length > 0 ? values.sort((a, b) => a - b)[values.length >> 1]! : null;
  };
  return { push: of("push"), pop: of("pop"), churn: of("churn"), remove: of("remove") };
}

function shown(ns: number | null): string {
  if (ns === null) return "-";
  return ns < 1e4 ? `${ns.toFixed(0)}` : ns < 1e6 ? `${(ns / 1e3).toFixed(0)}k` : `${(ns / 1e6).toFixed(1)}M`;
}

function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/** Bytes that a million entries take, the pointers to their items included. */
function bytesOfMillion(): number {
  const collect = collector();
  const used = (): number => {
    collect();
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const heap = new Heap<Entry>();
  const list = entries(1e6, 0);
  const before = used();
  for (const entry of list) heap.push(entry, entry.key);
  const bytes = used() - before;
  heap.clear(); // it must still be there when the bytes are counted
  return bytes;
}

/** One contender at one size, in a process of its own. */
function apart(name: string, n: number): Figures {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), name, `${n}`];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as Figures;
}

function report(): void {
  const names = Object.keys(contenders);
  const million = bytesOfMillion();
  const rows = new Map(names.map((name) => [name, [name]]));
  for (const n of sizes) {
    const taken = Array.from({ length: processes }, () => names.map((name) => apart(name, n)));
    for (const [index, name] of names.entries()) {
      const cell = middle(taken.map((turn) => turn[index]!));
      rows.get(name)!.push(figures.map((figure) => shown(cell[figure])).join(" / "));
    }
  }
  console.log(`node ${process.version}; ns an operation: ${figures.join(" / ")}; medians of ${processes} processes`);
  console.log(`| heap | ${sizes.map((n) => `n=${n.toExponential(0).replace("+", "")}`).join(" | ")} |`);
  console.log(`| --- |${sizes.map(() => " --- |").join("")}`);
  for (const cells of rows.values()) console.log(`| ${cells.join(" | ")} |`);
  console.log(`a million entries: ${(million / 2 ** 20).toFixed(1)} MiB, pointers to the items included`);
}

const [name, n] = process.argv.slice(2);
if (name === undefined) report();
else console.log(JSON.stringify(measure(await contenders[name]!(), Number(n), name !== "tasker")));
