import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { defineJob, type Context } from "../../../sdk/index.ts";
import { notesOf } from "../../../sdk/port/note.ts";
import { aBench } from "../kit.ts";

const child = defineJob({ id: "child", schema: z.unknown(), handler: () => null });

/** Where the entries of a run's journal say that they were asked for, by kind. */
async function placesOf(handler: (ctx: Context) => unknown) {
  const bench = await aBench({
    jobs: [defineJob({ id: "flow", schema: z.unknown(), handler: (_, ctx) => handler(ctx) }), child],
  });
  const id = await bench.add({ job: "flow" });
  await bench.pass(3000);
  const entries = (await bench.store.flow.read(id)).filter(({ kind }) => kind !== "mail");
  return entries.map((entry) => ({ kind: entry.kind, ...notesOf(entry) }));
}

test("each entry names file and line, and what tells the content of the file from others", async () => {
  const places = await placesOf(async (ctx) => {
    await ctx.step("a", () => null);
    await ctx.version("b");
    await ctx.sleep("1s");
    await ctx.waitFor("c", { timeout: "100ms" });
    await child.triggerAndWait(null);
    await child.batchTriggerAndWait([{ payload: null }]);
  });

  expect(places.map(({ kind }) => kind)).toEqual(["step", "step", "sleep", "wait", "child", "child"]);
  const lines = places.map(({ at }) => Number(/^flow\/place\.test\.ts:(\d+)$/.exec(at ?? "")?.[1]));
  expect(lines).toEqual([0, 1, 2, 3, 4, 5].map((n) => lines[0]! + n));
  expect(new Set(places.map(({ code }) => code))).toEqual(new Set([expect.stringMatching(/^[\w-]{6}$/)]));
});

test("a file that was changed since the process began may not be what runs, so nothing tells its content", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tasker-place-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "job.mjs");
  writeFileSync(file, 'export const handler = (ctx) => ctx.step("a", () => null);');
  const { handler } = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as {
    handler: (ctx: Context) => unknown;
  };

  const [place] = await placesOf(handler);

  expect(place!.at).toMatch(/\/job\.mjs:1$/);
  expect(place!.code).toBeUndefined();
});
