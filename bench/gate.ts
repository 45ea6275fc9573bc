import { closeSync, fdatasyncSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { median } from "./number.ts";

/** Waits for the machine to be quiet. */
export interface Gate {
  /** Ms of an fdatasync of 8 kB, the least seen. */
  readonly floorMs: () => number;
  /** True once the machine was quiet; false when it gave up. */
  quiet(): Promise<boolean>;
  close(): void;
}

const busy = 0.3;
const slowMs = 0.25;

/** Quiet is: less than 30 % of the CPU used for `windowMs`, and an fdatasync within 0.25 ms or, where the disk never is that fast, within 1.5
 *  times the least seen. Gives up after `patienceMs` a time, and `budgetMs` in all: a machine that is never quiet still gets a result. */
export function gate(limits: {
  readonly windowMs: number;
  readonly patienceMs: number;
  readonly budgetMs: number;
}): Gate {
  mkdirSync(resolve(".tasker"), { recursive: true });
  const path = join(resolve(".tasker"), `gate-${process.pid}`);
  const file = openSync(path, "w");
  let floor = Infinity;
  let left = limits.budgetMs;
  const block = Buffer.alloc(8192);
  const disk = (): number => {
    const took = Array.from({ length: 9 }, () => {
      const began = performance.now();
      writeSync(file, block, 0, block.length, 0);
      fdatasyncSync(file);
      return performance.now() - began;
    });
    const ms = median(took);
    floor = Math.min(floor, ms);
    return ms;
  };
  disk();
  return {
    floorMs: () => floor,
    async quiet() {
      const began = performance.now();
      const patience = Math.min(limits.patienceMs, left);
      for (;;) {
        const load = await loadOver(limits.windowMs);
        const spent = performance.now() - began;
        const fine = load < busy && disk() < Math.max(slowMs, floor * 1.5);
        if (!fine && spent < patience) continue;
        left = Math.max(0, left - Math.max(0, spent - limits.windowMs));
        return fine;
      }
    },
    close() {
      closeSync(file);
      rmSync(path, { force: true });
    },
  };
}

/** The share of the CPU that was used meanwhile. */
async function loadOver(ms: number): Promise<number> {
  const before = times();
  await sleep(ms);
  const after = times();
  return 1 - (after.idle - before.idle) / Math.max(1, after.all - before.all);
}

function times(): { readonly idle: number; readonly all: number } {
  const each = cpus().map((cpu) => cpu.times);
  const idle = each.reduce((sum, time) => sum + time.idle, 0);
  return { idle, all: each.reduce((sum, time) => sum + time.user + time.nice + time.sys + time.irq + time.idle, 0) };
}
