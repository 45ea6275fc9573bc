/** A store in memory where jobs are published, and files that are read into it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { z } from "zod";
import { Adder, type Loaded } from "../../runtime/inbox/add.ts";
import { check, type Checked } from "../../runtime/inbox/check.ts";
import { load } from "../../runtime/inbox/load.ts";
import type { Made, Making } from "../../runtime/inbox/make.ts";
import { openSource } from "../../runtime/inbox/source.ts";
import { memory } from "../../runtime/store/memory/index.ts";
import type { Guarded } from "../../runtime/store/port.ts";
import { jsonSchemaOf } from "../../sdk/define/schema.ts";
import type { JobSpec } from "../../sdk/define/spec.ts";
import { defineJob } from "../../sdk/job.ts";
import type { RunRecord } from "../../sdk/port/target.ts";

const schema = z.object({ to: z.string(), at: z.date().optional(), n: z.int().max(1_000_000).optional() });
export const mail = defineJob({ id: "mail", schema, tags: ["own"], handler: () => null });

/** A store that has the job `mail` published. */
export async function published(): Promise<Guarded> {
  const store = memory();
  const job = {
    id: "mail",
    description: null,
    queue: "default",
    priority: 0,
    tags: ["own"],
    ttlMs: null,
    hooks: [],
    attempts: 3,
  };
  await store.nodes.publish(0, [{ ...job, schema: jsonSchemaOf(schema), schedules: null }]);
  return store;
}

/** A folder of its own for a test. */
export function folder(files: Readonly<Record<string, string | Buffer>> = {}): string {
  const path = mkdtempSync(join(tmpdir(), "tasker-inbox-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return path;
}

export interface Read {
  readonly checked: Checked;
  readonly made: readonly Made[];
  /** What loading it came to; null if something is wrong with it. */
  readonly loaded: Loaded | null;
}

/** Checks a file, and loads it if nothing is wrong with it. */
export async function read(
  store: Guarded,
  text: string | Buffer,
  {
    name = "a.json",
    jobs = [],
    again = false,
    since = null,
  }: { name?: string; jobs?: readonly JobSpec[]; again?: boolean; since?: Date | null } = {},
): Promise<Read> {
  const source = (await openSource(join(folder({ [name]: text }), name), name, false))!;
  const making: Making = { to: store, timezone: "Europe/Paris", spec: (id) => jobs.find((job) => job.id === id) };
  const made: Made[] = [];
  try {
    const checked = await check(source.chunks(), source.form, making, (one) => made.push(one));
    const adder = new Adder(store, again ? null : checked.hash, since);
    return { checked, made, loaded: checked.refused > 0 ? null : await load(source, checked, making, adder) };
  } finally {
    await source.close();
  }
}

/** All runs, the oldest first. */
export async function runsOf(store: Guarded): Promise<readonly RunRecord[]> {
  const all: RunRecord[] = [];
  for (let cursor: string | undefined; ;) {
    const page = await store.find.list({}, { limit: 200, cursor });
    all.push(...page.items);
    if (page.next === null) return all.reverse();
    cursor = page.next;
  }
}
