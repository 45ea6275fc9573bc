import { defineService } from "tasker";

export interface Mail {
  readonly to: string;
  readonly subject: string;
  readonly link: string;
}

/** Stands for a mail service: it keeps what it was given, by its key. */
export const outbox = new Map<string, Mail>();

export const mailer = defineService({
  name: "mailer",
  open: () => ({
    send: async (mail: Mail, idempotencyKey: string): Promise<void> => void outbox.set(idempotencyKey, mail),
  }),
});
