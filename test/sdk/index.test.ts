import { expect, test } from "vitest";
import * as index from "../../sdk/index.ts";

test("the public surface is this and no more", () => {
  const names = Object.keys(index).sort();
  const errors = names.filter((name) => /^[A-Z]/.test(name));

  expect(names.filter((name) => !errors.includes(name))).toEqual([
    ...["close", "complete", "configure", "defineConfig", "defineEvent", "defineJob", "defineMiddleware"],
    ...["defineService", "flow", "nodes", "queues", "runs", "schedules", "signal", "signalWithTrigger", "snooze"],
    ...["stats", "trigger"],
  ]);
  expect(errors).toEqual([
    ...[
      "AbortError",
      "AttemptTimeout",
      "CallsMixed",
      "Diverged",
      "DuplicateJob",
      "InvalidInput",
      "InvalidPayload",
      "JobNotFound",
    ],
    ...[
      "JournalFull",
      "KeyConflict",
      "LeaseLost",
      "NotConfigured",
      "NotStorable",
      "NotSupported",
      "RetryAfterError",
      "RunCanceled",
      "RunFailed",
      "RunNotFound",
    ],
    ...[
      "ScheduleNotFound",
      "StepFailed",
      "StepTimeout",
      "Stopping",
      "StoreUnavailable",
      "StoreUnusable",
      "TaskerError",
      "WaitTimeout",
      "WrongState",
    ],
  ]);
});
