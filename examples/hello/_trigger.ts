import { close } from "tasker";
import { hello } from "./hello.ts";

const run = await hello.trigger({ name: process.argv[2] ?? "Ada" });
console.log(run.id, await run.result({ timeout: "10s" }));
await close(); // ends the connection, so that the script can exit
