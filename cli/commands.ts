import { cancel } from "./cancel.ts";
import { check } from "./check.ts";
import type { Command } from "./command.ts";
import { dev } from "./dev.ts";
import { doctor } from "./doctor.ts";
import { edit } from "./edit.ts";
import { init } from "./init.ts";
import { jobs } from "./jobs.ts";
import { migrate } from "./migrate.ts";
import { nodes } from "./nodes.ts";
import { purge } from "./purge.ts";
import { queues } from "./queues.ts";
import { replay } from "./replay.ts";
import { resume } from "./resume.ts";
import { retry } from "./retry.ts";
import { run } from "./run.ts";
import { runs } from "./runs.ts";
import { schedules } from "./schedules.ts";
import { pause, remove, resume as resumeSchedule, trigger as triggerSchedule } from "./schedules/act.ts";
import { backfill } from "./schedules/backfill.ts";
import { get } from "./schedules/get.ts";
import { preview } from "./schedules/preview.ts";
import { upsert } from "./schedules/upsert.ts";
import { start } from "./start.ts";
import { stats } from "./stats.ts";
import { trigger } from "./trigger.ts";
import { types } from "./types.ts";

/** All subcommands, in the order of help. */
export const commands: readonly Command[] = [
  ...[init, dev, start, trigger, runs, run, edit, cancel, resume, retry, replay, purge],
  ...[schedules, get, preview, upsert, pause, resumeSchedule, remove, triggerSchedule, backfill],
  ...[jobs, queues, stats, nodes, types, check, doctor, migrate],
];
