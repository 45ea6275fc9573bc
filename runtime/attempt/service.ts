import type { ServiceSpec } from "../../sdk/define/spec.ts";
import { logged, type Logger } from "../core/log.ts";

/** The services of a runtime: each is opened once, when the first attempt needs it, and closed when the runtime stops. */
export class Services {
  readonly #opened = new Map<ServiceSpec, Promise<unknown>>();

  /** The value of a service. A failed open is forgotten, so that the next attempt tries again. */
  get(spec: ServiceSpec): Promise<unknown> {
    const known = this.#opened.get(spec);
    if (known) return known;
    const value = (async () => await spec.open())();
    this.#opened.set(spec, value);
    value.catch(() => this.#opened.delete(spec));
    return value;
  }

  /** Closes what was opened, the latest first. Failures are logged: the rest is closed all the same. */
  async close(logger: Logger): Promise<void> {
    const all = [...this.#opened].reverse();
    this.#opened.clear();
    for (const [spec, opening] of all) {
      try {
        await spec.close(await opening);
      } catch (error) {
        logger.error({ service: spec.name, err: logged(error) }, "Closing a service failed");
      }
    }
  }
}
