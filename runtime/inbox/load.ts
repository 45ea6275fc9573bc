/** Makes what a checked file holds. */
import { createHash } from "node:crypto";
import type { Adder, Loaded } from "./add.ts";
import { piecesOf, type Checked } from "./check.ts";
import { make, type Making } from "./make.ts";
import { FileChanged, type Source } from "./source.ts";

/** Adds all items of a file that none is wrong of. What was not held is read once more.
 *  @throws {StoreUnavailable} {FileChanged} */
export async function load(source: Source, checked: Checked, making: Making, adder: Adder): Promise<Loaded> {
  if (checked.made) for (const made of checked.made) await adder.add(made);
  else await again(source, checked.hash, making, adder);
  await adder.flush();
  return adder.loaded;
}

async function again(source: Source, wanted: string, making: Making, adder: Adder): Promise<void> {
  const hash = createHash("sha256");
  for await (const piece of piecesOf(source.chunks(), source.form, (chunk) => void hash.update(chunk))) {
    const made = "error" in piece ? null : await make(making, piece.line, piece.text);
    if (made === null) throw new FileChanged(source.name);
    if ("item" in made) await adder.add(made);
    else adder.skip(made); // its job has another schema by now
  }
  if (hash.digest("hex") !== wanted) throw new FileChanged(source.name);
}
