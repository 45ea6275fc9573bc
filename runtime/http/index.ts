/** The HTTP API: what serves it, alone or within another application. */
export { api, type ApiOptions } from "./app.ts";
export { listenOf, serve, type Listen, type Served, type ServeOptions } from "./serve.ts";
export type { HttpConfig, HttpToken, Role, Tokens } from "../../sdk/client/config.ts";
