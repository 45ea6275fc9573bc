import { AbortError, defineService, type StepContext } from "tasker";

export interface Shop {
  /** Answers the id of what was made. A repeat with the same key makes nothing new. */
  post(path: string, body: object, step: Pick<StepContext, "idempotencyKey" | "signal">): Promise<string>;
}

export const base = (): string => process.env["SHOP_URL"] ?? "http://127.0.0.1:8080";

/** Payments, stock and parcels, which are called over HTTP, at `SHOP_URL`. */
export const shop = defineService({
  name: "shop",
  open: (): Shop => ({ post }),
});

const post: Shop["post"] = async (path, body, { idempotencyKey, signal }) => {
  const response = await fetch(`${base()}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
    body: JSON.stringify(body),
    signal,
  });
  if (response.status >= 500) throw new Error(`${path} answered ${response.status}`); // tried again
  if (!response.ok) throw new AbortError(`${path} refused: ${response.status}`); // not tried again
  return ((await response.json()) as { id: string }).id;
};
