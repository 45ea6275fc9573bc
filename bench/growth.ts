/** Whether cost stays flat as work grows: `node --import tsx bench/growth.ts [--case waiting …] [--scale 0.1]`.
 *
 *  Each case fills a store (by SQL) and measures it beside a baseline that is next to empty, by turns in the same run: read the ratios.
 *  `--scale 1` is what the promises name (a million waiting, ten million of history: some GB of disk and minutes of loading).
 *  The database is `--url`, else a server of its own with fsync on. `--json` prints the lines instead of a table. Exits with 1 if a
 *  promise is broken and `--strict` is given. */
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { asleep } from "./growth/asleep.ts";
import { held, lanes, type Size, waiting } from "./growth/claim.ts";
import { idle, loop, processes } from "./growth/fleet.ts";
import { history } from "./growth/history.ts";
import { journal } from "./growth/journal.ts";
import { holds, type Line, table } from "./growth/measure.ts";
import { openPlace, type Place } from "./growth/place.ts";
import { endAll } from "./growth/process.ts";

const cases: Readonly<Record<string, (place: Place, size: Size) => Promise<readonly Line[]>>> = {
  ...{ waiting, asleep, journal, lanes, held, history, processes, idle, loop },
};
const { values: flags } = parseArgs({
  options: {
    ...{ case: { type: "string", multiple: true }, scale: { type: "string", default: "1" } },
    ...{ rounds: { type: "string", default: "200" }, url: { type: "string" } },
    ...{ json: { type: "boolean", default: false }, strict: { type: "boolean", default: false } },
  },
});
const chosen = (flags.case ?? Object.keys(cases)).flatMap((name) => name.split(","));
const unknown = chosen.filter((name) => !(name in cases));
if (unknown.length > 0)
  throw new Error(`case "${unknown.join(", ")}" is none; there are ${Object.keys(cases).join(", ")}`);

const place = await openPlace(flags.url);
const schemas = ["base", ...Object.keys(cases)].map((name) => `growth_${name}`);
const all: Line[] = [];
process.on("SIGINT", () => process.exit(130));
process.on("exit", endAll);
try {
  const version = await place.setting("server_version");
  if (!flags.json)
    console.log(
      `Node ${process.version}, PostgreSQL ${version}, scale ${flags.scale}, load ${loadavg()[0]!.toFixed(1)}\n`,
    );
  for (const name of chosen) {
    all.push(...(await cases[name]!(place, { scale: Number(flags.scale), rounds: Number(flags.rounds) })));
    for (const schema of schemas) await place.drop(schema);
  }
  console.log(flags.json ? JSON.stringify({ version, scale: Number(flags.scale), lines: all }) : table(all));
} finally {
  endAll();
  for (const schema of schemas) await place.drop(schema);
  await place.close();
}
if (flags.strict && all.some((line) => holds(line) === false)) process.exitCode = 1;
