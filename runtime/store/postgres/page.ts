import { InvalidInput } from "../../../sdk/port/error.ts";
import type { Paging } from "../../../sdk/port/target.ts";

/** How many items a page has: 1 to 200, 50 by default.
 *  @throws {InvalidInput} for what is no such number */
export function pageSize(page: Paging): number {
  const limit = page.limit ?? 50;
  if (!Number.isInteger(limit) || limit < 1)
    throw new InvalidInput(`limit ${limit} is not a whole number from 1 to 200`);
  return Math.min(limit, 200);
}
