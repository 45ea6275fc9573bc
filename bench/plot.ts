import { field, type Entrant } from "./field.ts";
import { measures } from "./measures/index.ts";
import type { Line, Measure } from "./measures/measure.ts";
import { shown } from "./report.ts";
import { valueOf, type Result } from "./result.ts";

/** Bar charts as SVG files, one a topic, readable on light and dark. Logarithmic, for contenders differ by orders of magnitude. */
export function plots(result: Result): readonly { readonly file: string; readonly svg: string }[] {
  return topics.flatMap(({ file, title, panels }) => {
    const drawn = panels.flatMap(([measure, key]) => panel(result, measure, key));
    return drawn.length === 0 ? [] : [{ file, svg: chart(title, drawn) }];
  });
}

const topics: readonly {
  readonly file: string;
  readonly title: string;
  readonly panels: readonly (readonly [measure: string, key: string])[];
}[] = [
  {
    file: "rate.svg",
    title: "Jobs per second (longer is better)",
    panels: [
      ["add1", "rate"],
      ["add64", "rate"],
      ["bulk1", "rate"],
      ["drain1", "rate"],
      ["both", "rate"],
    ],
  },
  {
    file: "latency.svg",
    title: "Milliseconds (shorter is better)",
    panels: [
      ["across", "p50"],
      ["late", "p99"],
      ["both", "p50"],
      ["cold", "start"],
    ],
  },
];

interface Bar {
  readonly name: string;
  readonly kind: Entrant["kind"];
  readonly value: number;
}
interface Panel {
  readonly line: Line;
  readonly bars: readonly Bar[];
}

function panel(result: Result, name: string, key: string): Panel[] {
  const measure: Measure | undefined = measures.find((each) => each.name === name);
  const line = measure?.lines.find((each) => each.key === key);
  if (!line) return [];
  const bars = field
    .filter(({ kind }) => kind !== "variant")
    .map((entrant) => ({ name: entrant.name, kind: entrant.kind, value: valueOf(result, entrant.name, name, key) }))
    .filter((bar): bar is Bar => bar.value !== null && bar.value > 0)
    .sort((a, b) => (line.better === "more" ? b.value - a.value : a.value - b.value));
  return bars.length === 0 ? [] : [{ line, bars }];
}

const [width, left, right, rowHeight, headHeight] = [760, 150, 110, 20, 34];

/** Colors hold on white and on GitHub's dark grey; text takes the reader's scheme where the viewer knows it. */
const style = `text{font:13px system-ui,sans-serif;fill:#57606a}.head{font-weight:600;fill:#24292f}.tasker{fill:#2f81f7}.limit{fill:#8c959f}.rival{fill:#d4a72c}
@media (prefers-color-scheme:dark){text{fill:#9198a1}.head{fill:#e6edf3}}`;

function chart(title: string, panels: readonly Panel[]): string {
  const parts: string[] = [];
  let y = 30;
  for (const { line, bars } of panels) {
    parts.push(`<text class="head" x="0" y="${y + 20}">${line.title}</text>`);
    y += headHeight;
    const scale = scaleOf(bars.map(({ value }) => value));
    for (const { name, kind, value } of bars) {
      const length = Math.max(2, scale(value) * (width - left - right)).toFixed(1);
      parts.push(
        `<text x="${left - 8}" y="${y + 14}" text-anchor="end">${name}</text>` +
          `<rect class="${kind}" x="${left}" y="${y + 2}" width="${length}" height="${rowHeight - 5}" rx="2"/>` +
          `<text x="${left + Number(length) + 6}" y="${y + 14}">${shown(value, line.unit)}</text>`,
      );
      y += rowHeight;
    }
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y + 10}" width="${width}" height="${y + 10}" role="img" aria-label="${title}"><style>${style}</style>
<text class="head" x="0" y="18">${title}, logarithmic</text>
${parts.join("\n")}
</svg>
`;
}

/** From a third of the least to the most, on a logarithm: 0 to 1. */
function scaleOf(values: readonly number[]): (value: number) => number {
  const low = Math.log(Math.min(...values) / 3);
  const high = Math.log(Math.max(...values));
  return (value) => (Math.log(value) - low) / Math.max(high - low, 1e-9);
}
