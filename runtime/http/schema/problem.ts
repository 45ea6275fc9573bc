import { z } from "zod";
import { about, name, runId } from "./value.ts";

/** An error, as RFC 9457 has it, with our code. */
export const problem = name(
  "Problem",
  z.object({
    status: z.int(),
    title: z.string(),
    detail: about("What happened, to what, and what to do next", z.string()),
    code: about("Names the kind of error, such as `INVALID_INPUT`; rely on this, never on the text", z.string()),
    path: about("The field, dotted, where it is about one", z.string()).optional(),
    issues: about(
      "All that is wrong with a body or payload",
      z.array(z.object({ path: z.string(), message: z.string() })),
    ).optional(),
    run: runId.optional(),
    state: about("What that run is", z.string()).optional(),
  }),
);

/** An item of a batch that failed, beside others that did not. */
export const failed = name("Failed", z.object({ error: problem }));
