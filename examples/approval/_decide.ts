import { complete } from "tasker";
import type { z } from "zod";
import type { decision } from "./expense.ts";

/** What the page behind the link does. The first decision counts. */
export async function decide(token: string, answer: z.input<typeof decision>): Promise<void> {
  await complete(token, answer);
}
