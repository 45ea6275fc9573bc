import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { z } from "zod";
import { defineJob } from "../../sdk/job.ts";
import { published, read } from "./kit.ts";

const page = readFileSync(new URL("../../docs/inbox.md", import.meta.url), "utf8");

test("the items of the guide are loaded", async () => {
  const remind = defineJob({
    id: "remind",
    schema: z.object({ userId: z.string(), at: z.date() }),
    handler: () => null,
  });
  const blocks = [...page.matchAll(/^```json\n(.*?)^```$/gms)].map(([, text]) => text!);

  for (const text of blocks) {
    const { checked, loaded } = await read(await published(), text, { jobs: [remind] });
    expect([checked.problems, loaded?.runs]).toEqual([[], 1]);
  }
  expect(blocks.length).toBeGreaterThan(0);
});
