/** What stores share of figures over time. */
export const minuteMs = 60_000;
export const hourMs = 3_600_000;
/** How long figures are kept by minute, and by hour. */
export const keptMs = { minutes: 86_400_000, hours: 90 * 86_400_000 } as const;

/** The window of `rates`, at least. */
export const rateWindowMs = 5 * minuteMs;

/** When the window of `rates` began: with a minute; epoch ms. */
export function windowFrom(nowMs: number): number {
  return Math.floor((nowMs - rateWindowMs) / minuteMs) * minuteMs;
}
