import { adds } from "./sql/add.ts";
import { claims } from "./sql/claim.ts";
import { ends } from "./sql/end.ts";
import { lanes } from "./sql/lane.ts";
import { part } from "./sql/part.ts";

export type Statements = ReturnType<typeof sql>;

/** The statements of the hot path, and the parts of others. All names are qualified. `schema` has been checked; `skew` is for tests. */
export function sql(schema: string, skew: boolean) {
  const of = part(schema, skew);
  return { ...of, ...adds(of), ...claims(of), ...ends(of), ...lanes(of) };
}
