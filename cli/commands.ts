import { cancel, replay, resume, retry } from "./command/act.ts";
import { check } from "./command/check.ts";
import type { Command } from "./command.ts";
import { dev } from "./command/dev.ts";
import { doctor } from "./command/doctor.ts";
import { edit } from "./command/edit.ts";
import { events } from "./command/events.ts";
import { init } from "./command/init.ts";
import { jobs } from "./command/jobs.ts";
import { load } from "./command/load.ts";
import { migrate } from "./command/migrate.ts";
import { nodes } from "./command/nodes.ts";
import { purge } from "./command/purge.ts";
import { queues } from "./command/queues.ts";
import { run } from "./command/run.ts";
import { runs } from "./command/runs.ts";
import { fix } from "./command/runs/fix.ts";
import { schedules } from "./command/schedules.ts";
import { pause, remove, resume as resumeSchedule, trigger as triggerSchedule } from "./command/schedules/act.ts";
import { backfill } from "./command/schedules/backfill.ts";
import { get } from "./command/schedules/get.ts";
import { preview } from "./command/schedules/preview.ts";
import { upsert } from "./command/schedules/upsert.ts";
import { complete, signal } from "./command/signal.ts";
import { start } from "./command/start.ts";
import { stats } from "./command/stats.ts";
import { trigger } from "./command/trigger.ts";
import { types } from "./command/types.ts";
import { why } from "./command/why.ts";

/** All subcommands, in the order of help. */
export const commands: readonly Command[] = [
  ...[init, dev, start, trigger, load, runs, run, why, edit, cancel, resume, retry, replay, purge],
  ...[signal, complete, fix, events],
  ...[schedules, get, preview, upsert, pause, resumeSchedule, remove, triggerSchedule, backfill],
  ...[jobs, queues, stats, nodes, types, check, doctor, migrate],
];
