/** cron-parser, which reads all items of fields but those of ours. A process loads it with its first cron text. */
import type * as theirs from "cron-parser";
import { createRequire } from "node:module";

/** The first value of each field, in order, by the names that the parser has for them. */
const firsts = { second: "0", minute: "0", hour: "0", dayOfMonth: "1", month: "1", dayOfWeek: "0" };
export type Column = keyof typeof firsts;

const require = createRequire(import.meta.url); // left out by the build, which then takes the parser into the files
let parser: typeof theirs.CronExpressionParser | undefined;

/** Items repeat from text to text; the number of those that are kept is bounded. */
const known = new Map<string, readonly number[]>();
const mostKnown = 1000;

/** The values of one item of a field; Sunday may be 0 or 7, or both. Null if the parser refuses it. It is asked for one
 *  item at a time, for it refuses lists that name a value twice. */
export function read(column: Column, item: string): readonly number[] | null {
  const name = `${column} ${item}`;
  const found = known.get(name);
  if (found) return found;
  parser ??= (require("cron-parser/dist/CronExpressionParser.js") as typeof theirs).CronExpressionParser;
  if (known.size >= mostKnown) known.clear();
  try {
    const text = Object.values({ ...firsts, [column]: item }).join(" ");
    const values = parser.parse(text).fields[column].values as readonly number[];
    known.set(name, values);
    return values;
  } catch {
    return null;
  }
}
