import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { text as textOf } from "node:stream/consumers";

export interface Scraped {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What a text in the format of Prometheus says. `types` by the names of metrics.
 *  @throws {Error} for a line that is not of it, for a sample before the type of its metric, and for one that is there twice */
export function scraped(text: string): {
  readonly samples: readonly Scraped[];
  readonly types: ReadonlyMap<string, string>;
} {
  const samples: Scraped[] = [];
  const types = new Map<string, string>();
  const seen = new Set<string>();
  for (const line of text.split("\n").filter((each) => each !== "")) {
    const type = /^# TYPE ([a-z0-9_]+) (counter|gauge|histogram|summary)$/.exec(line);
    if (type) types.set(type[1]!, type[2]!);
    if (line.startsWith("#")) {
      if (!type && !/^# HELP [a-z0-9_]+ \S/.test(line)) throw new Error(`no comment: ${line}`);
      continue;
    }
    const found = /^([a-z0-9_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found || seen.has(`${found[1]}{${found[2]}}`)) throw new Error(`no sample, or twice: ${line}`);
    const [, name = "", inner = "", value = ""] = found;
    seen.add(`${name}{${inner}}`);
    if (!types.has(name) && types.get(name.replace(/_(bucket|sum|count)$/, "")) !== "histogram")
      throw new Error(`no type: ${line}`);
    const labels = [...inner.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)",?/g)];
    if (labels.map(([whole]) => whole).join("") !== inner) throw new Error(`no labels: ${line}`);
    const number = value === "+Inf" ? Infinity : Number(value);
    if (Number.isNaN(number) && !/^nan$/i.test(value)) throw new Error(`no value: ${line}`);
    samples.push({ name, labels: Object.fromEntries(labels.map(([, key, text]) => [key!, text!])), value: number });
  }
  return { samples, types };
}

/** The sum of a metric's values that have these labels; null where there is none. */
export function valueOf(
  samples: readonly Scraped[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | null {
  const fitting = samples.filter(
    (each) => each.name === name && Object.entries(labels).every(([key, value]) => each.labels[key] === value),
  );
  return fitting.length === 0 ? null : fitting.reduce((sum, { value }) => sum + value, 0);
}

/** Whether a program is installed. */
export function has(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
}

/** Runs promtool; `input` is what it reads. Answers its code and all that it says. */
export async function promtool(
  args: readonly string[],
  input = "",
): Promise<{ readonly code: number | null; readonly said: string }> {
  const child = spawn("promtool", args, { stdio: "pipe" });
  const said = Promise.all([textOf(child.stdout), textOf(child.stderr)]);
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, said: (await said).join("") };
}
