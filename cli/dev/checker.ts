import type { Logger } from "../../runtime/index.ts";
import type { Settings } from "../config.ts";
import { jobFiles } from "../load.ts";
import { watchTypes, type Verdict } from "./compiler.ts";

/** Errors of types that are shown at once. */
const mostErrors = 10;

/** Tells what the project's own compiler says of its types, each time that changes. */
export class Checker {
  readonly #log: Logger;
  readonly #settings: Settings;
  #compiler: { stop(): void } | null = null;
  #verdict = "[]";
  #saidUnchecked = false;
  #stopped = false;

  constructor(log: Logger, settings: Settings) {
    this.#log = log;
    this.#settings = settings;
  }

  /** Also of a project that has installed its compiler a moment ago. May be called again and again. */
  start(): void {
    const { jobs, base } = this.#settings;
    if (this.#stopped || this.#compiler) return;
    const compiler = watchTypes(process.cwd(), (verdict) => this.#judged(verdict));
    if (typeof compiler !== "string") return void (this.#compiler = compiler);
    if (this.#saidUnchecked || !jobFiles(jobs, base).some((file) => /\.m?ts$/.test(file))) return;
    this.#saidUnchecked = true;
    this.#log.info({}, `Types are not checked: ${compiler}`);
  }

  stop(): void {
    this.#stopped = true;
    this.#compiler?.stop();
  }

  #judged({ errors }: Verdict): void {
    const [before, verdict] = [this.#verdict, JSON.stringify(errors)];
    if (verdict === before) return; // the compiler looks again at each save
    this.#verdict = verdict;
    for (const { file, line, column, message } of errors.slice(0, mostErrors))
      this.#log.warn({}, `Types: ${file}:${line}:${column} ${message}`);
    if (errors.length > mostErrors) this.#log.warn({}, `Types: ${errors.length - mostErrors} more errors`);
    if (errors.length === 0) this.#log.info({}, "Types: all right again");
  }
}
