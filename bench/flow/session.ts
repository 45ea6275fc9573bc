/** A contender in a process. What it can't do is left out. */
export interface Session {
  /** Runs so many workflows at once, each with so many steps one after another, until all have ended. */
  sequence?(workflows: number, steps: number): Promise<void>;
  parallel?(workflows: number, steps: number): Promise<void>;
  /** Times from a signal to the line after the wait; ms. */
  resume?(count: number): Promise<readonly number[]>;
  children?(count: number): Promise<void>;
  close(): Promise<void>;
}

export const quiet = { debug() {}, info() {}, warn() {}, error() {} };
export const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);
export const all = <T>(count: number, act: (i: number) => Promise<T>): Promise<readonly T[]> =>
  Promise.all(range(count).map(act));
