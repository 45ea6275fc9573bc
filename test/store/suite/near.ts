import { expect } from "vitest";

/** Real time may flow beside the suite's clock: instants are compared to within five seconds. */
const toleranceMs = 5000;

/** Expects an instant at about `expected`: a Date or epoch ms. */
export function near(actual: Date | number | null, expected: Date | number): void {
  expect(actual).not.toBeNull();
  expect(Math.abs(Number(actual) - Number(expected))).toBeLessThanOrEqual(toleranceMs);
}
