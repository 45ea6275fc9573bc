import { InvalidInput } from "./error.ts";

/** A run's number as people see it: `run_` and the number in base 36. */
export function formatId(id: number): string {
  return `run_${id.toString(36)}`;
}

/** The number behind `run_…`.
 *  @throws {InvalidInput} if the text is no run id. */
export function parseId(text: string): number {
  const id = /^run_[0-9a-z]{1,11}$/.test(text) ? Number.parseInt(text.slice(4), 36) : Number.NaN;
  if (!Number.isSafeInteger(id))
    throw new InvalidInput(`"${text.slice(0, 80)}" is not a run id; ids look like "run_2n9c"`);
  return id;
}
