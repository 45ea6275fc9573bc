/** What the compiler says to an author who is wrong. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));

const source = `
import { z } from "zod";
import { defineJob, schedules } from "../../sdk/index.ts";
const job = defineJob({ id: "x", schema: z.void(), handler: () => 1, schedule: { cron: "@daily", every: "1h" } });
defineJob({ id: "x", schema: z.void(), handler: () => 1, schedule: [{ cron: "@daily", every: "1h" }] });
defineJob({ id: "x", schema: z.void(), handler: () => 1, schedule: { every: "5 minutes" } });
void schedules.upsert({ job, key: "k", every: "1h", runAt: new Date() });
void job.trigger(undefined, { delay: "5 minutes" });
void job.trigger(undefined, { priority: 12 });
`;

/** What a compiler says of the source, by line. */
function said(compiler: string): ReadonlyMap<number, string> {
  const folder = mkdtempSync(join(root, "test", ".message-"));
  try {
    writeFileSync(join(folder, "use.ts"), source);
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ extends: "../../tsconfig.json", include: [], files: ["use.ts"] }),
    );
    const tsc = join(root, "node_modules", compiler, "bin", "tsc");
    const { stdout } = spawnSync(process.execPath, [tsc, "-p", folder, "--pretty", "false"], { encoding: "utf8" });
    const found = stdout.split(/^(?=\S)/m).map((text) => [Number(/use\.ts\((\d+),/.exec(text)?.[1]), text] as const);
    return new Map(found);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test.each(["typescript", "typescript7"])(
  "%s says what is wrong in words about schedules, durations and priorities",
  (compiler) => {
    const of = said(compiler);

    const sentence = "a schedule has one of cron, every and runAt: make two schedules";
    expect(of.get(4)).toContain(sentence);
    expect(of.get(5)).toContain(sentence);
    expect(of.get(7)).toContain(sentence);
    const form = "whole numbers with units, such as 500ms, 30s, 1h30m, 7d";
    expect(of.get(6)).toContain(form);
    expect(of.get(8)).toContain(form);
    expect(of.get(9)).toContain("Type '12' is not assignable to type 'Priority | undefined'");
    expect(of.size).toBe(6);
    expect([...of.values()].join("")).not.toMatch(/predicate|thisArg/);
  },
  120_000,
);
