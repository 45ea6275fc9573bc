/** What a query of Prometheus asks for. */
import { parser } from "@prometheus-io/lezer-promql";
import type { Scraped } from "../kit/scrape.ts";

/** Labels that a scrape adds to all samples. */
const added = ["job", "instance"];

export interface Asked {
  readonly metric: string;
  readonly matchers: readonly { readonly label: string; readonly op: string; readonly value: string }[];
}

/** The series that a query selects, and the labels that it groups them by.
 *  @throws {Error} for what is no query */
export function askedBy(query: string): { readonly series: readonly Asked[]; readonly labels: readonly string[] } {
  const series: Asked[] = [];
  const labels: string[] = [];
  const textOf = ({ from, to }: { from: number; to: number }): string => query.slice(from, to);
  parser.parse(query).iterate({
    enter: (node) => {
      if (node.type.isError) throw new Error(`no query: ${query.slice(0, node.from)} ◆ ${query.slice(node.from)}`);
      if (node.name === "GroupingLabels") labels.push(...node.node.getChildren("LabelName").map(textOf));
      if (node.name !== "VectorSelector") return;
      const all = node.node.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher") ?? [];
      series.push({
        metric: textOf(node.node.getChild("Identifier")!),
        matchers: all.map((each) => ({
          label: textOf(each.getChild("LabelName")!),
          op: textOf(each.getChild("MatchOp")!),
          value: textOf(each.getChild("StringLiteral")!).slice(1, -1),
        })),
      });
    },
  });
  return { series, labels };
}

/** What a query asks for that a scrape does not have: metrics, labels, and values of labels. */
export function missing(query: string, samples: readonly Scraped[]): readonly string[] {
  const { series, labels } = askedBy(query);
  const of = (metric: string): readonly Scraped[] => samples.filter(({ name }) => name === metric);
  const wrong: string[] = [];
  for (const { metric, matchers } of series) {
    if (of(metric).length === 0) wrong.push(metric);
    for (const { label, op, value } of matchers) {
      if (added.includes(label)) continue;
      const values = of(metric).flatMap(({ labels: own }) => own[label] ?? []);
      const isThere = op.startsWith("=") ? values.some((each) => fits(op, value, each)) : values.length > 0;
      if (!isThere) wrong.push(`${metric}{${label}${op}"${value}"}`);
    }
  }
  const known = new Set([
    ...added,
    ...series.flatMap(({ metric }) => of(metric)).flatMap((each) => Object.keys(each.labels)),
  ]);
  return [...wrong, ...labels.filter((label) => !known.has(label))];
}

function fits(op: string, value: string, text: string): boolean {
  return op === "=" ? text === value : new RegExp(`^(?:${value})$`).test(text);
}
