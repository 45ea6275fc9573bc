/** A process that does nothing but start a worker: `cold.js <place as JSON> <file> <variant>`. Says when its first handler is called. */
import { now, type Contender, type Place } from "./contender.ts";

const [place, file, variant] = process.argv.slice(2);
const { open } = (await import(new URL(`contenders/${file}.js`, import.meta.url).href)) as Contender;
const session = await open(JSON.parse(place!) as Place, variant || null);
let first = true;
await session.work(() => {
  if (first) process.send?.({ startedMs: now() });
  first = false;
});
