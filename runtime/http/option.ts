/** What the API is given. */
import type { UpgradeWebSocket } from "hono/ws";
import type { Open } from "../../sdk/client/config.ts";
import type { Tokens } from "../../sdk/client/token.ts";
import type { Target } from "../../sdk/port/target.ts";
import type { Logger } from "../core/log.ts";
import type { Runtime } from "../runtime.ts";

/** What the API serves, and to whom. */
export interface ApiOptions {
  /** Where runs go: a store, or a runtime's `store`. By default where `trigger` of this process goes. */
  readonly target?: Target | Open | undefined;
  /** TASKER_TOKENS or TASKER_TOKENS_FILE by default. */
  readonly tokens?: Tokens | undefined;
  /** Names under which it is reached, beside localhost, such as `tasker.example.com`. Any by default, unless anybody may call. */
  readonly hosts?: readonly string[] | undefined;
  /** Origins whose pages may call it, exact: `https://app.example.com`. None by default. */
  readonly cors?: readonly string[] | undefined;
  /** The path below which it is, where `route()` of another Hono application does not say so: `/tasker`. */
  readonly base?: string | undefined;
  /** The runtime beside it, which `/readyz` looks at. */
  readonly runtime?: Runtime | undefined;
  /** Gets a line a request. Silent by default. */
  readonly logger?: Logger | undefined;
  /** What waits answers at once when it aborts, and streams end. */
  readonly signal?: AbortSignal | undefined;
  /** How many streams of events and sockets may be open at once; 1000 by default. */
  readonly streams?: number | undefined;
  /** Hono's `upgradeWebSocket` of the platform; without it there is no `/ws`. A server of `serve` has it. */
  readonly upgrade?: UpgradeWebSocket | undefined;
}

/** Their names. */
export const optionKeys = new Set([
  ...["target", "runtime", "logger", "signal", "streams", "upgrade"],
  ...["tokens", "hosts", "cors", "base"],
]);
