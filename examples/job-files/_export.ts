/** What another system does every night, in whatever language: `node _export.ts inbox 10000` */
import { createWriteStream, renameSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** Writes a line for each invoice, under a hidden name, and renames the file once it is complete. */
export async function exportInvoices(folder: string, count: number): Promise<void> {
  const draft = join(folder, ".invoices.jsonl");
  await pipeline(Readable.from(lines(count)), createWriteStream(draft));
  renameSync(draft, join(folder, "invoices.jsonl"));
}

function* lines(count: number): Generator<string> {
  for (let n = 0; n < count; n++) {
    const payload = { customer: `c-${n}`, cents: 100 + n, due: "2030-01-31" };
    yield `${JSON.stringify({ job: "invoice", payload, tags: ["nightly"] })}\n`;
  }
}

const [folder, count = "1000"] = process.argv.slice(2);
if (import.meta.url === `file://${process.argv[1]}` && folder) await exportInvoices(folder, Number(count));
