/** A flame graph of a CPU profile: `node --cpu-prof --cpu-prof-dir=prof worker.js`, then
 *  `node --import tsx bench/flame.ts prof/*.cpuprofile > flame.svg`. Time goes to the right, callees downwards; what took less than
 *  one part in 500 is left out. Idle time is, too. */
import { readFileSync } from "node:fs";

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface Frame {
  readonly name: string;
  /** Microseconds, callees included. */
  total: number;
  readonly callees: Map<string, Frame>;
}

const [width, row, least] = [1200, 17, 1 / 500];
const hues: readonly (readonly [match: RegExp, hue: number])[] = [
  [/node_modules\/(pg|pg-)/, 210],
  [/node_modules/, 280],
  [/dist\/|runtime\/|sdk\//, 25],
];

function read(path: string): Frame {
  const profile = JSON.parse(readFileSync(path, "utf8")) as Profile;
  const own = new Map<number, number>();
  profile.samples.forEach((id, i) => own.set(id, (own.get(id) ?? 0) + profile.timeDeltas[i]!));
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const add = (into: Frame, id: number): number => {
    const { callFrame, children = [] } = byId.get(id)!;
    if (callFrame.functionName === "(idle)") return 0;
    const place = callFrame.url.split("/").slice(-3).join("/");
    const name = `${callFrame.functionName || "(anonymous)"} ${place}:${callFrame.lineNumber + 1}`;
    const frame = into.callees.get(name) ?? { name, total: 0, callees: new Map<string, Frame>() };
    into.callees.set(name, frame);
    const total = (own.get(id) ?? 0) + children.reduce((sum, child) => sum + add(frame, child), 0);
    frame.total += total;
    return total;
  };
  const all: Frame = { name: "all", total: 0, callees: new Map() };
  for (const child of profile.nodes[0]!.children ?? []) all.total += add(all, child);
  return all;
}

/** The boxes of a frame and what it called. */
function boxes(frame: Frame, at: { readonly x: number; readonly depth: number; readonly scale: number }): string[] {
  const { x, depth, scale } = at;
  const wide = frame.total * scale;
  if (wide < width * least) return [];
  const hue = hues.find(([match]) => match.test(frame.name))?.[1] ?? 100;
  const text = frame.name.slice(0, Math.floor(wide / 6.5)).replace(/[<&]/g, (c) => (c === "<" ? "&lt;" : "&amp;"));
  const full = frame.name.replace(/[<&]/g, (c) => (c === "<" ? "&lt;" : "&amp;"));
  const box = `<g><title>${full} ${(frame.total / 1000).toFixed(0)} ms</title><rect x="${x.toFixed(1)}" y="${depth * row}" width="${wide.toFixed(1)}" height="${row - 1}" fill="hsl(${hue} 60% 75%)"/><text x="${(x + 3).toFixed(1)}" y="${depth * row + 12}">${wide > 30 ? text : ""}</text></g>`;
  const below: string[] = [];
  let from = x;
  for (const callee of [...frame.callees.values()].sort((a, b) => b.total - a.total)) {
    below.push(...boxes(callee, { x: from, depth: depth + 1, scale }));
    from += callee.total * scale;
  }
  return [box, ...below];
}

function deep(frame: Frame, from: number): number {
  return frame.total < from ? 0 : 1 + Math.max(0, ...[...frame.callees.values()].map((callee) => deep(callee, from)));
}

const path = process.argv[2];
if (path === undefined) throw new Error("which profile? node --import tsx bench/flame.ts <file.cpuprofile>");
const all = read(path);
const height = deep(all, all.total * least) * row;
console.log(
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>${boxes(all, { x: 0, depth: 0, scale: width / all.total }).join("\n")}</svg>`,
);
