/** The table. A new route is one entry of a list here. */
import { actRoutes } from "./route/act.ts";
import { eventRoutes } from "./route/event.ts";
import { feedRoutes } from "./route/feed.ts";
import { flowRoutes } from "./route/flow.ts";
import { jobRoutes } from "./route/job.ts";
import { queueRoutes } from "./route/queue.ts";
import { runRoutes } from "./route/run.ts";
import { scheduleRoutes } from "./route/schedule.ts";
import { systemRoutes } from "./route/system.ts";
import type { Route } from "./route.ts";

export const routes: readonly Route[] = [
  ...jobRoutes,
  ...runRoutes,
  ...actRoutes,
  ...flowRoutes,
  ...scheduleRoutes,
  ...queueRoutes,
  ...eventRoutes,
  ...feedRoutes,
  ...systemRoutes,
];
