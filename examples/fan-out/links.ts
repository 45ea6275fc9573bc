import { AbortError, defineJob } from "tasker";
import { z } from "zod";

/** Asks for one link. */
export const checkLink = defineJob({
  id: "check-link",
  schema: z.url(),
  retry: { attempts: 2, delay: "1s" },
  timeout: "10s",
  handler: async (url, { signal }) => {
    const response = await fetch(url, { method: "HEAD", signal });
    if (response.status === 404 || response.status === 410) throw new AbortError("gone"); // not asked for again
    if (!response.ok) throw new Error(`answered ${response.status}`);
    return response.status;
  },
});

/** Asks for all links, and sums up. */
export const checkLinks = defineJob({
  id: "check-links",
  schema: z.array(z.url()),
  handler: async (urls) => {
    const ends = await checkLink.batchTriggerAndWait(urls.map((payload) => ({ payload })));
    const dead = urls.filter((_, i) => !ends[i]!.ok);
    return { checked: ends.length, dead };
  },
});
