/** The table. A new route is one entry of a list here. */
import { jobRoutes } from "./route/job.ts";
import { runRoutes } from "./route/run.ts";
import { systemRoutes } from "./route/system.ts";
import type { Route } from "./route.ts";

export const routes: readonly Route[] = [...jobRoutes, ...runRoutes, ...systemRoutes];
