/** The HTTP API: what serves it, alone or within another application. */
export { api } from "./app.ts";
export type { ApiOptions } from "./option.ts";
export { handler, type NodeHandler } from "./handler.ts";
export { serve, type Served, type ServeOptions } from "./serve.ts";
export type { Open } from "../../sdk/client/config.ts";
export type { HttpToken, Role, Tokens } from "../../sdk/client/token.ts";
