/** One-use tickets: a browser's stream can send no header, and a token in an address ends up in logs. */
import { randomBytes } from "node:crypto";
import type { Caller } from "./key.ts";
import type { Tickets } from "./route.ts";

const lifeMs = 30_000;
const most = 10_000;

/** Tickets of this process. */
export function tickets(): Tickets {
  const issued = new Map<string, { readonly caller: Caller; readonly untilMs: number }>();
  const drop = (): void => {
    for (const [ticket, { untilMs }] of issued) {
      if (untilMs > Date.now() && issued.size <= most) return; // they are in order of their ends
      issued.delete(ticket);
    }
  };
  return {
    issue(caller) {
      const ticket = randomBytes(24).toString("base64url");
      const untilMs = Date.now() + lifeMs;
      issued.set(ticket, { caller, untilMs });
      drop();
      return { ticket, expiresAt: new Date(untilMs) };
    },
    redeem(ticket) {
      const found = issued.get(ticket);
      issued.delete(ticket);
      return found && found.untilMs > Date.now() ? found.caller : null;
    },
  };
}
