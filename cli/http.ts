/** The HTTP API of a process that runs jobs. */
import type { Open } from "../sdk/client/config.ts";
import type { Served, ServeOptions } from "../runtime/http/index.ts";
import type { Logger, Runtime } from "../runtime/index.ts";
import type { Settings } from "./config.ts";

export interface HttpParts extends Pick<ServeOptions, "more" | "listen" | "tokens"> {
  readonly target: Open;
  readonly logger: Logger;
  readonly runtime?: Runtime;
}

/** Serves the API as the settings say; `tokens` and `listen` of the parts count where those say nothing.
 *  @throws {InvalidInput} for an address that can't be used, and for a server that anybody could use */
export async function serveHttp({ http }: Pick<Settings, "http">, parts: HttpParts): Promise<Served> {
  const { serve } = await import("../runtime/http/index.ts"); // late: most processes serve nothing
  const { hosts, cors } = http;
  const [listen, tokens] = [http.listen ?? parts.listen, http.tokens ?? parts.tokens];
  const served = await serve({ ...parts, listen, tokens, hosts, cors });
  parts.logger.info({ url: served.url, ...(tokens === "none" && { open: "to anybody on this machine" }) }, "HTTP API");
  return served;
}

/** A log in which a request is not worth a line. */
export function quiet(logger: Logger): Logger {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger[message === "HTTP" ? "debug" : "info"](fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
  };
}
