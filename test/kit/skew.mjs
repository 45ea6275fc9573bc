// Preloaded into a process: its wall clock is off by SKEW_MS, and by STEPS_MS more, "5000,-5000", one after the other every 2 s.
const real = Date.now.bind(Date);
const start = performance.now();
const steps = (process.env.STEPS_MS ?? "").split(",").filter(Boolean).map(Number);

function off() {
  const turn = Math.floor((performance.now() - start) / 2000);
  return Number(process.env.SKEW_MS ?? 0) + (steps.length > 0 ? steps[turn % steps.length] : 0);
}

globalThis.Date = class extends Date {
  constructor(...args) {
    super(...(args.length === 0 ? [real() + off()] : args));
  }
  static now() {
    return real() + off();
  }
};
