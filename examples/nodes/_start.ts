import { close, runs } from "tasker";
import { resize } from "./resize.ts";

const images = Array.from({ length: 50 }, (_, image) => ({ payload: { image } }));
const handles = await resize.batchTrigger(images);
const shares = new Map<string, number>();
for (const handle of handles) {
  if (handle instanceof Error) throw handle;
  await handle.result({ timeout: "1m" });
  const node = (await runs.need(handle.id)).node ?? "?";
  shares.set(node, (shares.get(node) ?? 0) + 1);
}
console.table([...shares].map(([node, images]) => ({ node, images })));
await close();
