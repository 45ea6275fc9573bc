import { defineService } from "tasker";
import { Pool } from "pg";

/** The service's own tables, in the database that tasker uses, too. */
export const database = defineService({
  name: "db",
  open: () => {
    const pool = new Pool({ connectionString: process.env["TASKER_DATABASE_URL"], max: 5 });
    pool.on("error", (error) => console.error("an idle connection was lost:", error.message));
    return pool;
  },
  close: (pool) => pool.end(),
});
