import { adds } from "./sql/add.ts";
import { claims } from "./sql/claim.ts";
import { ends } from "./sql/end.ts";
import { lanes } from "./sql/lane.ts";
import { part } from "./sql/part.ts";

export type Statements = ReturnType<typeof sql>;

/** The statements of the hot path, whole, with what the others are made of. Called once a store. All answer text; all names are qualified.
 *  `schema` has been checked; `skew` (tests only) moves the store's clock by a table. */
export function sql(schema: string, skew: boolean) {
  const of = part(schema, skew);
  return { ...of, ...adds(of), ...claims(of), ...ends(of), ...lanes(of) };
}
