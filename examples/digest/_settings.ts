import { type Schedule, schedules } from "tasker";
import { digest } from "./digest.ts";

/** What a user chose on the settings page. */
export interface Choice {
  /** By the user's own clock: `"09:00"`. */
  readonly at: string;
  /** `"MON-FRI"`, `"SAT,SUN"` or `"*"`. */
  readonly days: string;
  /** `"Europe/Paris"` */
  readonly timezone: string;
}

const refOf = (userId: string) => ({ job: digest, key: `user:${userId}` });

/** Makes the user's digest, or changes it. One that is paused stays so. */
export async function saveDigest(
  user: { id: string; email: string },
  { at, days, timezone }: Choice,
): Promise<Schedule> {
  const [hour, minute] = at.split(":");
  return schedules.upsert({
    ...refOf(user.id),
    cron: `${minute} ${hour} * * ${days}`,
    timezone,
    payload: { userId: user.id, email: user.email },
    tags: [`user:${user.id}`],
    spread: "5m", // many choose nine o'clock
  });
}

export const pauseDigest = (userId: string): Promise<Schedule> => schedules.pause(refOf(userId));
export const resumeDigest = (userId: string): Promise<Schedule> => schedules.resume(refOf(userId));
/** Answers whether there was one. */
export const removeDigest = (userId: string): Promise<boolean> => schedules.remove(refOf(userId));
