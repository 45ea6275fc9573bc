import { join } from "node:path";
import { expect, test } from "vitest";
import { placeOf } from "../../cli/dev/frame.ts";
import { folder } from "./folder.ts";

/** Where a complaint about the job "hello" is shown, whose options begin in line 5, below another job. */
function shown(said: string, options: string): string {
  const file = join(folder({ "job.ts": source(options) }), "job.ts");
  const stack = `InvalidInput: ${said}\n    at file://${file}:3:20`;
  const place = placeOf({ message: `job "hello": ${said}`, stack, file });
  return `${place?.line}:${place?.column}`;
}

const source = (options: string): string => `const of = { schema: z.void(), handler: () => 1 };
defineJob({ ...of, id: "first", priority: 3, schedule: { cron: "0 99 * * *" } });
export const job = defineJob({
  id: "hello",
  ${options}
});
`;

const cron = 'cron "0 99 * * *": hour "99" is not within 0-23';

test.each([
  ["its text", cron, `schedule: [\n    { every: "1h" },\n    { cron: "0 99 * * *" },\n  ],`, "7:13"],
  ["its text, in other quotes", cron, `schedule: {\n    cron: '0 99 * * *',\n  },`, "6:11"],
  ["the option, where the text is made elsewhere", cron, `schedule: {\n    cron: text(),\n  },`, "6:5"],
  ["the schedule, where the option is elsewhere", cron, `...of,\n  schedule: daily,`, "6:3"],
  ["the call, where the file does not speak of it", cron, `...daily,`, "3:20"],
  ["a schedule that says nothing", "a schedule says when: give it …", `...of,\n  schedule: {},`, "6:3"],
  ["a name that is not an option", 'a schedule has no option "dts"; …', `schedule: { every: "1h", dts: 1 },`, "5:28"],
  ["another option", 'priority "12" is not a whole number from 0 to 9', `...of,\n  priority: 12,`, "6:3"],
])("what is wrong in a job is shown at %s", (_what, said, options, place) => {
  expect(shown(said, options)).toBe(place);
});
