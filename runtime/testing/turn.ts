import type { FakeClock } from "./clock.ts";

/** Turns of the event loop that are given at once, at most. */
const mostTurns = 50_000;

/** Turns of the event loop, until nothing is to go on in the next one. */
export async function turns(): Promise<void> {
  for (let count = 0; count < 5 || (moves() && count < mostTurns); count++) await turn();
}

/** Moves the clock for work that waits for it, a millisecond a turn. */
export async function ticking(clock: FakeClock, work: Promise<void>): Promise<void> {
  let over = false;
  const done = work.finally(() => (over = true));
  while (!over) {
    for (let i = 0; i < 5 && !over; i++) await turn();
    if (!over) clock.advance(1);
  }
  await done;
}

function moves(): boolean {
  return process.getActiveResourcesInfo().includes("Immediate");
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
